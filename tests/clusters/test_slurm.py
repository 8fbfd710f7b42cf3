"""Embedding through ``clusters.slurm`` on a real SLURM of one node; run by ``make test-slurm``."""

import subprocess
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
from jepa_coffea.processing.run import run
from tests.clusters import slow
from tests.clusters.slurm_site import missing, one_node
from tests.processors.compare import assert_same

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    if missing():
        pytest.fail(f"SLURM is not installed (lacking {missing()}): apt-get install slurm-wlm munge")
    folder = tmp_path_factory.mktemp("slurm")
    with one_node(folder / "site") as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        cloudpickle.register_pickle_by_value(sys.modules["tests.clusters.slow"])
        yield folder


def jobs() -> list[str]:
    answer = subprocess.run(["squeue", "-h", "-t", "R", "-o", "%i"], capture_output=True, text=True, check=True)
    return answer.stdout.split()


def start(site: Path, model: Path) -> Any:
    return clusters.slurm(
        2, gpus=1, memory="500 MB", walltime="00:10:00", interface="lo", models=[model], pool=1,
        local_directory=str(site / "scratch"), log_directory=str(site / "logs"), prologue=[f"cd {site}"],
    )  # fmt: skip


def test_same_answer_after_a_job_was_killed(
    site: Path, model: Path, fileset: dict[str, list[str]], undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    # The model is moved away once embedders know it: jobs have only what was shipped to them.
    path = tmp_path / model.name
    path.write_bytes(model.read_bytes())
    processor = slow.SlowProcessor(JEPAEmbedder(path), tmp_path / "embedded")
    with start(site, path) as client:
        assert "--gres=gpu:1" in clusters.job_script(client)
        client.wait_for_workers(3, timeout=90)
        path.unlink()
        killed: list[str] = []

        def kill() -> None:
            while not any(client.processing().values()):
                time.sleep(0.05)
            time.sleep(0.5)
            killed.append(jobs()[0])
            subprocess.run(["scancel", "--full", killed[0]], check=True)

        killer = threading.Thread(target=kill)
        killer.start()
        output = run(processor, fileset, client=client, chunksize=25, progress=False)
        killer.join()
        # What was lost is replaced.
        client.wait_for_workers(3, timeout=90)
        assert len(jobs()) == 2
    assert killed
    assert_same(output, undisturbed)
    rows = pq.read_table(tmp_path / "embedded")
    assert rows.num_rows == sum(totals["selected"] for totals in undisturbed["bookkeeping"].values())
    assert len(set(zip(rows["run"].to_pylist(), rows["event"].to_pylist(), strict=True))) == rows.num_rows
    assert all(worker["loads"] <= 1 for worker in output["metrics"].values())


def test_jobs_end_with_their_client(site: Path, model: Path) -> None:
    with start(site, model) as client:
        client.wait_for_workers(3, timeout=90)
        assert len(jobs()) == 2
    deadline = time.monotonic() + 30
    while jobs() and time.monotonic() < deadline:
        time.sleep(0.5)
    assert jobs() == []
