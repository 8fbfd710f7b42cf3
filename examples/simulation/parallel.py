"""Shards in parallel processes, with a progress bar that counts what was accepted and generated."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, Generic, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

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
    """One task in a worker: the function, and whose row of the progress bar it belongs to."""

    def __init__(self, function: Callable[[Task, Report], Result]) -> None:
        self.function = function

    def __call__(self, name: str, task: Task) -> Result:
        return self.function(task, lambda accepted, generated: _queue.put((name, accepted, generated)))


class Bars:
    """One progress bar a sample: accepted of wanted, generated, rate.

    Parameters
    ----------
    wanted
        How many of each sample are wanted.
    console
        Where the bars are shown.
    """

    def __init__(self, wanted: dict[str, int], *, console: Console | None = None) -> None:
        self._progress = Progress(
            TextColumn("{task.description:>8}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} accepted of {task.fields[generated]} generated"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
        )
        self._bars = {name: self._progress.add_task(name, total=n, generated=0) for name, n in wanted.items()}
        self._generated: Counter[str] = Counter()

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._progress.stop()

    def advance(self, name: str, accepted: int, generated: int) -> None:
        """Count newly accepted and generated events.

        Parameters
        ----------
        name
            Of the sample.
        accepted
            Events or jets that were kept.
        generated
            Events that were generated for them.
        """
        self._generated[name] += generated
        self._progress.update(self._bars[name], advance=accepted, generated=self._generated[name])


def run(
    function: Callable[[Task, Report], Result], tasks: Sequence[tuple[str, Task]], *, workers: int, bars: Bars
) -> Iterator[tuple[str, Task, Result]]:
    """Results of ``function(task, report)`` in the order of the tasks.

    Parameters
    ----------
    function
        importable by name, as worker processes are started afresh.
    tasks
        pairs of sample name (of the progress bar) and what to give to the function.
    workers
        processes; with 1 the work is done in this one.
    bars
        shown while they run.

    Yields
    ------
    tuple
        Name, task and result.

    Raises
    ------
    whatever the function raises; ``concurrent.futures.process.BrokenProcessPool`` when a worker is killed.
    """
    if workers == 1:
        for name, task in tasks:
            yield name, task, function(task, lambda a, g, name=name: bars.advance(name, a, g))  # type: ignore[misc]
        return
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    listener = threading.Thread(target=_listen, args=(queue, bars), daemon=True)
    listener.start()
    pool = ProcessPoolExecutor(
        min(workers, max(len(tasks), 1)), mp_context=context, initializer=_connect, initargs=(queue,)
    )
    try:
        results = pool.map(_Work(function), [name for name, _ in tasks], [task for _, task in tasks])
        for (name, task), result in zip(tasks, results, strict=True):
            yield name, task, result
    finally:
        pool.shutdown(cancel_futures=True)
        queue.put(None)
        listener.join()


def _listen(queue: Any, bars: Bars) -> None:
    while (message := queue.get()) is not None:
        bars.advance(*message)
