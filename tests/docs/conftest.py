"""What the documentation's examples read: two small samples, simulated by the commands that the documentation shows."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SIMULATE = [sys.executable, str(ROOT / "examples/simulate.py"), "--mpi", "off", "--workers", "1", "--mjj-min", "2000"]


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``qcd.root``, ``wprime.root`` and ``events.root``, made once for all processes of a test run."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "documented-samples"
    folder.mkdir(exist_ok=True)
    with (folder.parent / "documented-samples.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name, options in {"wprime": [], "qcd": ["--pt-hat-min", "600"]}.items():
            file = folder / f"{name}.root"
            if not file.exists():
                command = [*SIMULATE, "--process", name, *options, "--events", "200", "--output", str(file)]
                subprocess.run(command, check=True, capture_output=True)
        if not (folder / "events.root").exists():
            (folder / "events.root").symlink_to("wprime.root")
    return folder
