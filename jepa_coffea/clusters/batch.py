"""Clusters on batch systems: every job is a node's share of workers that connect back to this process."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from jepa_coffea.clusters.client import ClusterClient, ClusterError, connect
from jepa_coffea.clusters.settings import exports


def slurm(
    jobs: int,
    *,
    gpus: int = 0,
    cores: int = 1,
    memory: str = "4 GB",
    walltime: str = "02:00:00",
    partition: str | None = None,
    account: str | None = None,
    directives: Sequence[str] = (),
    prologue: Sequence[str] = (),
    models: Iterable[str | Path] = (),
    pool: int | None = None,
    worker_ports: str | None = None,
    scheduler_port: int | None = None,
    **options: Any,
) -> ClusterClient:
    """Workers in SLURM jobs; jobs that end or are killed are replaced for as long as the client lives.

    Parameters
    ----------
    jobs
        How many; 0 to look at the job script first.
    gpus
        GPUs of a job: none, and each core is a worker; or 1, and the job is one worker with it.
    cores, memory, walltime
        Of a job.
    partition, account
        Where to, and on whose account.
    directives
        More ``#SBATCH`` options, such as ``"--constraint=a100"``.
    prologue
        Shell lines before the worker starts, such as ``"module load cuda"``.
    models
        Model files to put on every worker.
    pool
        Processes on this machine for opening files and adding up results; default: 2 with GPUs, none without.
    worker_ports
        Range of ports, ``"10000:10100"``, where a firewall leaves only some open.
    scheduler_port
        Port of the scheduler, for the same reason.
    **options
        For :class:`dask_jobqueue.SLURMCluster`, such as ``interface`` or ``log_directory``.

    Returns
    -------
    ClusterClient
        Ends the jobs when it is closed.

    Raises
    ------
    ClusterError
        If dask-jobqueue is missing, or more than one GPU a job is asked for.
    """
    gres = [f"--gres=gpu:{_one(gpus)}"] if gpus else []
    start = partial(
        _cluster("SLURMCluster"),
        queue=partition,
        account=account,
        walltime=walltime,
        job_cpu=cores,
        job_extra_directives=[*gres, *directives],
        **_worker(gpus, cores, memory, prologue, worker_ports, scheduler_port, options),
    )
    return _start(start, jobs, gpus, models, pool)


def htcondor(
    jobs: int,
    *,
    gpus: int = 0,
    cores: int = 1,
    memory: str = "4 GB",
    disk: str = "2 GB",
    directives: Mapping[str, str] | None = None,
    prologue: Sequence[str] = (),
    models: Iterable[str | Path] = (),
    pool: int | None = None,
    worker_ports: str | None = None,
    scheduler_port: int | None = None,
    **options: Any,
) -> ClusterClient:
    """Workers in HTCondor jobs; jobs that end or are killed are replaced for as long as the client lives.

    Parameters
    ----------
    jobs, gpus, cores, memory
        As for :func:`slurm`.
    disk
        Of a job.
    directives
        Entries of the submit description, such as ``{"+JobFlavour": '"workday"'}``.
    prologue, models, pool, worker_ports, scheduler_port
        As for :func:`slurm`.
    **options
        For :class:`dask_jobqueue.HTCondorCluster`.

    Returns
    -------
    ClusterClient
        Ends the jobs when it is closed.

    Raises
    ------
    ClusterError
        If dask-jobqueue is missing, or more than one GPU a job is asked for.
    """
    request = {"request_gpus": str(_one(gpus)), "RequestCpus": str(cores)} if gpus else {}
    start = partial(
        _cluster("HTCondorCluster"),
        disk=disk,
        job_extra_directives={**request, **(directives or {})},
        **_worker(gpus, cores, memory, prologue, worker_ports, scheduler_port, options),
    )
    return _start(start, jobs, gpus, models, pool)


def job_script(client: ClusterClient) -> str:
    """The script that each job of a batch client runs.

    Parameters
    ----------
    client
        Of :func:`slurm` or :func:`htcondor`, also with no jobs.

    Returns
    -------
    str
    """
    return str(client.cluster.job_script())


def _cluster(name: str) -> Any:
    try:
        return getattr(importlib.import_module("dask_jobqueue"), name)
    except ImportError:
        msg = "batch systems need dask-jobqueue: pip install 'jepa-coffea[jobqueue]'"
        raise ClusterError(msg) from None


def _one(gpus: int) -> int:
    if gpus != 1:
        msg = f"gpus: expected 0 or 1 per job, got {gpus}; a worker drives one GPU, so ask for more jobs instead"
        raise ClusterError(msg)
    return gpus


def _worker(
    gpus: int,
    cores: int,
    memory: str,
    prologue: Sequence[str],
    worker_ports: str | None,
    scheduler_port: int | None,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """What all batch systems have in common: processes of one thread, thread caps, the GPU as a Dask resource."""
    resources = ["--resources GPU=1"] if gpus else []
    ports = [f"--worker-port {worker_ports}", f"--nanny-port {worker_ports}"] if worker_ports else []
    listen = {"port": scheduler_port} if scheduler_port else {}
    return {
        "cores": 1 if gpus else cores,
        "processes": 1 if gpus else cores,
        "memory": memory,
        "job_script_prologue": [*exports(), *prologue],
        **options,
        "worker_extra_args": [*resources, *ports, *options.get("worker_extra_args", [])],
        "scheduler_options": {"dashboard_address": ":0", **listen, **options.get("scheduler_options", {})},
    }


def _start(
    start: Callable[[], Any], jobs: int, gpus: int, models: Iterable[str | Path], pool: int | None
) -> ClusterClient:
    client = connect(start, models, pool=(2 if gpus else 0) if pool is None else pool)
    if jobs:
        # A fixed size by way of adapt(): unlike scale(), it replaces what was lost.
        client.cluster.adapt(minimum_jobs=jobs, maximum_jobs=jobs)
    return client
