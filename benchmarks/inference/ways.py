"""One way of the inference benchmark, in a process of its own: prints its numbers as JSON.

python -m benchmarks.inference.ways WAY SIZE MODELS JETS.npz PROVIDER THREADS SECONDS
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.inference.measure import device_memory, limit, repeated
from benchmarks.inference.padded import ort_padded, torch_padded
from benchmarks.inference.profile import profile
from benchmarks.inference.setup import SHOWN, Arrays, first, macs, model_file

PROFILED = 4
"""One in so many jets is profiled."""


def ours(
    way: str, size: str, folder: Path, arrays: Arrays, provider: Any, threads: int, seconds: float
) -> dict[str, Any]:
    """This package.

    Parameters
    ----------
    way
        ``fp32``, ``int8`` or ``fp16``, with or without ``-graphs``.
    size
        Of the encoder: one of ``SIZES``.
    folder
        Of the model files.
    arrays
        The jets: particles [sum(counts), field], counts [jet], axes [jet, 4] (GeV).
    provider
        ``cpu`` or ``cuda``.
    threads
        CPU threads.
    seconds
        To time for.

    Returns
    -------
    dict
        ``jets_per_second``, ``padding``, ``embedding`` of the first jets, and ``outside`` on a CPU.
    """
    from jepa_coffea.encoder import OnnxEncoder

    graphs = way.endswith("-graphs")
    path = model_file(folder, size, way.removesuffix("-graphs"))
    encoder = OnnxEncoder(path, provider=provider, threads=threads if provider == "cpu" else None, cuda_graphs=graphs)
    flat, counts, axes = arrays
    if provider != "cpu":
        many = 16
        flat, counts, axes = np.tile(flat, (many, 1)), np.tile(counts, many), np.tile(axes, (many, 1))
    shown = encoder(*first(arrays, SHOWN))["embedding"]
    before = encoder.metrics()

    def _run() -> int:
        encoder(flat, counts, axes)
        return len(counts)

    speed = repeated(_run, seconds)
    after = encoder.metrics()
    spent = {name: after[name] - before[name] for name in ("seconds", "session_seconds", "padding", "particles")}
    row = {"jets_per_second": speed, "padding": spent["padding"] / spent["particles"], "embedding": shown.tolist()}
    if provider == "cpu":
        row["outside"] = 1 - spent["session_seconds"] / spent["seconds"] / threads
    return row


def main() -> None:
    """Measure and print."""
    way, size, folder, jets, provider, threads, seconds = sys.argv[1:]
    with np.load(jets) as stored:
        arrays = (stored["particles"], stored["counts"], stored["jets"])
    found: dict[str, float] = {}
    with device_memory(provider, found):
        if way == "limit":
            row = limit(size, arrays, provider, int(threads), float(seconds))
        elif way == "torch":
            row = torch_padded(size, arrays, provider, float(seconds))
        elif way == "ort":
            row = ort_padded(size, Path(folder), arrays, provider, int(threads), float(seconds))
        else:
            row = ours(way, size, Path(folder), arrays, provider, int(threads), float(seconds))
    if way != "limit":
        row |= found
    if way in ("fp32", "int8") and provider == "cpu":
        some = first(arrays, len(arrays[1]) // PROFILED)
        row["profile"] = profile(model_file(Path(folder), size, way), some) | {"macs": macs(size, some[1])}
    print(json.dumps(row))


if __name__ == "__main__":
    main()
