"""What each objective buys at equal compute: arms of pretrainings, several seeds of each, and probes at few labels.

``python training/studies/objective_study.py --data 'jets/*.root' --test 'test/*.root' --output study --minutes 60``
pretrains the encoder of one configuration in every arm and with every seed for the same processor minutes (``--steps``:
for the same steps; on a GPU for the same minutes of the clock, so let nothing else share it), freezes it, fits
logistic regressions to 100 and 500 labelled jets of each class, several draws of them, and judges these on test jets
that nothing was trained on. The labels are those of ``--labelled``, by default of the same files. ``--output`` gets
a run folder for each arm and seed, ``study.json`` and ``study.md``, with the RankMe of the embeddings; encoders whose
RankMe is near 1 are named. Killed, the same command goes on where it stopped; more arms, seeds and draws may be asked
for later. ``--part pretrain`` ends before the probes, which may then be made elsewhere with ``--part judge``, of the
runs that are finished.

Arms: {arms}.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the checkout, of which the wheel has a part

from jepa_coffea.commands.command_line import Parser, add_verbose
from jepa_coffea.files import write_text
from training.config import read_sections
from training.data.batch import Batch
from training.data.config import DataConfig
from training.data.loader import make_loader
from training.loop.batches import labels_of, take
from training.loop.checkpoint import load_encoder
from training.loop.entry import add_device_option, explained
from training.loop.metrics_log import read_metrics
from training.loop.monitors import collapse_of
from training.loop.probe import embed, linear, scores
from training.studies.jobs import Job, Runner, finished, keep_settings, read_status, signals_passed_on
from training.studies.results import mean_and_spread
from training.studies.steps import steps_of

CONFIGS = Path(__file__).parents[1] / "configs"
ENDLESS = 10**9
"""Steps of a pretraining that time ends."""
PARTS = ("particle", "jet", "agreement", "observables", "identity", "variance", "covariance")


def _weights(**wanted: float) -> str:
    """The setting of the weights of P-JEPA's losses; those not named are 0."""
    return f"objective.weights={json.dumps({part: wanted.get(part, 0) for part in PARTS})}"


def _of(name: str) -> str:
    """The setting that takes the objective from another configuration."""
    return f"objective={json.dumps(read_sections(CONFIGS / f'{name}.yaml')['objective'])}"


_PARTICLE = [
    "objective.predicted=1",
    # The jet loss goes with it: nothing else would train the class token.
    _weights(particle=1, jet=1, identity=0.1, variance=1, covariance=0.02),
]

ARMS: dict[str, list[str]] = {
    "particle": ["objective.views=1", *_PARTICLE],
    "agreement": [_weights(agreement=1)],
    "observables": ["objective.views=1", _weights(observables=1)],
    "observables+agreement": [_weights(observables=10, agreement=1)],
    "all": [],
    "all-curriculum": ["objective.observables_final=0"],
    "all-but-observables": [_weights(particle=0.3, agreement=1, identity=0.05)],
    "mpm": [_of("mpm")],
    "jetclr": [_of("jetclr"), "data.batch_size=256"],  # a jet is told from the others of its batch
    "random": ["steps=1", "optimiser.lr=1e-12", "optimiser.weight_decay=0"],
    "particle-regions": ["objective.views=1", "objective.contiguous=4", *_PARTICLE],
    "particle-own-out": ["objective.views=1", "objective.own_features_out=true", *_PARTICLE],
    "particle-two-masks": ["objective.views=2", "objective.predicted_views=2", *_PARTICLE],
}
"""Name of an arm to what it changes in the configuration; ``random`` is not trained."""
DEFAULT = [name for name in ARMS if not name.startswith(("particle-", "all-"))]


def parser() -> argparse.ArgumentParser:
    """Options of the command line.

    Returns
    -------
    argparse.ArgumentParser
    """
    about = (__doc__ or "").format(arms=", ".join(ARMS))
    options = Parser(description=about)
    options.add_argument("--data", nargs="+", required=True, metavar="GLOB", help="jets to pretrain on")
    options.add_argument(
        "--labelled", nargs="+", metavar="GLOB", help="jets to fit probes to; those of --data if absent"
    )
    options.add_argument("--test", nargs="+", required=True, metavar="GLOB", help="labelled jets to judge on")
    options.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to write")
    options.add_argument("--config", default=str(CONFIGS / "pjepa_mini.yaml"), metavar="YAML", help="of all arms")
    options.add_argument(
        "--arms", nargs="+", default=DEFAULT, choices=list(ARMS), metavar="ARM", help="which to compare"
    )
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the pretrainings")
    length = options.add_mutually_exclusive_group(required=True)
    length.add_argument(
        "--minutes", type=float, metavar="M", help="of each pretraining: of processor time, or on a GPU"
    )
    length.add_argument("--steps", type=int, metavar="N", help="of each pretraining")
    options.add_argument("--labels", type=int, nargs="+", default=[100, 500], metavar="N", help="per class, of probes")
    options.add_argument("--draws", type=int, default=3, metavar="N", help="of the labelled jets")
    options.add_argument("--test-jets", type=int, default=10_000, metavar="N", help="at most")
    options.add_argument("--jobs", type=int, default=1, metavar="J", help="pretrainings at a time")
    options.add_argument("--set", nargs="+", default=[], metavar="FIELD=VALUE", help="of all pretrainings")
    options.add_argument("--part", choices=("all", "pretrain", "judge"), default="all", help="what to do of the study")
    add_device_option(options)
    add_verbose(options)
    return options


def main(argv: list[str] | None = None) -> int:
    """Conduct the study that the command line describes.

    Parameters
    ----------
    argv
        Words of the command line; those of the process if None.

    Returns
    -------
    int
        0, 130 after Ctrl-C, or 2 when a training failed or was stopped.
    """
    return explained(lambda: _study(parser().parse_args(argv)))


def _study(args: argparse.Namespace) -> int:
    console = Console(stderr=True)
    args.output.mkdir(parents=True, exist_ok=True)
    _same_as_before(args)
    if args.part != "judge":
        runner = Runner(output=args.output, jobs=args.jobs, device=args.device)
        with signals_passed_on():
            runner.together(_jobs(args, runner))
    if args.part == "pretrain":
        return 0
    fit, test = _labelled_jets(args)
    found = {}
    for arm in args.arms:
        console.print(f"probing {arm} ...")
        runs = [args.output / f"{arm}-{seed}" for seed in args.seeds]
        for run in [run for run in runs if not finished("pretrain", run)]:
            console.print(f"{run}: no finished pretraining there; left out")
            runs.remove(run)
        if runs:
            found[arm] = [_probed(run, fit, test, args.labels, console) for run in runs]
        for run, values in zip(runs, found.get(arm, ()), strict=True):
            if collapse := collapse_of(values):
                console.print(f"{run}: the representation has collapsed: {collapse}")
    result = {
        "labels_per_class": args.labels,
        "draws": args.draws,
        "test_jets": len(test),
        "seeds": args.seeds,
        "minutes": args.minutes,
        "arms": {arm: {"settings": ARMS[arm], "runs": runs} for arm, runs in found.items()},
        "summary": {arm: summary(runs) for arm, runs in found.items()},
    }
    write_text(args.output / "study.json", json.dumps(result, indent=1) + "\n")
    text = markdown(result)
    write_text(args.output / "study.md", text)
    console.print(_table(result))
    return 0


def _same_as_before(args: argparse.Namespace) -> None:
    names = ("data", "labelled", "test", "config", "minutes", "steps", "labels", "test_jets", "set")
    keep_settings(args.output, {name: getattr(args, name) for name in names})


def _jobs(args: argparse.Namespace, runner: Runner) -> list[Job]:
    """Every pretraining, one seed of all arms before the next."""

    timed = bool(args.minutes) and not runner.on_cpu

    def _job(arm: str, seed: int, *settings: str) -> Job:
        folder = args.output / f"{arm}-{seed}"
        start = ("--config", args.config, "--data", *args.data, "--output", folder, "--resume", "auto")
        if timed:
            start += ("--max-minutes", args.minutes)
        # What makes an arm goes last, so that it holds whatever is set for all.
        return Job("pretrain", (folder,), (*start, "--set", f"seed={seed}", *args.set, *settings, *ARMS[arm]))

    if args.steps or timed:
        steps = dict.fromkeys(args.arms, args.steps or ENDLESS)
    else:
        first = {arm: _job(arm, args.seeds[0], "steps=1000") for arm in args.arms if arm != "random"}
        steps = steps_of(runner, first, args.minutes / runner.threads) | {"random": 1}
    return [_job(arm, seed, f"steps={steps[arm]}") for seed in args.seeds for arm in args.arms]


def _labelled_jets(args: argparse.Namespace) -> tuple[list[Batch], Batch]:
    """Draws of jets to fit probes to, and jets to judge on."""
    sections = read_sections(args.config)
    data = DataConfig(
        files=tuple(args.labelled or args.data),
        test_files=tuple(args.test),
        val_fraction=0.0,
        test_fraction=0.0,
        max_particles=sections["data"]["max_particles"],
        bucketed=False,
    )
    fit = []
    for draw in range(args.draws):
        few = data.model_copy(update={"labels_per_class": max(args.labels), "subset_seed": draw})
        loader = make_loader(few, labels=True)
        fit.append(take(loader, loader.jets_per_epoch))
    return fit, take(make_loader(data, split="test", labels=True), args.test_jets)


def _probed(run: Path, fit: Sequence[Batch], test: Batch, labels: Sequence[int], console: Console) -> dict[str, Any]:
    """What a frozen encoder reaches, kept in ``probe.json`` of its run folder; accuracy and AUC of each draw."""
    path = run / "probe.json"
    known: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    if known.get("draws") != len(fit):
        encoder, _ = load_encoder(run)
        cpu = torch.device("cpu")
        y_test, X_test = labels_of(test).numpy(), embed(encoder, test, cpu, console=console)
        probes: dict[str, dict[str, list[float]]] = {str(n): {"accuracy": [], "auc": []} for n in labels}
        for draw in fit:
            y, X = labels_of(draw).numpy(), embed(encoder, draw, cpu, console=console)
            for n in labels:
                few = np.sort(np.concatenate([np.flatnonzero(y == label)[:n] for label in np.unique(y)]))
                for name, value in scores(linear(), X[few], y[few], X_test, y_test).items():
                    probes[str(n)][name].append(value)
        lines = read_metrics(run)
        ranks = [line["rankme"] for line in lines if "rankme" in line]
        known = {
            "draws": len(fit),
            "probes": probes,
            "steps": lines[-1]["step"],
            "jets": lines[-1]["jets"],
            "processor_minutes": read_status("pretrain", run)["processor_minutes"],
            "rankme": ranks[-1] if ranks else None,
        }
        write_text(path, json.dumps(known, indent=1) + "\n")
    return known


def summary(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean and spread over the seeds of an arm.

    Parameters
    ----------
    runs
        What each seed reached.

    Returns
    -------
    dict
        ``accuracy`` and ``auc`` for each number of labels, mean over seeds and draws and standard deviation over seeds;
        means of ``steps``, ``jets``, ``processor_minutes`` and ``rankme``, this None where one was never monitored.
    """
    reached = {
        name: {n: mean_and_spread([float(np.mean(run["probes"][n][name])) for run in runs]) for n in runs[0]["probes"]}
        for name in ("accuracy", "auc")
    }
    ranks = [run["rankme"] for run in runs]
    means = {name: float(np.mean([run[name] for run in runs])) for name in ("steps", "jets", "processor_minutes")}
    return reached | means | {"rankme": None if None in ranks else float(np.mean(ranks))}


def _rows(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table, best last at the fewest labels."""
    few = [str(n) for n in result["labels_per_class"]]
    head = ["arm", "runs", "steps", "jets", "CPU min", "RankMe"]
    head += [f"{name} at {n}" for n in few for name in ("accuracy", "AUC")]
    rows = []
    for arm, found in sorted(result["summary"].items(), key=lambda item: item[1]["accuracy"][few[0]][0]):
        numbers = [f"{found['steps']:.0f}", f"{found['jets']:,.0f}", f"{found['processor_minutes']:.1f}"]
        numbers.append("" if found["rankme"] is None else f"{found['rankme']:.1f}")
        reached = [f"{found[name][n][0]:.4f} +- {found[name][n][1]:.4f}" for n in few for name in ("accuracy", "auc")]
        rows.append([arm, str(len(result["arms"][arm]["runs"])), *numbers, *reached])
    return head, rows


def markdown(result: Mapping[str, Any]) -> str:
    """The results as Markdown.

    Parameters
    ----------
    result
        What ``study.json`` holds.

    Returns
    -------
    str
    """
    head, rows = _rows(result)
    about = f"{result['draws']} draws of labels per class for each pretraining, "
    lines = [
        f"# Frozen encoders, logistic regression, {result['test_jets']} test jets",
        "",
        f"{about}mean and standard deviation over pretrainings.",
        "",
        *(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)),
    ]
    return "\n".join(lines) + "\n"


def _table(result: Mapping[str, Any]) -> Table:
    """The results for a terminal."""
    head, rows = _rows(result)
    table = Table(title=f"frozen encoders, {result['test_jets']} test jets")
    for column in head:
        table.add_column(column, justify="left" if column == "arm" else "right")
    for cells in rows:
        table.add_row(*cells)
    return table


if __name__ == "__main__":
    sys.exit(main())
