"""A local cluster: models on every worker, a worker killed while it works, chunks where the GPUs are."""

import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pyarrow.parquet as pq
import pytest

from jepa_coffea import JEPAEmbedder, clusters
from jepa_coffea.clusters.client import ClusterClient
from jepa_coffea.encoder.model_files import shipped, shipped_folder
from jepa_coffea.errors import ModelError
from jepa_coffea.files import file_hash
from jepa_coffea.processing.executor import PinnedExecutor
from jepa_coffea.processing.run import run
from jepa_coffea.processing.run_report import merged
from processors.embed import EmbedProcessor
from tests.clusters import slow
from tests.encoder.tiny import write_tiny
from tests.processors.compare import assert_same


@pytest.fixture(scope="module")
def client(model: Path) -> Iterator[ClusterClient]:
    cloudpickle.register_pickle_by_value(sys.modules["tests.clusters.slow"])
    # Two workers that say they have a GPU, of which the executor makes use, and a third that does not.
    with clusters.local(2, models=[model], resources={"GPU": 1}) as client:
        client.pool = client.sync(clusters.client.start_pool, client.cluster.scheduler_address, 1)
        yield client


def test_same_answer_after_a_worker_was_killed(
    client: ClusterClient, model: Path, fileset: dict, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    # The embedder's file is gone before the run: workers have what was shipped to them.
    path = Path(shutil.copy(model, tmp_path / model.name))
    processor = slow.SlowProcessor(JEPAEmbedder(path), tmp_path / "out")
    path.unlink()
    workers = {info["name"]: address for address, info in client.scheduler_info(n_workers=-1)["workers"].items()}
    pids = client.run(os.getpid)
    killed = []

    def kill() -> None:
        while not client.processing()[workers[0]]:
            time.sleep(0.02)
        time.sleep(0.3)
        os.kill(pids[workers[0]], signal.SIGKILL)
        killed.append(workers[0])

    killer = threading.Thread(target=kill)
    killer.start()
    output = run(processor, fileset, client=client, chunksize=25, progress=False)
    killer.join()
    assert killed
    assert_same(output, undisturbed)
    assert output["run"]["chunks"] == 4
    rows = pq.read_table(tmp_path / "out")["event"].to_pylist()
    assert len(rows) == len(set(rows)) == sum(totals["selected"] for totals in undisturbed["bookkeeping"].values())
    pool = pids[workers["pool-0"]]
    assert all(not name.endswith(f":{pool}") for name in output["metrics"])
    assert all(worker["loads"] <= 1 for worker in output["metrics"].values())
    total = merged(output["metrics"])
    assert total["jets"] == 2 * sum(totals["selected"] for totals in undisturbed["bookkeeping"].values())
    assert total["chunks"] == total["provider"]["cpu"] == 4


def test_worker_without_the_model(client: ClusterClient, fileset: dict, tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "unshipped.onnx", dim=3)
    processor = EmbedProcessor(JEPAEmbedder(path))
    path.rename(tmp_path / "elsewhere.onnx")
    with pytest.raises(ModelError, match=r"\.root, events 0 to .*unshipped.onnx"):
        run(processor, fileset, client=client, chunksize=50, progress=False)


def test_models_of_one_name_live_side_by_side(client: ClusterClient, fileset: dict, tmp_path: Path) -> None:
    for folder in "ab":
        (tmp_path / folder).mkdir()
    paths = [write_tiny(tmp_path / folder / "twin.onnx", dim=dim) for folder, dim in (("a", 3), ("b", 4))]
    processors = [EmbedProcessor(JEPAEmbedder(path), tmp_path / f"out{n}") for n, path in enumerate(paths)]
    for path in paths:
        clusters.ship_model(client, path)
        path.unlink()
    for size, processor in zip((3, 4), processors, strict=True):
        run(processor, {"qcd": fileset["qcd"]}, client=client, chunksize=50, progress=False)
        rows = pq.read_table(processor.output)
        assert rows.schema.field("jet1_embedding").type.list_size == size


def test_a_model_exported_again_on_a_living_cluster(client: ClusterClient, fileset: dict, tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "again.onnx", dim=3)
    old = EmbedProcessor(JEPAEmbedder(path), tmp_path / "old")
    clusters.ship_model(client, path)
    write_tiny(path, dim=4)
    clusters.ship_model(client, path)
    run(old, {"qcd": fileset["qcd"]}, client=client, chunksize=50, progress=False)
    run(EmbedProcessor(JEPAEmbedder(path), tmp_path / "new"), fileset, client=client, chunksize=50, progress=False)
    sizes = [pq.read_table(tmp_path / name)["jet1_embedding"].type.list_size for name in ("old", "new")]
    assert sizes == [3, 4]


def test_a_shipped_model_by_its_name(client: ClusterClient) -> None:
    assert clusters.ship_model(client, "pjepa-mini") == file_hash(shipped()["pjepa-mini"])


def test_late_joiner_has_the_model(client: ClusterClient, model: Path) -> None:
    before = set(client.run(os.getpid))
    client.cluster.scale(3)
    client.wait_for_workers(4, timeout=60)
    (late,) = set(client.run(os.getpid)) - before

    def digest(folder: str, name: str, dask_worker: Any) -> str:
        return file_hash(Path(dask_worker.local_directory) / folder / name)

    expected = file_hash(model)
    assert client.run(digest, shipped_folder(expected), model.name, workers=[late]) == {late: expected}


def test_thread_caps(client: ClusterClient) -> None:
    assert set(client.run(lambda: os.environ["OMP_NUM_THREADS"]).values()) == {"1"}
    threads = {info["nthreads"] for info in client.scheduler_info(n_workers=-1)["workers"].values()}
    assert threads == {1}


def test_executor_without_gpus_pins_nothing() -> None:
    assert PinnedExecutor(client=None).copy(status=False).status is False


def test_shipping_a_file_that_is_not_there(client: ClusterClient, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such model file"):
        clusters.ship_model(client, tmp_path / "none.onnx")


def test_cuda_needs_dask_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dask_cuda", None)
    with pytest.raises(clusters.ClusterError, match=r"pip install 'jepa-coffea\[gpu,cuda\]'"):
        clusters.cuda()
