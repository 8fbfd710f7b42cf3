"""One way of benchmarks/inference.py, in a process of its own: prints its numbers as JSON.

python -m benchmarks.inference_ways WAY SIZE MODELS JETS.npz PROVIDER THREADS SECONDS
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.inference_measure import device_memory, limit, repeated
from benchmarks.inference_padded import ort_padded, torch_padded
from benchmarks.inference_profile import profile
from benchmarks.inference_setup import SHOWN, SIZES, Arrays, model_file
from training.models.encoder import EncoderConfig
from training.models.flops import encoder_macs

CHUNK = {"mini": 1024, "small": 256, "published": 32}
"""Jets that a CPU takes a few seconds for; all ways get the same ones."""

PROFILED = 4
"""One in so many of them is profiled."""


def first(arrays: Arrays, jets: int) -> Arrays:
    """That many of the jets."""
    flat, counts, axes = arrays
    return flat[: counts[:jets].sum()], counts[:jets], axes[:jets]


def cut(arrays: Arrays, most: int) -> Arrays:
    """The jets with their hardest particles, as many as the model takes, so that all ways do the same."""
    flat, counts, axes = arrays
    kept = np.concatenate([np.arange(count) < most for count in counts])
    return flat[kept], np.minimum(counts, most), axes


def ours(
    way: str, size: str, folder: Path, arrays: Arrays, provider: Any, threads: int, seconds: float
) -> dict[str, Any]:
    """This package."""
    from jepa_coffea.encoder import OnnxEncoder

    graphs = way.endswith("-graphs")
    path = model_file(folder, size, way.removesuffix("-graphs"))
    encoder = OnnxEncoder(path, provider=provider, threads=threads if provider == "cpu" else None, cuda_graphs=graphs)
    flat, counts, axes = arrays
    if provider != "cpu":
        many = 16
        flat, counts, axes = np.tile(flat, (many, 1)), np.tile(counts, many), np.tile(axes, (many, 1))
    shown = encoder(*first(arrays, SHOWN))["embedding"]
    encoder(flat, counts, axes)
    before = encoder.metrics()

    def run() -> int:
        encoder(flat, counts, axes)
        return len(counts)

    speed = repeated(run, seconds)
    after = encoder.metrics()
    spent = {name: after[name] - before[name] for name in ("seconds", "session_seconds", "padding", "particles")}
    row = {"jets_per_second": speed, "padding": spent["padding"] / spent["particles"], "embedding": shown.tolist()}
    if provider == "cpu":
        row["outside"] = 1 - spent["session_seconds"] / spent["seconds"] / threads
    return row


def main() -> None:
    """Measure and print."""
    way, size, folder, jets, provider, threads, seconds = sys.argv[1:]
    torch.set_num_threads(int(threads))
    with np.load(jets) as stored:
        arrays = cut(
            (stored["particles"], stored["counts"], stored["jets"]), EncoderConfig(**SIZES[size]).max_particles
        )
    if provider == "cpu":
        arrays = first(arrays, CHUNK[size])
    found: dict[str, float] = {}
    with device_memory(provider, found):
        if way == "limit":
            row = limit(size, arrays, provider, float(seconds))
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
        work = sum(encoder_macs(EncoderConfig(**SIZES[size]), int(n)) for n in some[1])
        row["profile"] = profile(model_file(Path(folder), size, way), some) | {"macs": work}
    print(json.dumps(row))


if __name__ == "__main__":
    main()
