"""Executors for coffea's Runner that tell faults of the input, and know when a cluster is gone."""

from __future__ import annotations

import _thread
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from coffea.processor.executor import DaskExecutor, IterativeExecutor

from jepa_coffea.clusters.client import ClusterError
from jepa_coffea.processing.input_faults import Guarded

GPU, POOL = "GPU", "POOL"
"""Dask resources: a worker with a GPU, and one for opening files and adding up results."""

PATIENCE = 40.0
"""Seconds without scheduler, or without any worker where some were, until a cluster is given up."""


@dataclass
class HereExecutor(IterativeExecutor):
    """coffea's executor of this process, with faults of the input told from all other errors."""

    skip: bool = False

    def __call__(self, items: Any, function: Any, accumulator: Any) -> Any:
        return super().__call__(items, Guarded(function, skip=self.skip), accumulator)


@dataclass
class PinnedExecutor(DaskExecutor):
    """coffea's Dask executor with chunks only on the workers that have a resource, and reductions on others.

    ``dask.annotate`` would tag all tasks alike.
    """

    skip: bool = False

    def __call__(self, items: Any, function: Any, accumulator: Any) -> Any:
        client = self.client
        self.client = _Pinned(client)
        try:
            with watching(client):
                return super().__call__(items, Guarded(function, skip=self.skip), accumulator)
        finally:
            self.client = client


class _Pinned:
    """A Dask client whose first ``map`` asks for a GPU, where there is one; the later ones add up results."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._resources = [resource_on(client, GPU), resource_on(client, POOL)]

    def map(self, *args: Any, **kwargs: Any) -> Any:
        resources = self._resources.pop(0) if len(self._resources) > 1 else self._resources[0]
        return self._client.map(*args, resources=resources, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


def resource_on(client: Any, resource: str) -> dict[str, float]:
    """Ask for a resource if any worker has it.

    Parameters
    ----------
    client
        Of Dask.
    resource
        Its name.

    Returns
    -------
    dict
        The resource and how much a task needs of it, or nothing.
    """
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return {resource: 1} if any(resource in worker["resources"] for worker in workers) else {}


@contextmanager
def watching(client: Any) -> Iterator[None]:
    """Wait for a cluster only while it lives.

    Parameters
    ----------
    client
        Of Dask. Batch systems replace what they lost, which may take hours, and are waited for; elsewhere workers that
        are all gone do not come back.

    Yields
    ------
    None

    Raises
    ------
    ClusterError
        In the block, if the scheduler does not answer, or all workers are gone, for longer than :data:`PATIENCE`.
    """
    gone: list[str] = []
    over = threading.Event()
    in_main = threading.current_thread() is threading.main_thread()
    guard = threading.Thread(target=_watch, args=(client, over, gone, in_main), daemon=True)
    guard.start()
    try:
        yield
    except BaseException as error:
        if gone or (isinstance(error, Exception) and _lost(client, error)):
            msg = (
                f"{gone[0] if gone else 'the Dask scheduler is gone'}; what is finished is kept where the run has "
                "checkpoints, so start the cluster and run again"
            )
            raise ClusterError(msg) from None
        raise
    finally:
        over.set()
        guard.join(PATIENCE)


def _lost(client: Any, error: Exception) -> bool:
    return client.status != "running" or type(error).__name__ in ("CancelledError", "FutureCancelledError")


def _watch(client: Any, over: threading.Event, gone: list[str], in_main: bool) -> None:
    """Look at a cluster every second; interrupt the run when it is dead."""
    last = time.monotonic()
    seen = False
    waits = hasattr(getattr(client, "cluster", None), "job_script")
    while not over.wait(1.0):
        problem = "the Dask scheduler does not answer"
        try:
            info = client.sync(client.scheduler.identity, callback_timeout=PATIENCE / 2)
            there = [worker for worker in info["workers"].values() if POOL not in worker["resources"]]
            seen = seen or bool(there)
            problem = "all Dask workers are gone, and none comes back" if seen and not there and not waits else ""
        except Exception:  # noqa: BLE001  however it fails, it does not answer
            if over.is_set():
                return
        if not problem:
            last = time.monotonic()
        elif time.monotonic() - last > PATIENCE:
            gone.append(problem)
            if in_main:
                _thread.interrupt_main()
            return
