"""Processes that die at the worst moment: between writing and answering, the client itself, and GPUs that fail."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pyarrow.parquet as pq
import pytest

from jepa_coffea import JEPAEmbedder, clusters
from jepa_coffea.clusters.client import ClusterClient
from jepa_coffea.encoder.providers import ProviderError
from jepa_coffea.files.folders import MARK
from jepa_coffea.processing.run import run
from processors.embed import EmbedProcessor
from tests.clusters import slow
from tests.processors.compare import assert_same

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def client(model: Path) -> Iterator[ClusterClient]:
    cloudpickle.register_pickle_by_value(sys.modules["tests.clusters.slow"])
    with clusters.local(2, models=[model]) as client:
        yield client


def assert_rows_once(folder: Path, undisturbed: dict[str, Any]) -> None:
    """Every selected event is there, and once."""
    rows = pq.read_table(folder)
    assert rows.num_rows == sum(totals["selected"] for totals in undisturbed["bookkeeping"].values())
    assert len(set(rows["event"].to_pylist())) == rows.num_rows
    assert {path.name for path in folder.rglob("*") if path.is_file() and path.suffix != ".parquet"} <= {MARK}


def test_worker_dies_between_writing_and_answering(
    client: ClusterClient, model: Path, fileset: dict, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    processor = slow.DiesOnce(JEPAEmbedder(model), tmp_path / "out", trap=tmp_path / "trap")
    output = run(processor, fileset, client=client, chunksize=25, progress=False)
    assert (tmp_path / "trap").exists()
    assert_same(output, undisturbed)
    assert_rows_once(tmp_path / "out", undisturbed)


def test_cuda_fails_on_a_worker(client: ClusterClient, model: Path, fileset: dict, tmp_path: Path) -> None:
    processor = EmbedProcessor(JEPAEmbedder(model, provider="cuda"), tmp_path / "out")
    with pytest.raises(ProviderError, match=r"\.root, events \d+ to \d+: .*CUDA"):
        run(processor, fileset, client=client, chunksize=25, skipbadfiles=True, progress=False)
    assert not list((tmp_path / "out").rglob("*.parquet"))


CLIENT = """
import sys
from jepa_coffea import JEPAEmbedder, clusters
from jepa_coffea.processing.run import run
from tests.clusters.slow import SlowProcessor

if __name__ == "__main__":
    model, folder, *names = sys.argv[1:]
    fileset = {"qcd": names[:1], "signal": names[1:]}
    with clusters.local(1, models=[model]) as client:
        processor = SlowProcessor(JEPAEmbedder(model), f"{folder}/out")
        run(processor, fileset, client=client, chunksize=25, checkpoints=f"{folder}/checkpoints", progress=False)
"""


def test_client_is_killed_and_its_run_resumed(
    model: Path, fileset: dict[str, list[str]], undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "client.py").write_text(CLIENT)
    names = [name for given in fileset.values() for name in given]
    process = subprocess.Popen(
        [sys.executable, tmp_path / "client.py", model, tmp_path, *names],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("checkpoints/**/*.chunk")) and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with clusters.local(1, models=[model]) as client:
        processor = slow.SlowProcessor(JEPAEmbedder(model), tmp_path / "out")
        output = run(
            processor, fileset, client=client, chunksize=25, checkpoints=tmp_path / "checkpoints", progress=False
        )
    assert 1 <= output["run"]["resumed"] < 4
    assert_same(output, undisturbed)
    assert_rows_once(tmp_path / "out", undisturbed)
