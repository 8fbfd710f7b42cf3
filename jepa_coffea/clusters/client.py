"""A client that owns its cluster, and a few processes for what needs no GPU."""

from __future__ import annotations

from asyncio import gather
from collections.abc import Callable, Iterable
from logging import WARNING
from pathlib import Path
from typing import Any

import dask
from distributed import Client, Nanny

from jepa_coffea.clusters.models import ship_model
from jepa_coffea.clusters.settings import CAPS, here
from jepa_coffea.errors import JepaCoffeaError


class ClusterError(JepaCoffeaError, RuntimeError):
    """A cluster that cannot be started from here, does not answer, or is gone."""


class ClusterClient(Client):
    """A Dask client that closes its cluster and its pool when it is closed; use it in a ``with`` block."""

    pool: tuple[Nanny, ...] = ()

    def close(self, *args: Any, **kwargs: Any) -> Any:
        """Stop the pool, the client and the cluster.

        Parameters
        ----------
        *args, **kwargs
            For :meth:`distributed.Client.close`.

        Returns
        -------
        None
            Or what to await, in asynchronous code.
        """
        if self.status == "closed":
            return None
        pool, self.pool = self.pool, ()
        if pool:
            self.sync(_stop, pool)
        cluster = self.cluster
        result = super().close(*args, **kwargs)
        if cluster is not None:
            cluster.close()
        return result


def connect(start: Callable[[], Any], models: Iterable[str | Path], pool: int) -> ClusterClient:
    """A client with the models shipped to its workers.

    Parameters
    ----------
    start
        Gives the cluster.
    models
        Model files to put on every worker.
    pool
        Processes on this machine that open files and add up results; see :func:`jepa_coffea.processing.run.run`.

    Returns
    -------
    ClusterClient
    """
    with dask.config.set(here()):
        client = ClusterClient(start())
        try:
            for path in models:
                ship_model(client, path)
            if pool:
                client.pool = client.sync(start_pool, client.cluster.scheduler_address, pool)
        except BaseException:
            client.close()
            raise
    return client


async def start_pool(address: str, count: int) -> tuple[Nanny, ...]:
    """Start processes for what needs no GPU, in this process's event loop.

    Parameters
    ----------
    address
        Of the scheduler.
    count
        How many.

    Returns
    -------
    tuple of Nanny
        One per process.
    """
    options = {"nthreads": 1, "resources": {"POOL": 1}, "env": CAPS, "memory_limit": 0, "silence_logs": WARNING}
    return tuple(await gather(*(Nanny(address, name=f"pool-{number}", **options) for number in range(count))))


async def _stop(pool: Iterable[Nanny]) -> None:
    await gather(*(nanny.close() for nanny in pool))
