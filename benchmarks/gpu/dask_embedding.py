"""Embed simulated events on a Dask cluster of this machine's GPUs, and check that nothing was lost.

python -m benchmarks.gpu.dask_embedding EVENTS.root ... --model encoder.onnx --output dask.json [--provider cpu]

One worker a GPU (``LocalCUDACluster``); with ``--provider cpu`` two workers on the cores. Checked: every event came
back, one session was opened in each process that embedded, no worker was lost or started anew.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.machine import described, machine
from jepa_coffea import JEPAEmbedder, clusters
from jepa_coffea.files import write_text
from jepa_coffea.processing.run import run
from processors.embed import EmbedProcessor

PACKAGES = ("coffea", "dask", "distributed", "dask-cuda", "onnxruntime", "onnxruntime-gpu", "torch")


def embed(files: list[str], model: Path, provider: Any, chunksize: int) -> dict[str, Any]:
    """Embed events on a cluster.

    Parameters
    ----------
    files
        Of events.
    model
        An ONNX file.
    provider
        ``cuda`` or ``cpu``.
    chunksize
        Events in a chunk.

    Returns
    -------
    dict
        ``run`` (events, chunks, seconds), ``metrics`` by process, ``workers`` before and after.
    """
    start = clusters.cuda if provider == "cuda" else clusters.local
    count = () if provider == "cuda" else (2,)
    with tempfile.TemporaryDirectory() as folder, start(*count, models=[model]) as client:
        before = sorted(client.scheduler_info(n_workers=-1)["workers"])
        processor = EmbedProcessor(JEPAEmbedder(model, provider=provider), folder)
        output = run(processor, {"events": files}, client=client, chunksize=chunksize, progress=False)
        after = sorted(client.scheduler_info(n_workers=-1)["workers"])
        return {"run": output["run"], "metrics": output["metrics"], "before": before, "after": after}


def faults(found: dict[str, Any], provider: str) -> list[str]:
    """Say what should not have happened.

    Parameters
    ----------
    found
        From :func:`embed`.
    provider
        That was asked for.

    Returns
    -------
    list of str
        Empty when all is well.
    """
    wrong = []
    if found["before"] != found["after"]:
        wrong.append(f"workers were {found['before']}, are {found['after']}")
    for process, metrics in found["metrics"].items():
        if metrics["loads"] > 1:
            wrong.append(f"{process}: the model was loaded {metrics['loads']} times")
        if set(metrics["provider"]) - {provider}:
            wrong.append(f"{process}: ran on {', '.join(metrics['provider'])}")
    if not any(provider in metrics["provider"] for metrics in found["metrics"].values()):
        wrong.append(f"nothing ran on {provider}")
    return wrong


def main() -> None:
    """Embed, check, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("events", nargs="+", type=Path)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, metavar="FILE.json")
    parser.add_argument("--provider", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--chunksize", type=int, default=1000)
    options = parser.parse_args()
    about = machine(*PACKAGES)
    print(described(about), flush=True)
    files = [str(path) for path in options.events]
    found = embed(files, options.model, options.provider, options.chunksize)
    wrong = faults(found, options.provider)
    run_of = found["run"]
    speed = {"events_per_second": run_of["events"] / run_of["seconds"]}
    print(json.dumps({"run": run_of, **speed, "wrong": wrong}, indent=1, default=str))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": about, **found, **speed, "wrong": wrong}
    write_text(options.output, json.dumps(content, indent=1, default=str))
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
