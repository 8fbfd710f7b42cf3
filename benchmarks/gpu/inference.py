"""Jets per second on a GPU: this package beside PyTorch and ONNX Runtime, on the same jets, one after the other.

python -m benchmarks.gpu.inference --output inference.json [--sizes mini small published] [--provider cpu]

limit            the fastest half-precision matrix product here, over the multiply-accumulates of these jets
torch padded     PyTorch, jets padded to 128 particles, fp32 with TensorFloat-32
torch            PyTorch in half precision on the micro-batches of this package
torch compiled   the same, compiled
ort padded       ONNX Runtime with its defaults, jets padded to 128
fp32, fp16       this package; ``graphs``: with captured CUDA graphs, ``kernels``: what the time goes into

Jets have 33 to 64 particles, so that there are two padded lengths to compile for. ``of limit`` counts no padding.
``outside`` is the share of the time outside the session, in a pass with one micro-batch in flight. Every number is
written as soon as it is measured; a way that fails says why.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.inference.measure import limit, repeated
from benchmarks.inference.padded import ort_padded, padded, torch_padded
from benchmarks.inference.setup import SIZES, Arrays, encoder_of, first, model_file, prepare, real_multiplicities
from benchmarks.machine import described, machine
from benchmarks.training.profile import kernels
from jepa_coffea.encoder import OnnxEncoder
from jepa_coffea.files import write_text

SHORTEST, LONGEST = 33, 64
TOKENS = 65_536
"""Particle slots in a batch of PyTorch: as many as this package gives a GPU."""

PACKAGES = ("torch", "onnxruntime", "onnxruntime-gpu", "onnx", "numpy")

Ways = dict[str, Callable[[], dict[str, Any]]]


def sample(jets: int) -> Arrays:
    """Make jets with the multiplicities of real ones, between ``SHORTEST`` and ``LONGEST``.

    Parameters
    ----------
    jets
        How many to choose from; about half are left.

    Returns
    -------
    tuple
        Particles [sum(counts), field], counts [jet], axes [jet, 4] (GeV).
    """
    flat, counts, axes = real_multiplicities(jets)
    kept = (counts >= SHORTEST) & (counts <= LONGEST)
    return flat[np.repeat(kept, counts)], counts[kept], axes[kept]


def torch_batches(arrays: Arrays, device: str) -> list[tuple[torch.Tensor, ...]]:
    """Put jets of like multiplicity into batches on the device, padded to 48 or 64 particles.

    Parameters
    ----------
    arrays
        The jets.
    device
        Of the tensors.

    Returns
    -------
    list of tuple
        Particles [B, N, field], mask [B, N] and axes [B, 4].
    """
    flat, counts, axes = arrays
    starts = np.cumsum(counts) - counts
    found = []
    for length in (48, LONGEST):
        rows = np.flatnonzero((counts <= length) & (counts > length - 16))
        for part in np.array_split(rows, max(1, -(-len(rows) * length // TOKENS))):
            index = np.concatenate([np.arange(starts[row], starts[row] + counts[row]) for row in part])
            whole = padded((flat[index], counts[part], axes[part]), 0, len(part))
            cut = (whole[0][:, :length], whole[1][:, :length], whole[2])
            found.append(tuple(torch.from_numpy(np.ascontiguousarray(value)).to(device) for value in cut))
    return found


def torch_speed(size: str, arrays: Arrays, device: str, seconds: float, *, compiled: bool) -> dict[str, Any]:
    """Time PyTorch in half precision on batches that lie on the device.

    Parameters
    ----------
    size
        Of the encoder.
    arrays
        The jets.
    device
        ``cuda`` or ``cpu``.
    seconds
        To time for.
    compiled
        Compile the repeated parts first.

    Returns
    -------
    dict
        ``jets_per_second``, ``warmup_seconds``.
    """
    from training.models.compiled import compile_regions

    encoder, batches = encoder_of(size).to(device), torch_batches(arrays, device)
    half = torch.float16 if device == "cuda" else torch.bfloat16
    if compiled:
        compile_regions(encoder, "inductor" if device == "cuda" else "aot_eager")  # a rehearsal has no time for C++

    def _run() -> int:
        with torch.no_grad(), torch.autocast(device, half):
            for batch in batches:
                encoder(*batch)
        if device == "cuda":
            torch.cuda.synchronize()
        return len(arrays[1])

    start = time.perf_counter()
    _run()
    warmup = time.perf_counter() - start
    try:
        return {"jets_per_second": repeated(_run, seconds), "warmup_seconds": warmup}
    finally:
        torch._dynamo.reset()


def package_speed(path: Path, arrays: Arrays, provider: Any, seconds: float, *, graphs: bool) -> dict[str, Any]:
    """Time this package.

    Parameters
    ----------
    path
        The ONNX file.
    arrays
        The jets.
    provider
        ``cuda`` or ``cpu``.
    seconds
        To time for.
    graphs
        With captured CUDA graphs.

    Returns
    -------
    dict
        ``jets_per_second``, ``outside`` (share of the time), ``padding`` (empty slots per particle), ``batches``.
    """
    encoder = OnnxEncoder(path, provider=provider, cuda_graphs=graphs)

    def _run() -> int:
        encoder(*arrays)
        return len(arrays[1])

    speed = repeated(_run, seconds)
    alone = OnnxEncoder(path, provider=provider, cuda_graphs=graphs, threads=1)
    repeated(lambda: len(alone(*arrays)["embedding"]), seconds / 3)
    spent = alone.metrics()
    return {
        "jets_per_second": speed,
        "outside": 1 - spent["session_seconds"] / spent["seconds"],
        "padding": spent["padding"] / spent["particles"],
        "jets_per_batch": spent["jets"] / spent["batches"],
    }


def package_kernels(path: Path, arrays: Arrays, provider: Any) -> dict[str, Any]:
    """What this package's time on the device goes into.

    Parameters
    ----------
    path
        The ONNX file.
    arrays
        The jets.
    provider
        ``cuda`` or ``cpu``, where a profiler of PyTorch sees nothing of ONNX Runtime.

    Returns
    -------
    dict
        ``kernels``: share of the device's time by kind of kernel, and of the longest ones.
    """
    encoder = OnnxEncoder(path, provider=provider)

    def _run(_: int) -> None:
        encoder(*arrays)

    _run(0)
    return {"kernels": kernels(_run, 1, torch.device(provider))}


def ways(size: str, folder: Path, arrays: Arrays, provider: str, seconds: float) -> Ways:
    """Name what is timed, the most telling first.

    Parameters
    ----------
    size
        Of the encoder.
    folder
        Of the model files.
    arrays
        The jets.
    provider
        ``cuda`` or ``cpu``.
    seconds
        To time each for.

    Returns
    -------
    dict
        Name to a function that measures it.
    """
    many = 8 if provider == "cuda" else 1
    large = (np.tile(arrays[0], (many, 1)), np.tile(arrays[1], many), np.tile(arrays[2], (many, 1)))

    def _package(precision: str, *, graphs: bool) -> Callable[[], dict[str, Any]]:
        return lambda: package_speed(model_file(folder, size, precision), large, provider, seconds, graphs=graphs)

    def _one(measured: dict[str, Any]) -> dict[str, Any]:
        measured.pop("embedding", None)
        return measured

    found: Ways = {
        "limit": lambda: limit(size, arrays, provider, 1, seconds),
        "fp16": _package("fp16", graphs=False),
        "fp16 kernels": lambda: package_kernels(model_file(folder, size, "fp16"), large, provider),
        "fp32": _package("fp32", graphs=False),
        "torch": lambda: torch_speed(size, large, provider, seconds, compiled=False),
        "ort padded": lambda: _one(ort_padded(size, folder, arrays, provider, 1, seconds)),
        "torch padded": lambda: _one(torch_padded(size, arrays, provider, seconds)),
    }
    if provider == "cuda":
        found |= {"fp16 graphs": _package("fp16", graphs=True), "fp32 graphs": _package("fp32", graphs=True)}
    return found | {"torch compiled": lambda: torch_speed(size, large, provider, seconds, compiled=True)}


def measured(todo: Ways) -> Iterator[tuple[str, dict[str, Any]]]:
    """Measure one after the other; what fails says why and stops nothing.

    Parameters
    ----------
    todo
        From :func:`ways`.

    Yields
    ------
    tuple
        Name and numbers, or ``error``.
    """
    for name, measure in todo.items():
        torch.cuda.empty_cache()
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        try:
            row = measure()
        except Exception as error:  # noqa: BLE001  one way that does not work must not hide the others
            row = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
        yield name, row


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, metavar="FILE.json")
    parser.add_argument("--provider", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["published", "mini", "small"])
    parser.add_argument("--seconds", type=float, default=1.0, help="time each way for about this long")
    parser.add_argument("--limit", type=float, default=1e9, help="start no further way after this many seconds")
    parser.add_argument("--models", type=Path, metavar="DIR", help="keep the exported encoders here")
    options = parser.parse_args()
    torch.set_float32_matmul_precision("high")
    started = time.perf_counter()
    about, results = machine(*PACKAGES), []
    print(described(about), flush=True)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder, arrays = options.models or Path(name), sample(8192)
        for size in options.sizes:
            chosen = arrays if options.provider == "cuda" else first(arrays, 64)
            if time.perf_counter() - started > options.limit:
                break
            prepare(size, folder, ("fp16",))
            rows: dict[str, dict[str, Any]] = {}
            results.append({"size": size, "jets": len(chosen[1]), "ways": rows})
            print(f"\n{size}, mean {chosen[1].mean():.1f} particles", flush=True)
            for way, row in measured(ways(size, folder, chosen, options.provider, options.seconds)):
                rows[way] = row
                if "jets_per_second" in row and "jets_per_second" in rows["limit"]:
                    row["of_limit"] = row["jets_per_second"] / rows["limit"]["jets_per_second"]
                print(f"{way:15} {text(row)}", flush=True)
                write_text(options.output, json.dumps({"machine": about, "results": results}, indent=1))
                if time.perf_counter() - started > options.limit:
                    print("out of time")
                    break


def text(row: dict[str, Any]) -> str:
    """Give a row as text.

    Parameters
    ----------
    row
        What was measured of a way.

    Returns
    -------
    str
        One line.
    """
    if "error" in row:
        return str(row["error"])
    if "kernels" in row:
        return ", ".join(f"{share:.1%} {name.strip()}" for name, share in row["kernels"].items())
    shown = [f"{row['jets_per_second']:12,.0f} jets/s"]
    shown += [f"{row[name]:.1%} {name.replace('_', ' ')}" for name in ("of_limit", "outside", "padding") if name in row]
    return ", ".join([*shown, *([row["note"]] if "note" in row else [])])


if __name__ == "__main__":
    main()
