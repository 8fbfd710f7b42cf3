"""Clusters on one machine: its cores, or its GPUs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from distributed import LocalCluster

from jepa_coffea.clusters.client import ClusterClient, ClusterError, connect
from jepa_coffea.clusters.settings import CAPS


def local(n_workers: int | None = None, *, models: Iterable[str | Path] = (), **options: Any) -> ClusterClient:
    """One worker process of one thread per core of this machine.

    Parameters
    ----------
    n_workers
        How many; default: the cores that this process may use.
    models
        Model files to put on every worker.
    **options
        For :class:`distributed.LocalCluster`, such as ``memory_limit``.

    Returns
    -------
    ClusterClient
        Closes the cluster when it is closed.

    Examples
    --------
    >>> from jepa_coffea.clusters import local
    >>> with local(1) as client:
    ...     client.submit(sum, [1, 2]).result()
    3
    """
    count = n_workers or len(os.sched_getaffinity(0))
    start = partial(
        LocalCluster,
        n_workers=count,
        threads_per_worker=1,
        **{"dashboard_address": ":0", "env": dict(CAPS), **options},
    )
    return connect(start, models, pool=0)


def cuda(
    gpus: str | list[int] | None = None, *, models: Iterable[str | Path] = (), pool: int = 2, **options: Any
) -> ClusterClient:
    """One worker process per GPU of this machine, and a few without.

    Parameters
    ----------
    gpus
        Which, as for ``CUDA_VISIBLE_DEVICES``; default: all.
    models
        Model files to put on every worker.
    pool
        Processes for opening files and adding up results.
    **options
        For :class:`dask_cuda.LocalCUDACluster`.

    Returns
    -------
    ClusterClient
        Closes the cluster when it is closed.

    Raises
    ------
    ClusterError
        If dask-cuda is missing.
    """
    try:
        from dask_cuda import LocalCUDACluster
    except ImportError:
        msg = "clusters.cuda needs dask-cuda: pip install 'jepa-coffea[gpu,cuda]'"
        raise ClusterError(msg) from None
    # dask-cuda gives each worker its own CUDA_VISIBLE_DEVICES, but declares no resource.
    start = partial(
        LocalCUDACluster,
        CUDA_VISIBLE_DEVICES=gpus,
        threads_per_worker=1,
        resources={"GPU": 1},
        **{"dashboard_address": ":0", **options},
    )
    return connect(start, models, pool)
