"""Embedding on a cluster: what a second worker brings, what Dask and coffea cost per chunk, which chunk size to use.

The work is EmbedProcessor over copies of the given files:

scaling     events per second of 2 workers over 1, beside 2 processes without Dask (benchmarks/cluster/scaling.py)
overhead    seconds per chunk of a processor that only counts, in this process and through Dask
chunk size  seconds of a chunk = fixed + per event * events, fitted to chunks of several sizes
opening     seconds to open a file and build NanoEvents, simulated (few branches) and PFNano (1802), if that is given
at scale    10^9 events on 100 GPUs from these numbers

python -m benchmarks.cluster EVENTS.root ... --model encoder.onnx [--wide pfnano.root] [--gpu-jets 30000]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import uuid
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import uproot
from coffea.nanoevents import NanoEventsFactory
from coffea.processor import ProcessorABC
from rich.console import Console
from rich.table import Table

from benchmarks.cluster.scaling import scaling
from benchmarks.machine import ROOT, machine
from jepa_coffea import JEPAEmbedder, clusters
from jepa_coffea.constituents import layouts
from jepa_coffea.files import write_text
from jepa_coffea.processing.run import run
from jepa_coffea.processing.run_report import merged
from processors.embed import EmbedProcessor

GPUS, EVENTS = 100, 1e9

PACKAGES = ("awkward", "coffea", "dask", "distributed", "numpy", "onnxruntime", "uproot")
"""Whose versions the results name."""


class Counter(ProcessorABC):
    """Does nothing: what is left is overhead."""

    def process(self, events: Any) -> dict[str, Any]:
        """Count.

        Parameters
        ----------
        events
            NanoEvents.

        Returns
        -------
        dict
        """
        return {"bookkeeping": {events.metadata["dataset"]: {"events": len(events), "chunks": 1}}}

    def postprocess(self, accumulator: Any) -> Any:
        """Nothing to do after the chunks are added up.

        Parameters
        ----------
        accumulator
            Of all chunks.

        Returns
        -------
        dict
        """
        return accumulator


def embed(model: Path, fileset: dict[str, list[str]], chunksize: int, client: Any = None) -> dict[str, Any]:
    """One timed run, in a fresh folder.

    Parameters
    ----------
    model
        An ONNX file.
    fileset
        Files by dataset.
    chunksize
        Events per chunk.
    client
        Of Dask; None: this process does it.

    Returns
    -------
    dict
        What the run counted and how long its parts took, seconds.
    """
    with tempfile.TemporaryDirectory() as folder:
        processor = EmbedProcessor(JEPAEmbedder(model, threads=1), folder)
        output = run(processor, fileset, client=client, chunksize=chunksize, progress=False)
    whole = {"seconds_run": output["run"]["seconds"], "workers": len(output["metrics"])}
    return {**output["run"], **merged(output["metrics"]), **whole}


def embed_files(model: Path, chunksize: int, files: list[str], client: Any) -> dict[str, Any]:
    """The same for :mod:`benchmarks.cluster.scaling`.

    Parameters
    ----------
    model, chunksize
        As for :func:`embed`.
    files
        ROOT files of events.
    client
        As for :func:`embed`.

    Returns
    -------
    dict
    """
    return embed(model, {"events": files}, chunksize, client)


def overhead(fileset: dict[str, list[str]], events: int, chunks: int) -> dict[str, float]:
    """Seconds per chunk of a processor that does nothing, in this process and through one Dask worker.

    Parameters
    ----------
    fileset
        Files by dataset.
    events
        That the files hold.
    chunks
        Into how many chunks they are cut.

    Returns
    -------
    dict
        Seconds.
    """
    size = max(events // chunks, 1)

    def _timed(client: Any) -> float:
        run(Counter(), fileset, client=client, chunksize=size, progress=False)
        begin = time.perf_counter()
        output = run(Counter(), fileset, client=client, chunksize=size, progress=False)
        return (time.perf_counter() - begin) / float(output["run"]["chunks"])

    here = _timed(None)
    with clusters.local(1) as client:
        there = _timed(client)
    return {"in this process": here, "through Dask": there, "of Dask": there - here}


def chunk_cost(model: Path, fileset: dict[str, list[str]], events: int, rounds: int) -> dict[str, Any]:
    """Fixed seconds of a chunk and seconds per event, by least squares over chunks of different sizes.

    Parameters
    ----------
    model
        An ONNX file.
    fileset
        Files by dataset.
    events
        That the files hold.
    rounds
        How often every size is measured.

    Returns
    -------
    dict
    """
    sizes, seconds, steps = [], [], {}
    embed(model, fileset, events)
    for parts in (1, 2, 4, 8) * rounds:
        found = embed(model, fileset, max(events // parts, 1))
        sizes.append(found["events"] / found["chunks"])
        seconds.append(found["seconds_run"] / found["chunks"])
        if parts == 1:
            steps = {name: value / found["events"] for name, value in found["seconds"].items()}
            jets = found["jets"] / found["events"]
    slope, fixed = np.polyfit(sizes, seconds, 1)
    return {
        "fixed seconds per chunk": float(fixed),
        "seconds per event": float(slope),
        "chunk for 5 % overhead": int(fixed / (0.05 * slope)),
        "steps, seconds per event": steps,
        "jets per event": jets,
    }


def opening(path: Path, tree: str = "Events") -> float:
    """Seconds to open a file and build lazy NanoEvents.

    Parameters
    ----------
    path
        A ROOT file of PFNano.
    tree
        Its tree.

    Returns
    -------
    float
        Median of 5.
    """
    found = []
    for _ in range(5):
        begin = time.perf_counter()
        NanoEventsFactory.from_root(
            {str(path): tree}, schemaclass=layouts()["pfnano"].schema_class(), mode="virtual"
        ).events()
        found.append(time.perf_counter() - begin)
    return median(found)


def at_scale(
    chunk: dict[str, Any], dask: float, gpu_jets: float, chunksize: int, open_seconds: float
) -> dict[str, Any]:
    """10^9 events on 100 GPUs: hours of each part, and how many of them one scheduler can feed.

    Parameters
    ----------
    chunk
        From :func:`chunk_cost`.
    dask
        Seconds of Dask per chunk.
    gpu_jets
        Jets per second of one GPU.
    chunksize
        Events per chunk.
    open_seconds
        To open a file.

    Returns
    -------
    dict
    """
    steps = chunk["steps, seconds per event"]
    around = steps["total"] - steps["model"]
    model = chunk["jets per event"] / gpu_jets
    fixed = open_seconds + chunk["fixed seconds per chunk"]
    per_chunk = fixed + chunksize * (around + model)
    chunks = EVENTS / chunksize
    return {
        "chunks": chunks,
        "seconds per chunk": per_chunk,
        "hours": chunks * per_chunk / GPUS / 3600,
        "hours of the GPUs' own work": EVENTS * model / GPUS / 3600,
        "share of a worker's time that its GPU works": chunksize * model / per_chunk,
        "CPU seconds per event around the model": around,
        "cores per GPU that keep it busy": around / model,
        "scheduler busy": chunks * dask / (chunks * per_chunk / GPUS),
    }


def copied(path: Path, to: Path) -> Path:
    """Copy a ROOT file under a UUID of its own, so that it counts as another file.

    Parameters
    ----------
    path
        The file.
    to
        Where to.

    Returns
    -------
    Path
        ``to``.
    """
    with uproot.open(path) as file:
        old = file.file.fUUID
    content = path.read_bytes()
    to.write_bytes(content.replace(old, uuid.uuid4().bytes, 1))  # in the header, which comes first
    return to


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("events", nargs="+", type=Path, help="PFNano files")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--wide", type=Path, help="a PFNano file with all its branches")
    parser.add_argument("--copies", type=int, default=4, help="of every file, an even number")
    parser.add_argument("--rounds", type=int, default=6, help="of the scaling; half as many of the chunks")
    parser.add_argument("--chunksize", type=int, default=500, help="for the scaling")
    parser.add_argument("--gpu-jets", type=float, default=30_000, help="jets per second of one GPU, for the last table")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args()
    if options.copies * len(options.events) % 2 or options.rounds < 2:
        parser.error("expected an even number of copies, half for each worker, and two rounds or more")
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        copies = [
            str(copied(path, Path(folder) / f"{number}-{path.name}"))
            for number in range(options.copies)
            for path in options.events
        ]
        one = {"events": copies[:1]}
        result: dict[str, Any] = {}
        with console.status("scaling"):
            work = partial(embed_files, options.model, options.chunksize)
            result["scaling"] = scaling(work, copies, options.rounds)
        with console.status("chunks"):
            events = embed(options.model, one, 10**9)["events"]
            result["chunk"] = chunk_cost(options.model, one, events, options.rounds // 2)
            result["overhead"] = overhead(one, events, 40)
        result["opening"] = {options.events[0].name: opening(Path(copies[0]))}
        if options.wide:
            result["opening"][options.wide.name] = opening(options.wide)
    slowest = max(result["opening"].values())
    result["at scale"] = at_scale(
        result["chunk"],
        dask=result["overhead"]["of Dask"],
        gpu_jets=options.gpu_jets,
        chunksize=50_000,
        open_seconds=slowest,
    )
    for name, values in result.items():
        console.print(table(name, values))
    options.output.mkdir(parents=True, exist_ok=True)
    target = options.output / "cluster.json"
    about = machine(*PACKAGES) | {"model": options.model.name, "gpu jets per second, assumed": options.gpu_jets}
    write_text(target, json.dumps({"machine": about, "results": result}, indent=2) + "\n")
    console.print(f"written to {target}")


def table(title: str, values: dict[str, Any]) -> Table:
    """Names and numbers as a table; nested names are joined.

    Parameters
    ----------
    title
        Above the table.
    values
        Numbers by name, or by two or three names.

    Returns
    -------
    Table
    """
    found = Table(title=title, title_justify="left", show_header=False)
    for name, value in values.items():
        if isinstance(value, dict):
            for inner, number in value.items():
                pairs = number.items() if isinstance(number, dict) else [("", number)]
                for key, entry in pairs:
                    found.add_row(f"{name}, {inner} {key}".strip(), f"{entry:.4g}")
        else:
            found.add_row(name, f"{value:.4g}")
    return found


if __name__ == "__main__":
    main()
