"""How fast a function is, how fast the hardware could be, and how much memory that took."""

from __future__ import annotations

import resource
import sys
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.inference_setup import SIZES, Arrays, macs


def repeated(run: Callable[[], int], seconds: float) -> float:
    """Jets a second of ``run``, which says how many it did.

    The first call is not counted, unless it took ``seconds`` alone: then it is the only one.
    """
    start = time.perf_counter()
    done = run()
    if (spent := time.perf_counter() - start) >= seconds:
        return done / spent
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        done += run()
    return done / (time.perf_counter() - start)


def limit(size: str, arrays: Arrays, provider: str, seconds: float) -> dict[str, Any]:
    """The fastest product measured, in the precision that the hardware is built for, over the work of these jets."""
    import torch

    work = macs(size, arrays[1]) / len(arrays[1])
    dim = SIZES[size]["embed_dims"][-1]
    dtype, shapes = torch.float32, [(1024, dim, 4 * dim), (1024, 1024, 1024), (2048, 2048, 2048)]
    if provider == "cuda":
        dtype, shapes = torch.float16, [(8192, 8192, 8192), (65536, dim, 4 * dim)]
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
    return {
        "jets_per_second": best / work,
        "macs_per_jet": work,
        "note": f"{2e-9 * best:,.0f} GFLOP/s",
        "gflops": 2e-9 * best,
    }


def peak_memory() -> float:
    """The most memory that this process ever had resident, in MB.

    ``ru_maxrss`` is what its parent had when it was forked, if that was more: it survives the exec.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6
    except (OSError, StopIteration):  # not Linux
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


@contextmanager
def device_memory(provider: str, found: dict[str, float]) -> Any:
    """Put the peak memory of the process (CPU) or of the device (GPU) into ``found``."""
    if provider == "cpu":
        yield
        found["memory_mb"] = peak_memory()
        return
    import torch

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
