"""Dask clusters on one machine, on GPUs and on batch systems, with the model on every worker before it works."""

from jepa_coffea.clusters.batch import htcondor, job_script, slurm
from jepa_coffea.clusters.machine import cuda, local
from jepa_coffea.clusters.models import ship_model

__all__ = ["cuda", "htcondor", "job_script", "local", "ship_model", "slurm"]
