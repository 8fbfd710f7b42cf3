"""How fast a function is, how fast the hardware could be, and how much memory that took."""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from benchmarks.inference_setup import SIZES, Arrays
from training.models.encoder import EncoderConfig
from training.models.flops import encoder_macs


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

        times = 10 if provider == "cuda" else max(1, 2**32 // (m * k * n))

        def product(a: torch.Tensor = a, b: torch.Tensor = b, times: int = times) -> int:
            for _ in range(times):
                a @ b
            if provider == "cuda":
                torch.cuda.synchronize()
            return times

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
