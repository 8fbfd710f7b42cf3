"""Shards in parallel processes, with a progress bar that counts what was accepted and generated."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from rich.console import Console

from jepa_coffea.progress import Bar, rate

Task = TypeVar("Task")
Result = TypeVar("Result")
Report = Callable[[int, int], None]

_queue: Any = None  # in a worker process: where it reports to


def _connect(queue: Any) -> None:
    global _queue
    _queue = queue
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


class _Work(Generic[Task, Result]):
    """One task in a worker."""

    def __init__(self, function: Callable[[Task, Report], Result]) -> None:
        self.function = function

    def __call__(self, task: Task) -> Result:
        return self.function(task, lambda accepted, generated: _queue.put((accepted, generated)))


class Accepted:
    """A progress bar of a whole sample: accepted of wanted, generated, rate, and the time that is left.

    Parameters
    ----------
    title
        What is made.
    wanted
        Events or jets in all.
    unit
        Which of the two.
    kept
        How many are there from before.
    """

    def __init__(self, title: str, wanted: int, unit: str, *, kept: int = 0) -> None:
        self._bar = Bar(title, Console(stderr=True))
        self._wanted, self._unit, self._kept = wanted, unit, kept
        self._new = self._generated = 0

    def __enter__(self) -> Self:
        self._bar.__enter__()
        self._started = time.monotonic()
        self.advance(0, 0)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._bar.__exit__(kind, error, tb)

    def advance(self, accepted: int, generated: int) -> None:
        """Count newly accepted and generated events.

        Parameters
        ----------
        accepted
            Events or jets that were kept.
        generated
            Events that were generated for them.
        """
        self._new += accepted
        self._generated += generated
        done = self._kept + self._new
        pace = rate(self._new, time.monotonic() - self._started, self._unit)
        numbers = f"{done} of {self._wanted} {self._unit}, of {self._generated} generated, {pace}"
        self._bar.show(done / max(self._wanted, 1), numbers)


def run(
    function: Callable[[Task, Report], Result], tasks: Sequence[Task], *, workers: int, bar: Accepted
) -> Iterator[tuple[Task, Result]]:
    """Results of ``function(task, report)`` in the order of the tasks.

    Parameters
    ----------
    function
        importable by name, as worker processes are started afresh.
    tasks
        what to give to the function.
    workers
        processes; with 1 the work is done in this one.
    bar
        shown while they run.

    Yields
    ------
    tuple
        Task and result.

    Raises
    ------
    whatever the function raises; ``concurrent.futures.process.BrokenProcessPool`` when a worker is killed.
    """
    if workers == 1:
        for task in tasks:
            yield task, function(task, bar.advance)
        return
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    listener = threading.Thread(target=_listen, args=(queue, bar), daemon=True)
    listener.start()
    pool = ProcessPoolExecutor(
        min(workers, max(len(tasks), 1)), mp_context=context, initializer=_connect, initargs=(queue,)
    )
    try:
        yield from zip(tasks, pool.map(_Work(function), tasks), strict=True)
    finally:
        pool.shutdown(cancel_futures=True)
        queue.put(None)
        listener.join()


def _listen(queue: Any, bar: Accepted) -> None:
    while (message := queue.get()) is not None:
        bar.advance(*message)
