"""What a second worker brings, beside what a second process that knows nothing of Dask brings, in turns.

Every worker gets as many events as every other: twice the workers, twice the events. The four cases follow one another
within a round, so that a machine whose speed drifts does so under all of them.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import psutil

from jepa_coffea import clusters

Files = list[str]
Embed = Callable[..., dict[str, Any]]
"""Embeds files with a client, or without one: ``embed(files, client)``."""


def scaling(embed: Embed, files: Files, rounds: int) -> dict[str, Any]:
    """Events per second by 1 and 2 workers and by 1 and 2 plain processes, medians over rounds; efficiencies by round.

    Parameters
    ----------
    embed
        The work; picklable.
    files
        For two workers; one worker gets the first half.
    rounds
        How many.

    Returns
    -------
    dict
        Events per second, efficiencies and their spread, loads of the model.
    """
    half = len(files) // 2
    shares = [files[:half], files[half:]]
    kept: dict[str, dict[int, list[float]]] = {
        name: {1: [], 2: []} for name in ("workers, wall", "workers, in chunks", "processes, wall")
    }
    beside, loads = [], []
    with _processes(embed, shares) as processes, clusters.local(1) as one, clusters.local(2) as two:
        processes(2)
        for client in (one, two):
            embed(files, client)
        for _ in range(rounds):
            for number, client in ((1, one), (2, two)):
                kept["processes, wall"][number].append(processes(number))
                used = _Used(client)
                found = embed(files[: half * number], client)
                if number == 2:
                    beside.append(used.beside_the_work(found["seconds_run"]))
                kept["workers, wall"][number].append(found["events"] / found["seconds_run"])
                kept["workers, in chunks"][number].append(found["events"] * number / found["seconds"]["total"])
                loads.append(found["loads"])
    efficiency = {
        name: [b / (2 * a) for a, b in zip(speeds[1], speeds[2], strict=True)] for name, speeds in kept.items()
    }
    return {
        "events per second": {name: {n: median(v) for n, v in speeds.items()} for name, speeds in kept.items()},
        "efficiency": {name: _spread(values) for name, values in efficiency.items()},
        "workers over processes": {
            n: _spread([a / b for a, b in zip(kept["workers, wall"][n], kept["processes, wall"][n], strict=True)])
            for n in (1, 2)
        },
        "share of two cores beside the work": median(beside),
        "loads after warm-up": max(loads),
    }


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": median(values), "least": min(values), "most": max(values)}


class _Used:
    """Processor time of the workers and of this process, with client and scheduler, from now on."""

    def __init__(self, client: Any) -> None:
        self.processes = [psutil.Process(pid) for pid in client.run(os.getpid).values()]
        self.before = [self._threads(process) for process in self.processes]
        self.own = time.process_time()

    @staticmethod
    def _threads(process: psutil.Process) -> dict[int, float]:
        return {thread.id: thread.user_time + thread.system_time for thread in process.threads()}

    def beside_the_work(self, seconds: float) -> float:
        """All but the one thread of each worker that works, as a share of as many cores as there are workers."""
        used = time.process_time() - self.own
        for process, before in zip(self.processes, self.before, strict=True):
            threads = sorted(now - before.get(name, 0) for name, now in self._threads(process).items())
            used += sum(threads[:-1])
        return used / (seconds * len(self.processes))


@contextmanager
def _processes(embed: Embed, shares: list[Files]) -> Iterator[Callable[[int], float]]:
    """Processes without Dask, one for each share; the function makes the first of them work, events per second."""
    context = multiprocessing.get_context("spawn")
    pipes, started = [], []
    for share in shares:
        here, there = context.Pipe()
        started.append(context.Process(target=_serve, args=(embed, share, there)))
        started[-1].start()
        pipes.append(here)

    def work(number: int) -> float:
        for pipe in pipes[:number]:
            pipe.send(True)
        found = [pipe.recv() for pipe in pipes[:number]]
        return float(sum(events for events, _ in found) / max(seconds for _, seconds in found))

    try:
        yield work
    finally:
        for pipe, process in zip(pipes, started, strict=True):
            pipe.send(False)
            process.join()


def _serve(embed: Embed, files: Files, pipe: Any) -> None:
    while pipe.recv():
        found = embed(files, None)
        pipe.send((found["events"], found["seconds_run"]))
