"""A tiny model and small files of events."""

from pathlib import Path

import pytest

from tests.encoder.tiny import write_tiny
from tests.processors.synthetic import write_events


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("model") / "tiny.onnx", classes=("QCD", "top"))


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("events")
    return [str(write_events(folder / f"{seed}.root", 60, seed=seed, first=1 + 100 * seed)) for seed in range(3)]
