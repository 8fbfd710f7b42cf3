"""Tasks here and on a cluster: results in order, and nothing left running behind a failure."""

import time

import pytest
from distributed import Client, Event, LocalCluster, Scheduler

from jepa_coffea.tasks import run_tasks


def waiting(number: int, factor: int) -> int:
    """The first is done at once, the others when somebody lets them."""
    if number:
        Event("go").wait(60)
    return factor * number


def waiting_tasks(dask_scheduler: Scheduler) -> list[str]:
    """Those that somebody still wants."""
    return [str(key) for key, task in dask_scheduler.tasks.items() if "waiting" in str(key) and task.who_wants]


def test_results_are_in_the_order_of_the_tasks() -> None:
    ended: list[int] = []
    found = run_tasks(
        lambda number, factor: factor * number, [3, 1, 2], (10,), done=lambda number, _: ended.append(number)
    )
    assert found == [30, 10, 20]
    assert ended == [0, 1, 2]


def test_a_failure_here_cancels_what_is_not_done_there() -> None:
    def full(number: int, result: int) -> None:
        raise OSError("disk full")

    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        # The traceback, which holds everything that the call had, is alive at the assertion.
        with pytest.raises(OSError, match="disk full") as failure:
            run_tasks(waiting, [0, 1, 2, 3], (10,), client=client, done=full)
        assert failure.tb is not None
        # The scheduler hears of it a little later.
        until = time.monotonic() + 30
        while (wanted := client.run_on_scheduler(waiting_tasks)) and time.monotonic() < until:
            time.sleep(0.05)
        assert not wanted
        Event("go").set()
