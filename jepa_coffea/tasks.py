"""Independent tasks, here or on a Dask cluster, with a progress bar; results in the order of the tasks either way."""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from typing import Any, TypeVar

from rich.console import Console

from jepa_coffea.progress import counted

T = TypeVar("T")


def run_tasks(
    function: Callable[..., T],
    tasks: Sequence[Any],
    shared: Sequence[Any] = (),
    *,
    client: Any = None,
    progress: bool = False,
    description: str = "",
    unit: str = "tasks",
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
        Show how many are done, how fast, and the time that is left.
    description
        What the tasks are.
    unit
        What one of them is called in the progress, in the plural.
    done
        Called here with (number of the task, result) as each task ends, in any order.

    Returns
    -------
    list
        In the order of the tasks.
    """
    results: list[Any] = [None] * len(tasks)
    ended = _here(function, tasks, shared) if client is None else _there(function, tasks, shared, client)
    console = Console(quiet=not progress)
    # Both are closed here, or a failing ``done`` would leave the tasks of a cluster running as long as its traceback.
    with (
        closing(ended),
        closing(counted(ended, len(tasks), description, console, size=lambda _: 1, unit=unit)) as shown,
    ):
        for number, result in shown:
            results[number] = result
            if done is not None:
                done(number, result)
    return results


def _here(
    function: Callable[..., T], tasks: Sequence[Any], shared: Sequence[Any]
) -> Generator[tuple[int, T], None, None]:
    """Number and result of each task, done in this process."""
    return ((number, function(task, *shared)) for number, task in enumerate(tasks))


def _there(
    function: Callable[..., T], tasks: Sequence[Any], shared: Sequence[Any], client: Any
) -> Generator[tuple[int, T], None, None]:
    """Number and result of each task as it ends on a cluster; what is not done is cancelled when nobody asks on."""
    from distributed import as_completed

    here = [client.scatter(item, broadcast=True, hash=False) for item in shared]
    futures = client.map(function, tasks, *([item] * len(tasks) for item in here), pure=False)
    numbers = {future.key: number for number, future in enumerate(futures)}
    try:
        for future in as_completed(futures):
            yield numbers[future.key], future.result()
            future.release()
    finally:
        client.cancel(futures)
