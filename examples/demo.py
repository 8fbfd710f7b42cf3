"""The whole chain on simulated collisions: jets, encoder, ONNX file, embedded events, and two hunts, one with a signal.

``make demo`` runs it. Every step is a command that a user would type, printed before it runs. Finished steps are not
done again, so that a demo that was stopped goes on where it was; ``make clean`` forgets it.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.panel import Panel

from jepa_coffea.commands.command_line import Parser

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
JEPA_COFFEA = str(Path(PYTHON).with_name("jepa-coffea"))

BACKGROUND, SIGNAL = 24_000, 450
"""Simulated events with m_jj above 2 TeV: QCD dijets, and W' (3 TeV) -> W phi (400 GeV) -> WWW."""

ENCODER = ROOT / "training/pretrained/pjepa-mini-4"
"""The run of the encoder that comes with the project."""

CLASSES = "QCD,H4q,Wqq,Tbqq"
"""Jets that the tagger tells apart."""


class Demo:
    """A folder, and the steps done in it.

    Parameters
    ----------
    folder
        Where everything is made.
    console
        Where the steps are shown.
    """

    def __init__(self, folder: Path, console: Console) -> None:
        self.folder = folder
        self.console = console
        self.started = time.perf_counter()
        folder.mkdir(parents=True, exist_ok=True)

    def step(self, title: str, made: str, *command: str | Path, accepted: tuple[int, ...] = (0,)) -> Path:
        """Run a command unless what it makes is there; a command that makes nothing always runs.

        Parameters
        ----------
        title
            Said before it runs.
        made
            What it makes, relative to the folder; empty for nothing.
        *command
            Its words.
        accepted
            Exit statuses of a success.

        Returns
        -------
        Path
            What it makes.

        Raises
        ------
        SystemExit
            If the command fails.
        """
        result = self.folder / made
        done = self.folder / ".done" / made.replace("/", "-")
        elapsed = time.perf_counter() - self.started
        self.console.rule(f"[bold]{title}[/]  [dim]{elapsed / 60:.1f} min[/]", align="left")
        words = [str(word) for word in command]
        shown = shlex.join([Path(words[0]).name, *(word.replace(f"{ROOT}/", "") for word in words[1:])])
        self.console.print(f"$ {shown}", style="cyan", highlight=False, soft_wrap=True)
        if made and done.exists() and result.exists():
            self.console.print(f"  already there: {result}", highlight=False)
            return result
        outcome = subprocess.run(words, cwd=ROOT, check=False)
        if outcome.returncode not in accepted:
            msg = f"The demo stopped: this command failed with status {outcome.returncode}:\n  {shown}"
            raise SystemExit(msg)
        if made:
            done.parent.mkdir(exist_ok=True)
            done.touch()
        return result

    def document(self, name: str, content: dict[str, Any]) -> Path:
        """Write a YAML document to the folder of the demo.

        Parameters
        ----------
        name
            Of the file.
        content
            What is in it.

        Returns
        -------
        Path
        """
        path = self.folder / name
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return path


def script(name: str) -> tuple[str, str]:
    """The words that run a script of the checkout.

    Parameters
    ----------
    name
        Path of the script in the checkout.

    Returns
    -------
    tuple of str
    """
    return PYTHON, name


def simulate(demo: Demo, workers: int) -> tuple[Path, Path, Path]:
    """Events to hunt in, and labelled jets to train on.

    Parameters
    ----------
    demo
        The folder.
    workers
        Number of processes.

    Returns
    -------
    tuple of Path
        QCD events, signal events, jets.
    """
    run = (*script("examples/simulate.py"), "--workers", str(workers))
    qcd = demo.step(
        "1. Collisions: QCD dijets", "events/qcd.root",
        *run, "--process", "qcd", "--mjj-min", "2000", "--pt-hat-min", "600", "--mpi", "off",
        "--events", str(BACKGROUND), "--seed", "1", "--output", demo.folder / "events/qcd.root",
    )  # fmt: skip
    wprime = demo.step(
        "1. Collisions: W' -> W phi -> WWW", "events/wprime.root",
        *run, "--process", "wprime", "--mjj-min", "2000", "--mpi", "off",
        "--events", str(SIGNAL), "--seed", "2", "--output", demo.folder / "events/wprime.root",
    )  # fmt: skip
    jets = demo.step(
        "1. Collisions: jets to train on", "jets",
        *run, "--format", "jetclass", "--classes", CLASSES, "--jets", "1500", "--jets-per-file", "500",
        "--seed", "3", "--output", demo.folder / "jets", "--plots", demo.folder / "plots",
    )  # fmt: skip
    return qcd, wprime, jets


def train(demo: Demo, jets: Path) -> Path:
    """A short pretraining to see one, and a tagger on the encoder of the project: a file with embeddings and scores.

    Parameters
    ----------
    demo
        The folder.
    jets
        Folder of the labelled jets.

    Returns
    -------
    Path
        The exported model.
    """
    data = f"{jets}/*.root"
    demo.step(
        "2. Pretrain: P-JEPA, without labels, for half a minute", "pretraining",
        *script("training/pretrain.py"), "--config", "training/configs/pjepa_mini.yaml", "--data", data,
        "--max-minutes", "0.5", "--output", demo.folder / "pretraining",
    )  # fmt: skip
    tagger = demo.step(
        "3. A tagger on the encoder of the project, which trained for longer: 100 labels per class", "tagger",
        *script("training/finetune.py"), "--encoder", ENCODER, "--mode", "freeze", "--data", data,
        "--labels-per-class", "100", "--max-minutes", "0.5", "--set", "data.batch_size=64",
        "--output", demo.folder / "tagger",
    )  # fmt: skip
    model = demo.step(
        "4. Export: preprocessing, encoder, tagger and card in one ONNX file", "encoder.onnx",
        *script("training/export.py"), tagger, "--output", demo.folder / "encoder.onnx",
    )  # fmt: skip
    demo.step("4. The file proves itself", "", JEPA_COFFEA, "validate", model)
    return model


def embed(demo: Demo, model: Path, files: dict[str, Path], workers: int) -> Path:
    """Embedded events and histograms of some files, on a local Dask cluster.

    Parameters
    ----------
    demo
        The folder.
    model
        The exported model.
    files
        File of each dataset.
    workers
        Number of processes.

    Returns
    -------
    Path
    """
    return demo.step(
        f"5. Embed: {', '.join(files)}", "embedded",
        *script("examples/embed_events.py"), "--model", model, "--workers", str(workers), "--chunksize", "5000",
        "--output", demo.folder / "embedded", *(f"{dataset}={path}" for dataset, path in files.items()),
    )  # fmt: skip


def hunt(demo: Demo, name: str, title: str, datasets: Sequence[str], workers: int) -> Path:
    """A hunt in embedded events of some datasets.

    Parameters
    ----------
    demo
        The folder.
    name
        Of the hunt.
    title
        Said before it runs.
    datasets
        Names of the datasets.
    workers
        Number of processes.

    Returns
    -------
    Path
    """
    document = demo.document(
        f"{name}.yaml",
        {
            "input": {"events": [f"embedded/dataset={dataset}/*.parquet" for dataset in datasets]},
            "output": name,
            "mass": {
                "windows": [{"window": [2600.0, 3250.0], "sidebands": [2300.0, 3550.0]}],
                "fit_range": [2300.0, 4500.0],
                "bins": 24,
            },
            "features": {"use": "both", "components": 6},
            "statistics": {"sqrt_s": 13000.0},
            "efficiencies": [0.1, 0.01],
            "classifier": {"members": 4},
            "calibration": {"experiments": 100},
            "cluster": {"kind": "local", "options": {"n_workers": workers}},
        },
    )
    # Status 1 is a finished hunt whose own checks say that its result must not be quoted.
    return demo.step(f"6. Hunt: {title}", name, JEPA_COFFEA, "hunt", document, accepted=(0, 1))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the demo.

    Parameters
    ----------
    arguments
        Words of the command line; those of the process by default.
    """
    parser = Parser(description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "demo", metavar="DIR", help="folder to write")
    parser.add_argument("--events", type=Path, metavar="FILE.root", help="CMS-format events to embed as well")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    options = parser.parse_args(arguments)
    if options.events is not None and not options.events.is_file():
        parser.error(f"--events: no file {options.events}")
    console = Console()
    demo = Demo(options.output.resolve(), console)
    qcd, wprime, jets = simulate(demo, options.workers)
    model = train(demo, jets)
    embedded = embed(demo, model, {"qcd": qcd, "wprime": wprime}, options.workers)
    demo.step(
        "5. What the encoder sees", "plots/embedding_space.png",
        *script("examples/embedding_space.py"), "--events", f"{embedded}/*/*.parquet",
        "--output", demo.folder / "plots/embedding_space.png", "--header", "Simulation", "(13 TeV)",
    )  # fmt: skip
    if options.events is not None:
        demo.step("Your events", "", JEPA_COFFEA, "validate", model, options.events)
    nothing = hunt(demo, "hunt-nothing", "background alone", ["qcd"], options.workers)
    signal = hunt(demo, "hunt-signal", "background and injected signal", ["qcd", "wprime"], options.workers)
    found = "\n\n".join(
        f"[bold]{title}[/]\n{(folder / 'summary.txt').read_text().strip()}"
        for title, folder in (("Without signal", nothing), (f"With {SIGNAL} injected signal events", signal))
    )
    console.print(Panel(found, title="What was found", expand=True))
    for what, where in (
        ("reports", f"{nothing}/report.html, {signal}/report.html"),
        ("plots", f"{signal}/plots, {demo.folder}/plots"),
        ("histograms", f"{embedded}/histograms.root, {signal}/exports"),
        ("ONNX file", f"{model}"),
        ("embedded events", f"{demo.folder}/embedded"),
        ("time", f"{(time.perf_counter() - demo.started) / 60:.1f} minutes"),
    ):
        console.print(f"{what:>16}: {where}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("Stopped by Ctrl-C; finished steps are kept, and the same command goes on from there.", file=sys.stderr)
        sys.exit(130)
