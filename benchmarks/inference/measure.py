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

from benchmarks.encoders import encoder_config
from benchmarks.inference.setup import Arrays, macs
from benchmarks.products import GPU_SHAPES, SHAPES, product_rates


def repeated(run: Callable[[], int], seconds: float) -> float:
    """Jets per second of ``run``, which says how many it did.

    The first call is not counted, unless it took ``seconds`` alone: then it is the only one.

    Parameters
    ----------
    run
        Does some jets and says how many.
    seconds
        To repeat it for.

    Returns
    -------
    float
        Jets per second.
    """
    start = time.perf_counter()
    done = run()
    if (spent := time.perf_counter() - start) >= seconds:
        return done / spent
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        done += run()
    return done / (time.perf_counter() - start)


def limit(size: str, arrays: Arrays, provider: str, threads: int, seconds: float) -> dict[str, Any]:
    """Divide the fastest matrix product of any library by the work of these jets.

    Parameters
    ----------
    size
        Of the encoder, one of ``SIZES``.
    arrays
        The jets.
    provider
        ``cpu`` (fp32) or ``cuda`` (fp16): the precision that the hardware is built for.
    threads
        CPU threads.
    seconds
        To measure for, about.

    Returns
    -------
    dict
        ``jets_per_second``, ``macs_per_jet``, ``gflops``, ``library`` (the fastest), ``gflops_by_library``, ``note``.
    """
    work = macs(size, arrays[1]) / len(arrays[1])
    dim = encoder_config(size).embed_dims[-1]
    if provider == "cuda":
        rates = product_rates("cuda", "float16", shapes=[*GPU_SHAPES, (65536, dim, 4 * dim)], seconds=seconds)
    else:
        rates = product_rates(shapes=[*SHAPES, (1024, dim, 4 * dim)], threads=threads, seconds=seconds)
    library = max(rates, key=lambda name: rates[name])
    return {
        "jets_per_second": rates[library] / (2 * work),
        "macs_per_jet": work,
        "note": f"{rates[library] / 1e9:,.0f} GFLOP/s by {library}",
        "gflops": rates[library] / 1e9,
        "library": library,
        "gflops_by_library": {name: rate / 1e9 for name, rate in rates.items()},
    }


def peak_memory() -> float:
    """The most memory that this process ever had resident, in MB.

    ``ru_maxrss`` is what its parent had when it was forked, if that was more: it survives the exec.

    Returns
    -------
    float
        MB.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6
    except (OSError, StopIteration):  # not Linux
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


@contextmanager
def device_memory(provider: str, found: dict[str, float]) -> Any:
    """Put the peak memory of the process (CPU) or of the device (GPU) into ``found``.

    Parameters
    ----------
    provider
        ``cpu`` or ``cuda``.
    found
        Gets ``memory_mb``.

    Yields
    ------
    None
        To the block that is measured.
    """
    if provider == "cpu":
        yield
        found["memory_mb"] = peak_memory()
        return
    import torch

    torch.cuda.init()
    start = torch.cuda.mem_get_info()[0]
    least, done = start, threading.Event()

    def _watch() -> None:
        nonlocal least
        while not done.wait(0.02):
            least = min(least, torch.cuda.mem_get_info()[0])

    watcher = threading.Thread(target=_watch)
    watcher.start()
    yield
    done.set()
    watcher.join()
    found["memory_mb"] = (start - least) / 1e6
