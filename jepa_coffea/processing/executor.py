"""Executors for coffea's Runner that tell faults of the input from all other errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from coffea.processor import accumulate
from coffea.processor.executor import DaskExecutor, IterativeExecutor

from jepa_coffea.processing.input_faults import Guarded

GPU, POOL = "GPU", "POOL"
"""Dask resources: a worker with a GPU, and one for opening files and adding up results."""


@dataclass
class HereExecutor(IterativeExecutor):
    """coffea's executor of this process, with faults of the input told from all other errors."""

    skip: bool = False

    def __call__(self, items: Any, function: Any, accumulator: Any) -> Any:
        guarded = Guarded(function, skip=self.skip)
        if not self.status:  # coffea would draw its bar all the same
            return accumulate(map(guarded, items), accumulator), 0
        return super().__call__(items, guarded, accumulator)


@dataclass
class PinnedExecutor(DaskExecutor):
    """coffea's Dask executor with chunks only on the workers that have a resource, and reductions on others.

    ``dask.annotate`` would tag all tasks alike.
    """

    skip: bool = False

    def __call__(self, items: Any, function: Any, accumulator: Any) -> Any:
        client: Any = self.client  # type: ignore[has-type]  # coffea is untyped
        self.client = _Pinned(client)
        try:
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
