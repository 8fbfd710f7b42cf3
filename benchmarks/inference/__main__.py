"""Jets per second of an encoder: what users do today, what this package does, and what the hardware could do.

One run, one machine, the same weights and jets; every way in a process of its own, for its peak memory (on a CPU of
the process with all that it imports, on a GPU of the device):

torch       coffea.ml_tools.torch_wrapper with jets padded to 128 particles (plain torch where there is no coffea)
ort         ONNX Runtime with jets padded to 128 particles, as users of weaver exports do
fp32        this package
int8 | fp16 this package with the reduced file that suits a CPU | a GPU
limit       the fastest matrix product of PyTorch, NumPy and ONNX Runtime here, over the multiply-accumulates of these
            jets without padding

Under the ways of this package on a CPU stands what bounds them: the kinds of nodes that the session spends its time in.

python -m benchmarks.inference [--provider cuda] [--sizes mini small published] [--events jets.root ...]

A machine without onnxscript takes files made elsewhere: --models FOLDER, filled by --prepare.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmarks.inference.setup import SIZES, chosen, file_jets, prepare, real_multiplicities
from benchmarks.machine import ROOT, machine
from jepa_coffea.files import write_text

REDUCED: dict[str, Literal["int8", "fp16"]] = {"cpu": "int8", "cuda": "fp16"}

PACKAGES = ("torch", "onnxruntime", "onnxruntime-gpu", "onnx", "numpy", "coffea")
"""Whose versions the results name."""

OVERHEAD = 10
"""Seconds that starting a way takes, and its first, untimed call."""


def main() -> None:
    """Run the ways one after the other and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--provider", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["mini", "small"])
    parser.add_argument("--events", nargs="*", type=Path, default=[], help="files whose jets to take as well")
    parser.add_argument("--models", type=Path, default=ROOT / "build" / "benchmark-models")
    parser.add_argument("--prepare", action="store_true", help="only write the model files")
    parser.add_argument("--seconds", type=float, default=5, help="time each way for about this long")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of every way")
    parser.add_argument("--cuda-graphs", action="store_true", help="also this package with captured graphs")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args()
    for size in options.sizes:
        print(f"{size}: model files in {options.models}", flush=True)
        prepare(size, options.models, (REDUCED[options.provider],))
    if options.prepare:
        return
    results: list[dict[str, Any]] = []
    about = machine(*PACKAGES) | {"threads": options.threads}
    target = options.output / f"inference-{options.provider}.json"
    ways = ["limit", "torch", "ort", "fp32", REDUCED[options.provider]]
    if options.cuda_graphs:
        ways.append(REDUCED[options.provider] + "-graphs")
    timings = len(options.sizes) * (1 + len(options.events)) * len(ways)
    print(f"{timings} timings, about {timings * (options.seconds + OVERHEAD) / 60:.0f} minutes", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        samples = {"PFNano multiplicities": real_multiplicities()} | {
            path.name: file_jets(path) for path in options.events
        }
        for size in options.sizes:
            for name, sample in samples.items():
                arrays, path = chosen(size, sample, options.provider), Path(folder) / "jets.npz"
                np.savez(path, particles=arrays[0], counts=arrays[1], jets=arrays[2])
                print(f"\n{size}, {name}, mean {arrays[1].mean():.1f} particles\n{HEADER}", flush=True)
                results.append({"size": size, "jets": name, "ways": measure(size, path, ways, options)})
                target.parent.mkdir(parents=True, exist_ok=True)
                write_text(target, json.dumps({"machine": about, "results": results}, indent=2) + "\n")
    print(f"\nwritten to {target}")


def measure(size: str, jets: Path, ways: list[str], options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Every way in a child process.

    Parameters
    ----------
    size
        Name of the model.
    jets
        File of the jets.
    ways
        Names of the ways.
    options
        Of the command line.

    Returns
    -------
    dict
        What each way measured.

    Raises
    ------
    RuntimeError
        If a child process fails.
    """
    rows: dict[str, dict[str, Any]] = {}
    expected = np.zeros(0)
    for way in ways:
        words = [sys.executable, "-m", "benchmarks.inference.ways", way, size, str(options.models.absolute())]
        words += [str(jets), options.provider, str(options.threads), str(options.seconds)]
        threads = {
            name: str(options.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        }
        environment = os.environ | threads | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment, cwd=ROOT)
        if done.returncode:
            print(done.stderr)
            msg = f"{size}: {way} failed with status {done.returncode}"
            raise RuntimeError(msg)
        row = rows[way] = json.loads(done.stdout.splitlines()[-1])
        if "embedding" in row:
            got = np.asarray(row.pop("embedding"))
            expected = got if way == "torch" else expected
            row["difference"] = float(np.abs(got - expected).max() / np.abs(expected).max())
        print(line(way, rows), flush=True)
        if "profile" in row:
            print(bound(row["profile"], rows["limit"]), flush=True)
    return rows


HEADER = (
    f"{'way':12} {'jets/s':>10} {'x torch':>8} {'x ort':>7} {'of limit':>9} {'outside':>8} {'padding':>8} "
    f"{'memory MB':>10} {'difference':>11}"
)
"""``outside`` is the part of the time spent outside the session, ``difference`` the largest from torch, relative."""


def line(way: str, rows: dict[str, dict[str, Any]]) -> str:
    """What was measured of a way, with its ratios to the others.

    Parameters
    ----------
    way
        Its name.
    rows
        From :func:`measure`.

    Returns
    -------
    str
    """
    row = rows[way]
    speed = row["jets_per_second"]
    ratios = [f"{speed / rows[base]['jets_per_second']:.1f}" if base in rows else "" for base in ("torch", "ort")]
    cells = [f"{way:12} {speed:10,.1f} {ratios[0]:>8} {ratios[1]:>7}"]
    cells.append(f"{speed / rows['limit']['jets_per_second']:9.0%}")
    for name, form in (("outside", "8.1%"), ("padding", "8.0%"), ("memory_mb", "10,.0f"), ("difference", "11.0e")):
        cells.append(f"{row[name]:{form}}" if name in row else " " * int(form.split(".")[0].rstrip(",")))
    return " ".join(cells) + (f" {row['note']}" if "note" in row else "")


def bound(profile: dict[str, Any], limit: dict[str, Any]) -> str:
    """Where the time inside the session goes, and how fast its matrix products are.

    Parameters
    ----------
    profile
        Seconds by kind of node.
    limit
        The measurement of the fastest matrix product.

    Returns
    -------
    str
    """
    total = profile["total"]
    kinds = [f"{kind} {seconds / total:.0%}" for kind, seconds in profile["seconds"].items() if seconds > 0.02 * total]
    useful = 2e-9 * profile["macs"] / profile["products"]
    return (
        f"{'':12} {', '.join(kinds)}\n{'':12} matrix products {profile['products'] / total:.0%} of the nodes' time, "
        f"where they do {useful:,.0f} GFLOP/s of useful work, {useful / limit['gflops']:.0%} of the limit"
    )


if __name__ == "__main__":
    main()
