"""Clusters that run already, such as those of analysis facilities: their address is enough."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from distributed import Client

from jepa_coffea.clusters.client import ClusterError
from jepa_coffea.clusters.models import ship_model

PATIENCE = 30
"""Seconds until an address that does not answer is given up."""


def scheduler(address: str, *, models: Iterable[str | Path] = ()) -> Client:
    """A client of a Dask scheduler that runs already; closing it leaves the scheduler and its workers.

    Parameters
    ----------
    address
        ``tcp://host:port`` or ``tls://host:port``; certificates come from Dask's configuration.
    models
        Model files to put on every worker.

    Returns
    -------
    distributed.Client

    Raises
    ------
    ClusterError
        If it does not answer within half a minute.
    """
    try:
        client = Client(address, timeout=PATIENCE)
    except (OSError, TimeoutError, ValueError) as error:
        msg = f"no Dask scheduler answers at {address} ({str(error) or type(error).__name__}); is it running?"
        raise ClusterError(msg) from None
    try:
        for path in models:
            ship_model(client, path)
    except BaseException:
        client.close()
        raise
    return client
