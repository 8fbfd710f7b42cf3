"""A tiny model, small files, and what they give without any cluster: fixtures of embedding and of clusters."""

from pathlib import Path
from typing import Any

import pytest

from jepa_coffea import JEPAEmbedder
from jepa_coffea.processing.run import run
from processors.embed import EmbedProcessor
from tests.encoder.tiny import write_tiny
from tests.processors.synthetic import write_events


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("cluster-model") / "tiny.onnx", classes=("QCD", "top"))


@pytest.fixture(scope="session")
def fileset(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    folder = tmp_path_factory.mktemp("cluster-events")
    names = [str(write_events(folder / f"{seed}.root", 50, seed=seed, first=1 + 100 * seed)) for seed in range(2)]
    return {"qcd": names[:1], "signal": names[1:]}


@pytest.fixture(scope="session")
def undisturbed(model: Path, fileset: dict[str, list[str]]) -> dict[str, Any]:
    """The output of the same run in this process."""
    return run(EmbedProcessor(JEPAEmbedder(model)), fileset, chunksize=25, progress=False)
