"""Seconds, processor seconds and memory of what a benchmark times."""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path


class PeakMemory:
    """The largest private memory (without mapped files, which the kernel may take back) of this process, in MB."""

    def __init__(self) -> None:
        self.peak, self._stop = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            lines = Path("/proc/self/status").read_text().splitlines()
            self.peak = max(self.peak, *(int(line.split()[1]) / 1e3 for line in lines if line.startswith("RssAnon")))

    def stop(self) -> float:
        """End the watch; give the peak.

        Returns
        -------
        float
            MB.
        """
        self._stop.set()
        self._thread.join()
        return self.peak


def processor_time() -> float:
    """Seconds of processor time of this process and its ended children.

    Returns
    -------
    float
        Seconds.
    """
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def measure(batches: Callable[[], Iterator[int]], epochs: int) -> dict[str, float]:
    """Jets, seconds and processor seconds of ``epochs`` epochs after one that warms up, and the peak memory.

    Parameters
    ----------
    batches
        Starts an epoch, whose batches say how many jets they hold.
    epochs
        How many are timed.

    Returns
    -------
    dict
        ``jets``, ``wall`` and ``cpu`` (s), ``memory`` (MB).
    """
    memory = PeakMemory()
    for _ in batches():
        pass
    wall, used, jets = time.perf_counter(), processor_time(), 0
    for _ in range(epochs):
        jets += sum(batches())
    return {
        "jets": jets,
        "wall": time.perf_counter() - wall,
        "cpu": processor_time() - used,
        "memory": memory.stop(),
    }
