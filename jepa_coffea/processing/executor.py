"""Executors for coffea's Runner that tell faults of the input from all other errors."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import Any

from coffea.processor import accumulate
from coffea.processor.executor import DaskExecutor, IterativeExecutor
from rich.console import Console

from jepa_coffea.processing.input_faults import Guarded
from jepa_coffea.progress import Bar, counted

GPU, POOL = "GPU", "POOL"
"""Dask resources: a worker with a GPU, and one for opening files and adding up results."""


@dataclass
class HereExecutor(IterativeExecutor):
    """coffea's executor of this process, with faults of the input told from all other errors, and the time left."""

    skip: bool = False

    def __call__(self, items: Any, function: Any, accumulator: Any) -> Any:
        events, console = sum(map(len, items)), Console(quiet=not self.status)
        with closing(counted(items, events, self.desc, console, size=len, unit="events")) as shown:
            return accumulate(map(Guarded(function, skip=self.skip), shown), accumulator), 0


@dataclass
class PinnedExecutor(DaskExecutor):
    """coffea's Dask executor with chunks only on the workers that have a resource, and reductions on others.

    ``dask.annotate`` would tag all tasks alike.
    """

    skip: bool = False

    def __call__(self, items: Any, function: Any, accumulator: Any) -> Any:
        client: Any = self.client  # type: ignore[has-type]  # coffea is untyped
        shown: bool = self.status  # type: ignore[has-type]
        with Bar(self.desc, Console(quiet=not shown)) as bar:
            # coffea's own bar says nothing in the log of a batch job, and not how long it will take.
            self.client, self.status = _Pinned(client, bar if shown else None), False
            try:
                return super().__call__(items, Guarded(function, skip=self.skip), accumulator)
            finally:
                self.client, self.status = client, shown


class _Pinned:
    """A Dask client for coffea: the first ``map`` runs chunks, on GPUs if there are any; later ones add up results."""

    def __init__(self, client: Any, bar: Bar | None) -> None:
        self._client, self._bar = client, bar
        self._resources = [resource_on(client, GPU), resource_on(client, POOL)]

    def map(self, *args: Any, **kwargs: Any) -> Any:
        if len(self._resources) == 1:
            return self._client.map(*args, resources=self._resources[0], **kwargs)
        futures = self._client.map(*args, resources=self._resources.pop(0), **kwargs)
        if self._bar is not None:
            from jepa_coffea.processing.watched_chunks import WatchedChunks

            self._client.loop.add_callback(WatchedChunks(futures, self._bar).follow)
        return futures

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
