"""Jets per second from files into padded training batches, beside weaver-core's loader on the same files.

    python -m benchmarks.loader --jets 100000 --output benchmarks/results/loader.txt

Makes JetClass files of made-up jets, prepares shards of them, and times each loader in a process of its own: once to
warm up (compilation, page cache), then for the record. "per core" is jets per second of processor time, of the process
and its children together, so that threads and worker processes count for what they use.

weaver-core delivers 17 standardised features, four-momenta and a mask, padded to 128. This loader delivers the 14 raw
quantities, padded to a multiple of 16: the same standardisation is a part of the model here, and on a GPU runs there.
For a fair comparison the lines "+ preprocessing" do it on the CPU as well.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.progress import track

from benchmarks.machine import ROOT, described, machine
from benchmarks.synthetic import PROCESSES, write_jetclass
from benchmarks.timing import measure
from jepa_coffea.files import write_text

GOALS = {"shards": (150e3, 10.0), "ROOT": (0.0, 3.0)}
"""Jets/s in one process, and times weaver's per core, to reach."""


def child(folder: Path, name: str, epochs: int, **settings: int) -> subprocess.Popen[str]:
    """This program, measuring one case in a process of its own.

    Parameters
    ----------
    folder
        Of the files of jets.
    name
        Of the case.
    epochs
        How often all jets are read.
    **settings
        More options of the command line.

    Returns
    -------
    Popen
    """
    command = [
        sys.executable,
        "-m",
        "benchmarks.loader",
        "--folder",
        str(folder.absolute()),
        "--case",
        name,
        "--epochs",
        str(epochs),
    ]
    command += [part for key, value in settings.items() for part in (f"--{key}", str(value))]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)


def finished(process: subprocess.Popen[str]) -> dict[str, float]:
    """What a child measured.

    Parameters
    ----------
    process
        From :func:`child`.

    Returns
    -------
    dict

    Raises
    ------
    RuntimeError
        If the child failed.
    """
    output, _ = process.communicate()
    if process.returncode:
        msg = f"measuring failed with exit status {process.returncode}: {process.args!r}"
        raise RuntimeError(msg)
    found: dict[str, float] = json.loads(output.splitlines()[-1])
    return found


def two_ranks(folder: Path, name: str, epochs: int) -> dict[str, float]:
    """Two processes that share the batches, as two GPUs would.

    Parameters
    ----------
    folder, name, epochs
        As for :func:`child`.

    Returns
    -------
    dict
        Jets and CPU seconds of both together; wall time and memory of the larger one.
    """
    running = [child(folder, name, epochs, rank=rank, ranks=2) for rank in range(2)]
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(finished, running))
    added = {key: sum(one[key] for one in both) for key in ("jets", "cpu")}
    return added | {key: max(one[key] for one in both) for key in ("wall", "memory")}


def make_files(folder: Path, jets: int) -> None:
    """Two files of each JetClass class, in clusters of about 30 MB as ROOT makes them, and shards of all.

    Parameters
    ----------
    folder
        Where to.
    jets
        Of all files together.
    """
    from training.data.preparation import prepare
    from training.data.sources import Reading

    for number, (label, process) in track([*enumerate(PROCESSES.items())], "making JetClass files"):
        for part in range(2):
            path = folder / f"{process}_{part:03d}.root"
            write_jetclass(path, jets // len(PROCESSES) // 2, seed=2 * number + part, label=label)
    prepare(f"{folder}/*.root", folder / "shards", Reading())


def report(found: dict[str, dict[str, float]], step: tuple[str, float]) -> str:
    """The table that is printed.

    Parameters
    ----------
    found
        Measurements by case.
    step
        What a training step is, and how many jets/s it takes.

    Returns
    -------
    str
    """
    rate = {name: one["jets"] / one["wall"] for name, one in found.items()}
    core = {name: one["jets"] / one["cpu"] for name, one in found.items()}
    of_weaver = [name for name in found if name.startswith("weaver")]
    best = max(of_weaver, key=lambda name: core[name])
    lines = [f"{'':38}{'jets/s':>11}{'per core':>11}{'x weaver':>10}{'x per core':>12}{'memory':>10}"]
    for name, one in found.items():
        times = "" if name.startswith("limit") else f"{rate[name] / rate[best]:10.1f}{core[name] / core[best]:12.1f}"
        lines.append(f"{name:38}{rate[name]:11.0f}{core[name]:11.0f}{times:>22}{one['memory']:7.0f} MB")
    lines.append(f"weaver is '{best}', the one of its settings that is fastest per core")
    for name, limit in (("ROOT", "limit: decompression"), ("shards", "limit: copying shards")):
        lines.append(f"{name}: {core[name] / core[limit]:.0%} of the {limit}")
    for name, (least, ratio) in GOALS.items():
        reached = rate[name] >= least and core[name] >= ratio * core[best]
        wanted = f"{least / 1e3:.0f} k jets/s and " if least else ""
        lines.append(f"goal for {name}, {wanted}{ratio:.0f} x weaver per core: {'reached' if reached else 'MISSED'}")
    what, speed = step
    lines.append(f"training step ({what}): {speed:.0f} jets/s; the loader's processor time is")
    lines += [f"  {speed / core[name]:.2%} of it from {name}" for name in ("shards", "ROOT")]
    return "\n".join(lines)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jets", type=int, default=100_000, help="jets in the files that are made")
    parser.add_argument("--epochs", type=int, default=2, help="epochs that are timed")
    parser.add_argument("--device", default="cpu", help="where the training step runs: cpu or cuda")
    parser.add_argument("--output", type=Path, help="also write the table there")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--rank", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--ranks", type=int, default=1, help=argparse.SUPPRESS)
    given = parser.parse_args()
    from benchmarks.loader.cases import OTHERS, cases, training_step

    if given.case in OTHERS:
        print(json.dumps(OTHERS[given.case](given.folder)))
        return
    if given.case is not None:
        batches = cases(given.folder)[given.case]
        print(json.dumps(measure(lambda: batches(rank=given.rank, ranks=given.ranks), given.epochs)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_files(folder, given.jets)
        found = {
            case: finished(child(folder, case, given.epochs)) for case in track([*cases(folder), *OTHERS], "timing")
        }
        for case in ("ROOT", "shards"):
            found[f"{case}, two processes"] = two_ranks(folder, case, given.epochs)
        step = training_step(folder, given.device)
    packages = ("numba", "numpy", "torch", "uproot", "weaver-core")
    text = f"{given.jets} jets, {given.epochs} epochs\n{described(machine(*packages))}\n\n{report(found, step)}"
    print(text)
    if given.output is not None:
        given.output.parent.mkdir(parents=True, exist_ok=True)
        write_text(given.output, text + "\n")


if __name__ == "__main__":
    main()
