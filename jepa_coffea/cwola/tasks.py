"""Independent tasks, here or on a Dask cluster, with a progress bar; results in the order of the tasks either way."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

T = TypeVar("T")


def progress_bar(enabled: bool) -> Progress:
    """A progress bar: what, how many of how many, elapsed, remaining.

    Parameters
    ----------
    enabled
        Show it.

    Returns
    -------
    rich.progress.Progress
    """
    return Progress(
        TextColumn("{task.description:<34}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        disable=not enabled,
    )


def run_tasks(
    function: Callable[..., T],
    tasks: Sequence[Any],
    shared: Sequence[Any] = (),
    *,
    client: Any = None,
    progress: bool = False,
    description: str = "",
    done: Callable[[int, T], None] | None = None,
) -> list[T]:
    """``[function(task, *shared) for task in tasks]``, here or on a cluster.

    An exception in a task is raised here and stops the rest.

    Parameters
    ----------
    function
        A pure function, picklable when there is a client.
    tasks
        First argument of each call.
    shared
        Arguments common to all tasks; sent to each worker once.
    client
        A ``dask.distributed.Client``; without one the tasks run here, one after another.
    progress
        Show a progress bar.
    description
        What the bar says.
    done
        Called here with (number of the task, result) as each task ends, in any order.

    Returns
    -------
    list
        In the order of the tasks.
    """
    results: list[Any] = [None] * len(tasks)
    with progress_bar(progress) as bar:
        shown = bar.add_task(description, total=len(tasks))

        def finish(number: int, result: T) -> None:
            results[number] = result
            if done is not None:
                done(number, result)
            bar.advance(shown)

        if client is None:
            for number, task in enumerate(tasks):
                finish(number, function(task, *shared))
            return results
        from distributed import as_completed

        here = [client.scatter(item, broadcast=True, hash=False) for item in shared]
        futures = client.map(function, tasks, *([item] * len(tasks) for item in here), pure=False)
        numbers = {future.key: number for number, future in enumerate(futures)}
        try:
            for future in as_completed(futures):
                finish(numbers[future.key], future.result())
                future.release()
        finally:
            client.cancel(futures)
    return results
