"""One way of benchmarks/inference.py, in a process of its own: prints its numbers as JSON.

python -m benchmarks.inference_ways WAY SIZE MODELS JETS.npz PROVIDER THREADS SECONDS
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnxruntime
import torch

from benchmarks.inference_setup import SIZES, Arrays, encoder_of, model_file
from training.models.encoder import EncoderConfig
from training.models.flops import encoder_macs

BATCH = {"cpu": 64, "cuda": 2048}
"""Jets that they run at a time."""

SHOWN = 16
"""Jets whose embeddings are compared."""


def cut(arrays: Arrays, most: int) -> Arrays:
    """The jets with their hardest particles, as many as the model takes, so that all ways do the same."""
    flat, counts, axes = arrays
    kept = np.concatenate([np.arange(count) < most for count in counts])
    return flat[kept], np.minimum(counts, most), axes


def padded(arrays: Arrays, first: int, last: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Jets as [jet, 128, field], mask and four-momenta."""
    flat, counts, axes = arrays
    particles = np.zeros((last - first, 128, flat.shape[1]), np.float32)
    mask = np.arange(128) < counts[first:last, None]
    start = int(counts[:first].sum())
    particles[mask] = flat[start : start + int(counts[first:last].sum())]
    return particles, mask, axes[first:last]


def repeated(run: Callable[[], int], seconds: float) -> float:
    """Jets a second of ``run``, which says how many it did; the first call is not timed."""
    run()
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        done += run()
    return done / (time.perf_counter() - start)


def limit(size: str, arrays: Arrays, provider: str, seconds: float) -> dict[str, Any]:
    """The fastest product measured, in the precision that the hardware is built for, over the work of these jets."""
    config = EncoderConfig(**SIZES[size])
    counts = np.minimum(arrays[1], config.max_particles)
    macs = float(np.mean([encoder_macs(config, int(n)) for n in counts]))
    dtype, shapes = torch.float32, [(1024, config.dim, 4 * config.dim), (1024, 1024, 1024), (2048, 2048, 2048)]
    if provider == "cuda":
        dtype, shapes = torch.float16, [(8192, 8192, 8192), (65536, config.dim, 4 * config.dim)]
    best = 0.0
    for m, k, n in shapes:
        a = torch.randn(m, k, dtype=dtype, device=provider)
        b = torch.randn(k, n, dtype=dtype, device=provider)

        def product(a: torch.Tensor = a, b: torch.Tensor = b) -> int:
            for _ in range(10):
                a @ b
            if provider == "cuda":
                torch.cuda.synchronize()
            return 10

        # The best of several short stretches: others may use the machine.
        rates = [repeated(product, seconds / 20) for _ in range(6)]
        best = max(best, max(rates) * m * k * n)
    speed = best / macs
    return {
        "jets_per_second": speed,
        "macs_per_jet": macs,
        "note": f"{2e-9 * best:,.0f} GFLOP/s",
        "gflops": 2e-9 * best,
    }


def torch_padded(size: str, arrays: Arrays, provider: str, seconds: float) -> dict[str, Any]:
    """coffea's wrapper of a TorchScript file; plain torch on a GPU machine, where coffea need not be."""
    encoder = encoder_of(size)
    call: Callable[..., np.ndarray]
    if provider == "cpu":
        import awkward as ak
        from coffea.ml_tools.torch_wrapper import torch_wrapper

        class Wrapper(torch_wrapper):
            def prepare_awkward(self, *columns: ak.Array) -> tuple[tuple[ak.Array, ...], dict[str, Any]]:
                return columns, {}

        class Embedding(torch.nn.Module):
            def forward(self, particles: torch.Tensor, mask: torch.Tensor, jets: torch.Tensor) -> torch.Tensor:
                return encoder(particles, mask, jets).jet

            def __init__(self) -> None:
                super().__init__()
                self.encoder = encoder

        inputs = tuple(map(torch.from_numpy, padded(arrays, 0, 2)))
        # Autograd functions cannot be traced; the branch for exporting has none.
        with torch.no_grad(), mock.patch("torch.compiler.is_exporting", return_value=True):
            traced = torch.jit.trace(Embedding(), inputs, check_trace=False)
        with tempfile.NamedTemporaryFile(suffix=".pt") as file:
            torch.jit.save(traced, file.name)
            wrapper = Wrapper(file.name)
            _ = wrapper.model

        def call(*columns: np.ndarray) -> np.ndarray:
            return np.asarray(wrapper(*(ak.from_numpy(column) for column in columns)))
    else:
        encoder = encoder.to(provider)

        def call(*columns: np.ndarray) -> np.ndarray:
            with torch.no_grad():
                inputs = (torch.from_numpy(column).to(provider) for column in columns)
                return encoder(*inputs).jet.cpu().numpy()

    return in_batches(call, arrays, provider, seconds)


def ort_padded(size: str, folder: Path, arrays: Arrays, provider: str, threads: int, seconds: float) -> dict[str, Any]:
    """ONNX Runtime with its defaults, but for the number of threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    name = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}[provider]
    if provider == "cuda":
        onnxruntime.preload_dlls()
    session = onnxruntime.InferenceSession(str(model_file(folder, size, "fp32")), options, providers=[name])
    assert session.get_providers()[0] == name

    def call(*columns: np.ndarray) -> np.ndarray:
        return session.run(["embedding"], dict(zip(("particles", "mask", "jets"), columns, strict=True)))[0]

    return in_batches(call, arrays, provider, seconds)


def in_batches(call: Callable[..., np.ndarray], arrays: Arrays, provider: str, seconds: float) -> dict[str, Any]:
    """Time a function of padded arrays."""
    batch = min(BATCH[provider], len(arrays[1]))
    position = 0

    def run() -> int:
        nonlocal position
        first = position % (len(arrays[1]) - batch + 1)
        call(*padded(arrays, first, first + batch))
        position += batch
        return batch

    speed = repeated(run, seconds)
    slots = 128 * len(arrays[1])
    shown = call(*padded(arrays, 0, SHOWN))
    return {"jets_per_second": speed, "padding": slots / float(arrays[1].sum()) - 1, "embedding": shown.tolist()}


def ours(
    way: str, size: str, folder: Path, arrays: Arrays, provider: Any, threads: int, seconds: float
) -> dict[str, Any]:
    """This package."""
    from jepa_coffea.encoder import OnnxEncoder

    graphs = way.endswith("-graphs")
    path = model_file(folder, size, way.removesuffix("-graphs"))
    encoder = OnnxEncoder(path, provider=provider, threads=threads if provider == "cpu" else None, cuda_graphs=graphs)
    flat, counts, axes = arrays
    if provider == "cpu":  # a chunk of a few seconds at most
        some = {"mini": 1024, "small": 256, "published": 32}[size]
        flat, counts, axes = flat[: counts[:some].sum()], counts[:some], axes[:some]
    else:
        many = 16
        flat, counts, axes = np.tile(flat, (many, 1)), np.tile(counts, many), np.tile(axes, (many, 1))
    shown = encoder(flat[: counts[:SHOWN].sum()], counts[:SHOWN], axes[:SHOWN])["embedding"]
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


@contextmanager
def device_memory(provider: str, found: dict[str, float]) -> Any:
    """Put the peak memory of the process (CPU) or of the device (GPU) into ``found``."""
    if provider == "cpu":
        yield
        found["memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return
    torch.cuda.init()
    start = torch.cuda.mem_get_info()[0]
    least, done = start, threading.Event()

    def watch() -> None:
        nonlocal least
        while not done.wait(0.02):
            least = min(least, torch.cuda.mem_get_info()[0])

    watcher = threading.Thread(target=watch)
    watcher.start()
    yield
    done.set()
    watcher.join()
    found["memory_mb"] = (start - least) / 1e6


def main() -> None:
    """Measure and print."""
    way, size, folder, jets, provider, threads, seconds = sys.argv[1:]
    torch.set_num_threads(int(threads))
    with np.load(jets) as stored:
        arrays = cut(
            (stored["particles"], stored["counts"], stored["jets"]), EncoderConfig(**SIZES[size]).max_particles
        )
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
    print(json.dumps(row))


if __name__ == "__main__":
    main()
