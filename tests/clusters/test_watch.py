"""Clusters that die during a run, and addresses where there never was one: a sentence soon, not a wait for ever."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from jepa_coffea import JEPAEmbedder, clusters
from jepa_coffea.processing.run import run
from tests.clusters import slow

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[str, dict[str, subprocess.Popen[bytes]]]]:
    """A scheduler and a worker in processes of their own."""
    cloudpickle.register_pickle_by_value(sys.modules["tests.clusters.slow"])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    options: dict[str, Any] = {
        "cwd": tmp_path,
        "env": {**os.environ, "PYTHONPATH": str(ROOT)},
        "stderr": subprocess.DEVNULL,
    }
    words = {
        "scheduler": ["scheduler", "--host", "127.0.0.1", "--port", str(port), "--dashboard-address", ":0"],
        "worker": ["worker", address, "--nworkers", "1", "--nthreads", "1", "--no-nanny", "--dashboard-address", ":0"],
    }
    started = {
        name: subprocess.Popen([sys.executable, "-m", "dask", *given], **options) for name, given in words.items()
    }
    yield address, started
    for process in started.values():
        process.kill()
        process.wait()


@pytest.mark.parametrize(("who", "words"), [("scheduler", "scheduler"), ("worker", "all Dask workers are gone")])
@pytest.mark.timeout(240)
def test_dies_during_a_run(
    who: str,
    words: str,
    site: Any,
    model: Path,
    fileset: dict,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("jepa_coffea.clusters.watch.PATIENCE", 12.0)
    address, started = site
    processor = slow.SlowProcessor(JEPAEmbedder(model))
    with clusters.scheduler(address, models=[model]) as client:
        client.wait_for_workers(1, timeout=60)

        def kill() -> None:
            while not any(client.processing().values()):
                time.sleep(0.01)
            started[who].send_signal(signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        begin = time.monotonic()
        with pytest.raises(clusters.ClusterError, match=words):
            run(processor, fileset, client=client, chunksize=10, progress=False)
        assert time.monotonic() - begin < 120
        killer.join()
    assert "Traceback" not in capfd.readouterr().err
