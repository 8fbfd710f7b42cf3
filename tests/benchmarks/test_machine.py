import subprocess

import numpy as np
import pytest

from benchmarks import machine as module
from benchmarks.machine import described, machine


def test_what_a_timing_depends_on() -> None:
    found = machine("numpy", "no-such-distribution")
    assert found["packages"] == {"numpy": np.__version__}
    assert found["cores"] > 0
    text = described(found)
    assert f"numpy {np.__version__}" in text
    assert f"processor: {found['processor']}" in text


def test_commit_of_a_copy_without_history(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_git(*_: object, **__: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(module.subprocess, "run", no_git)
    assert machine()["commit"] == "not a checkout"
    monkeypatch.setenv("COMMIT", "1234567")
    assert machine()["commit"] == "1234567"


def test_no_driver_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object, **__: object) -> None:
        raise subprocess.CalledProcessError(9, "nvidia-smi")

    monkeypatch.setattr(module.subprocess, "run", failing)
    assert module.gpu_name() == ""
