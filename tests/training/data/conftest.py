"""Small JetClass files and what the loader gives for them."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.synthetic import write_jetclass
from training.data.batch import Batch
from training.data.loader import DataConfig
from training.data.preparation import prepare
from training.data.sources import Reading

FILES = [("HToBB", "Hbb", 900), ("TTBar", "Tbqq", 1300), ("ZJetsToNuNu", "QCD", 1100)]


@pytest.fixture(scope="session")
def jetclass(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of six files of three classes, 6600 jets; a jet's pT tells which it is."""
    folder = tmp_path_factory.mktemp("jetclass")
    for k, (process, label, jets) in enumerate(FILES):
        for part in range(2):
            write_jetclass(folder / f"{process}_{part:03d}.root", jets, seed=10 * k + part, label=label, cluster=400)
    return folder


@pytest.fixture(scope="session")
def shards(jetclass: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same jets, prepared."""
    folder = tmp_path_factory.mktemp("shards")
    prepare(f"{jetclass}/*.root", folder, Reading())
    return folder


@pytest.fixture(params=["root", "shards"])
def files(request: pytest.FixtureRequest, jetclass: Path, shards: Path) -> str:
    """What ``--data`` names: ROOT files, or the same prepared."""
    return f"{jetclass}/*.root" if request.param == "root" else str(shards)


@pytest.fixture
def configure(files: str) -> Callable[..., DataConfig]:
    """A configuration of small windows and batches, all jets for training."""

    def make(**changes: Any) -> DataConfig:
        settings = {"files": files, "val_fraction": 0, "test_fraction": 0, "batch_size": 64, "window": 1500}
        return DataConfig(**(settings | changes))

    return make


def jet_ids(batches: Iterable[Batch]) -> NDArray[np.float32]:
    """What tells the jets of batches apart: their px."""
    return np.concatenate([batch.jets[:, 0].numpy() for batch in batches])
