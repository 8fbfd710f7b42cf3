"""Dask clusters on one machine, on GPUs and on batch systems, with the model on every worker before it works."""

from jepa_coffea.clusters.batch import htcondor, job_script, slurm
from jepa_coffea.clusters.client import ClusterError
from jepa_coffea.clusters.machine import cuda, local
from jepa_coffea.clusters.models import ship_model
from jepa_coffea.clusters.registry import ClusterConfig
from jepa_coffea.clusters.running import scheduler

__all__ = [
    "ClusterConfig",
    "ClusterError",
    "cuda",
    "htcondor",
    "job_script",
    "local",
    "scheduler",
    "ship_model",
    "slurm",
]
