"""``jepa-coffea doctor``: what is installed, what is in conflict or missing, and whether a shipped model runs here."""

from __future__ import annotations

import argparse
import platform
import time
from importlib import metadata
from typing import NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from jepa_coffea.encoder.model_files import resolve
from jepa_coffea.encoder.onnx import OnnxEncoder
from jepa_coffea.encoder.providers import EXECUTION, choose, gpu_count, installed, mend, runtime
from jepa_coffea.encoder.self_test import validate
from jepa_coffea.errors import JepaCoffeaError

EXTRAS = {
    "embedding": (("coffea", "awkward", "dask", "distributed", "uproot", "pyarrow", "fastjet", "vector", "hist"), ""),
    "batch systems": (("dask-jobqueue",), "jobqueue"),
    "GPU clusters": (("dask-cuda",), "cuda"),
    "dask-awkward arrays": (("dask-awkward",), "dask-awkward"),
    "hunts": (("iminuit", "pyhf", "scikit-learn", "scipy", "matplotlib", "mplhep", "Jinja2"), "hunt"),
    "training, in a checkout": (("torch", "onnxscript", "safetensors", "tensorboard", "numba"), "train"),
    "simulation, in a checkout": (("pythia8mc", "numba"), "simulation"),
    "files by root://": (("fsspec-xrootd", "xrootd"), "fsspec-xrootd"),
}
"""What for, to the packages and the extra of this package (or the package itself) that brings them."""

EXCLUDE = (
    ("onnxruntime", "onnxruntime-gpu", "pip uninstall onnxruntime onnxruntime-gpu, then install one of them"),
    ("dask-awkward", "dask-cuda", "they pin different versions of dask: use two environments"),
)
"""Packages that break one another, and what to do."""


class Finding(NamedTuple):
    """One thing that is not as it should be."""

    problem: str
    mend: str


def configure(parser: argparse.ArgumentParser) -> None:
    """Give the parser this command's arguments.

    Parameters
    ----------
    parser
        Of the command.
    """
    parser.add_argument(
        "--model", default="pjepa-mini-4", help="model to try: an ONNX file, or name of a shipped model"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print versions, providers and findings, and try a model.

    Parameters
    ----------
    arguments
        As :func:`configure` describes them.

    Returns
    -------
    int
        0 if models run here; 1 if something has to be mended first.
    """
    console = Console()
    console.print(_versions())
    found = conflicts()
    tried = None
    try:
        console.print(f"ONNX Runtime offers: {', '.join(runtime().get_available_providers())}", highlight=False)
        console.print(f"NVIDIA GPUs that the driver shows: {gpu_count()}", highlight=False)
        found += _unused_gpu()
        tried = self_test(arguments.model)
    except JepaCoffeaError as error:
        found.append(Finding("no model runs here", str(error)))
    if tried is not None:
        console.print(tried, highlight=False, markup=False)
    for finding in found:
        console.print(f"[bold red]{escape(finding.problem)}[/]: {escape(finding.mend)}", highlight=False)
    if not found:
        console.print("[green]Nothing to mend.[/]")
    return 1 if found else 0


def conflicts() -> list[Finding]:
    """Packages that break one another.

    Returns
    -------
    list of Finding
    """
    return [
        Finding(f"{one} and {other} are both installed", what)
        for one, other, what in EXCLUDE
        if _version(one) and _version(other)
    ]


def self_test(model: str) -> str:
    """Replay the reference jets of a model on the provider that ``auto`` chooses.

    Parameters
    ----------
    model
        ONNX file, or name of a shipped model.

    Returns
    -------
    str
        What came out, in a sentence.

    Raises
    ------
    JepaCoffeaError
        If the model cannot be run, or gives other numbers than where it was made.
    """
    begin = time.perf_counter()
    encoder = OnnxEncoder(resolve(model), provider="auto")
    agreements = validate(encoder)
    seconds = time.perf_counter() - begin
    where = f"{model} on {encoder.provider}"
    for item in agreements:
        if not item.passed:
            msg = f"{where}: {item.output} differs by {item.relative:.1e}, {item.tolerance:.0e} allowed"
            raise JepaCoffeaError(msg)
    worst = max(item.relative for item in agreements)
    return f"{where}: {agreements[0].jets} reference jets agree within {worst:.0e}, {seconds:.1f} s with loading"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _versions() -> Table:
    title = f"jepa-coffea {_version('jepa-coffea')}, Python {platform.python_version()}, {platform.platform()}"
    table = Table("for", "installed", "missing: pip install", title=title, title_justify="left")
    table.columns[-1].no_wrap = True  # it is there to be copied
    runs = installed()
    both = ", ".join(f"{name} {number}" for name, number in runs.items())
    table.add_row("running models", both, "" if runs else escape("'jepa-coffea[cpu]'\nor 'jepa-coffea[gpu]'"))
    for purpose, (packages, extra) in EXTRAS.items():
        versions = {name: _version(name) for name in packages}
        there = ", ".join(f"{name} {number}" for name, number in versions.items() if number)
        lacking = "" if all(versions.values()) else extra if extra == "fsspec-xrootd" else f"'jepa-coffea[{extra}]'"
        table.add_row(purpose, there, escape(lacking))
    return table


def _unused_gpu() -> list[Finding]:
    """A GPU that models would not use."""
    if gpu_count() and choose("auto") == "cpu":
        return [Finding(f"there is a GPU, and ONNX Runtime has no {EXECUTION['cuda']}", mend())]
    return []
