"""Seconds, processor seconds and memory of what a benchmark times, and on what machine."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
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
        self._stop.set()
        self._thread.join()
        return self.peak


def processor_time() -> float:
    """Seconds of processor time of this process and its ended children."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def measure(batches: Callable[[], Iterator[int]], epochs: int) -> dict[str, float]:
    """Jets, seconds and processor seconds of ``epochs`` epochs after one that warms up, and the peak memory."""
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


def machine(*packages: str) -> str:
    """Processor, cores, Python, package versions and commit, in a line each."""
    names = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return (
        f"machine: {names[0] if names else platform.processor()}, {len(os.sched_getaffinity(0))} cores\n"
        f"python {platform.python_version()}, {versions}\n"
        f"commit: {commit.stdout.strip() or 'not a checkout'}"
    )
