"""The log of a training on a disk that takes no more of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jepa_coffea.errors import StorageError
from training.loop.metrics_log import MetricsLog, read_metrics

ROOT = Path(__file__).parents[3]


def test_a_full_disk_names_the_log(tmp_path: Path) -> None:
    with MetricsLog(tmp_path, 0) as log, Path("/dev/full").open("a") as full:
        log.write(1, {"loss": 1.0})
        whole, log._file = log._file, full
        with pytest.raises(StorageError, match=r"disk full: .*metrics.jsonl: free"):
            log.write(2, {"loss": 1.0})
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())
        log._file = whole
    assert [record["step"] for record in read_metrics(tmp_path)] == [1]


def test_tensorboard_shows_no_traceback(tmp_path: Path) -> None:
    """Its files grow faster than the log, and another thread writes them."""
    code = f"""
import resource, signal, threading
from pathlib import Path
from jepa_coffea.errors import StorageError
from training.loop.metrics_log import MetricsLog
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    with MetricsLog(Path({str(tmp_path)!r}), 0) as log:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        for step in range(60):
            log.write(step, {{f"a{{n}}": 1.0 for n in range(50)}})
except StorageError as error:
    print(error)
for thread in threading.enumerate():
    if thread is not threading.current_thread():
        thread.join(10)
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert "metrics.jsonl cannot be written: it is larger than files may be here" in said.stdout
    assert "Traceback" not in said.stderr
