"""The recipes of examples/batch: every document is valid, and renders the job script that it describes."""

from importlib import util
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import uproot
import yaml
from dask.utils import parse_bytes
from distributed import LocalCluster

from jepa_coffea import clusters
from jepa_coffea.processing.embed_config import EmbedConfig

BATCH = Path(__file__).parent.parent.parent / "examples" / "batch"
DOCUMENTS = sorted(BATCH.glob("*.yaml"))


def read(path: Path) -> EmbedConfig:
    return EmbedConfig.model_validate(yaml.safe_load(path.read_text())["embed"])


def test_there_are_documents() -> None:
    assert {path.stem for path in DOCUMENTS} == {"coffea_casa", "htcondor", "lxplus", "slurm"}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_chunks_fit_into_memory(path: Path, shared_data: Path) -> None:
    """Twice over, for all candidates of a real PFNano event and the eleven branches that are read of each."""
    config = read(path)
    assert config.chunksize >= 10_000
    with uproot.open(shared_data / "pfnano.root") as file:
        candidates = file["Events"]["nPFCands"].array(library="np").mean()
    assert candidates == pytest.approx(1820, abs=1)
    given = config.cluster.options.get("memory", "4 GB")
    assert 2 * config.chunksize * candidates * 11 * 4 < parse_bytes(given)


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("slurm", ["#SBATCH --gres=gpu:1", "#SBATCH -t 08:00:00", "module load cuda", "--resources GPU=1"]),
        ("htcondor", ["request_gpus = 1", "RequestCpus = 2", "--resources GPU=1"]),
        ("lxplus", ['+JobFlavour = "workday"', "--worker-port 10000:10100", ":10021 ", "MY.SendCredential = True"]),
    ],
)
def test_job_script(name: str, lines: list[str], tmp_path: Path) -> None:
    config = read(BATCH / f"{name}.yaml").cluster
    # No jobs, the one network that is always there, and no pool; the rest is as in the recipe.
    options: dict[str, Any] = {**config.options, "jobs": 0, "interface": "lo", "pool": 0}
    options["log_directory"] = str(tmp_path)
    with getattr(clusters, config.kind)(**options) as client:
        script = clusters.job_script(client)
    for line in lines:
        assert line in script


def test_lpc(model: Path, fileset: dict[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipe on a local cluster, writing by URL."""
    spec = util.spec_from_file_location("lpc", BATCH / "lpc.py")
    assert spec is not None
    assert spec.loader is not None
    recipe = util.module_from_spec(spec)
    spec.loader.exec_module(recipe)
    words = [f"{dataset}={name}" for dataset, names in fileset.items() for name in names]
    options = recipe.parse([str(model), f"file://{tmp_path}/embedded", *words, "--chunksize", "50", "--jobs", "1"])
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0") as cluster:
        monkeypatch.setattr(cluster, "adapt", lambda **_: None)
        recipe.main(cluster, options)
    assert pq.read_table(tmp_path / "embedded").num_rows > 20
    assert not list(tmp_path.rglob("*.part"))
