"""The section ``cluster`` of documents: every kind, one place, and nothing in it that names code."""

from pathlib import Path

import pytest
from distributed import LocalCluster
from pydantic import ValidationError

from jepa_coffea.clusters import ClusterConfig, ClusterError
from jepa_coffea.clusters.registry import KINDS
from jepa_coffea.encoder.model_files import shipped_folder
from jepa_coffea.files import file_hash


def test_this_process() -> None:
    with ClusterConfig().connect() as client:
        assert client is None


def test_local_processes() -> None:
    with ClusterConfig(kind="local", options={"n_workers": 1}).connect() as client:
        assert client.submit(sum, [1, 2]).result() == 3


def test_a_running_scheduler_has_the_model_and_stays(model: Path) -> None:
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0") as cluster:
        section = ClusterConfig(kind="scheduler", options={"address": cluster.scheduler_address})
        with section.connect([model]) as client:
            (folder,) = client.run(lambda dask_worker: dask_worker.local_directory).values()
            assert (Path(folder) / shipped_folder(file_hash(model)) / model.name).read_bytes() == model.read_bytes()
        assert cluster.workers


def test_no_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jepa_coffea.clusters.running.PATIENCE", 0.5)
    with pytest.raises(ClusterError, match=r"no Dask scheduler answers at tcp://127.0.0.1:9"):
        ClusterConfig(kind="scheduler", options={"address": "tcp://127.0.0.1:9"}).connect()


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("slrum", {}, "did you mean 'slurm'"),
        ("slurm", {}, "Field required"),
        ("slurm", {"jobs": 1, "partiton": "gpu"}, "did you mean 'partition'"),
        ("slurm", {"jobs": 1, "prologue": ["module load cuda; id"]}, "a document may say"),
        ("slurm", {"jobs": 1, "prologue": ["export PYTHONSTARTUP=x"]}, "a document may say"),
        ("slurm", {"jobs": 1, "directives": ["--time=1\nid"]}, "in one line"),
        ("slurm", {"jobs": 1, "scheduler_options": {"preload": "x"}}, "no such key"),
        ("slurm", {"jobs": 1, "worker_extra_args": ["--preload x"]}, "no such key"),
        ("htcondor", {"jobs": 1, "directives": {"executable": "/bin/id"}}, "'executable': a document may add"),
        ("htcondor", {"jobs": 1, "directives": {"+PreCmd": "id"}}, "'+PreCmd': a document may add"),
        ("local", {"preload": "evil"}, "no such key"),
        ("scheduler", {}, "Field required"),
    ],
)
def test_refused(kind: str, options: dict, words: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        ClusterConfig(kind=kind, options=options)
    assert words in str(refusal.value)


def test_every_kind_says_what_its_options_are() -> None:
    assert set(KINDS) == {"none", "local", "cuda", "slurm", "htcondor", "scheduler"}
    assert all(kind.options.model_config["extra"] == "forbid" for kind in KINDS.values())
