"""Job scripts, as the batch systems would get them."""

import sys
from pathlib import Path

import pytest

from jepa_coffea import clusters
from jepa_coffea.clusters.client import ClusterError


def test_slurm_with_a_gpu(model: Path) -> None:
    options = {"partition": "gpu", "account": "cms", "directives": ["--constraint=a100"], "prologue": ["module load x"]}
    with clusters.slurm(0, gpus=1, cores=4, memory="8 GB", interface="lo", pool=0, models=[model], **options) as client:
        script = clusters.job_script(client)
    lines = script.splitlines()
    for line in ("-p gpu", "-A cms", "--cpus-per-task=4", "-t 02:00:00", "--gres=gpu:1", "--constraint=a100"):
        assert f"#SBATCH {line}" in lines
    assert "export OMP_NUM_THREADS=1" in lines
    assert lines.index("module load x") > lines.index("export OMP_NUM_THREADS=1")
    worker = next(line for line in lines if "dask_worker" in line)
    assert worker.startswith(sys.executable)
    assert "--resources GPU=1" in worker
    assert worker.count("--nthreads") == worker.count("--nthreads 1") == 1


def test_slurm_without(model: Path) -> None:
    with clusters.slurm(0, cores=3, interface="lo", models=[model]) as client:
        script = clusters.job_script(client)
    assert "--nworkers 3" in script
    assert "--nthreads 1 " in script
    assert "gres" not in script
    assert "GPU" not in script


def test_htcondor(model: Path) -> None:
    flavour = {"+JobFlavour": '"workday"'}
    with clusters.htcondor(0, gpus=1, cores=2, interface="lo", pool=0, directives=flavour, models=[model]) as client:
        script = clusters.job_script(client)
    assert "request_gpus = 1" in script
    assert '+JobFlavour = "workday"' in script
    assert "--resources GPU=1" in script
    assert "export OMP_NUM_THREADS=1" in script
    assert [line for line in script.splitlines() if line.startswith("RequestCpus")] == ["RequestCpus = 2"]


def test_one_gpu_a_job() -> None:
    with pytest.raises(ClusterError, match="expected 0 or 1 per job, got 2"):
        clusters.slurm(1, gpus=2)


def test_without_dask_jobqueue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    with pytest.raises(clusters.ClusterError, match=r"pip install 'jepa-coffea\[jobqueue\]'"):
        clusters.slurm(1)
