"""Jets and a tiny run that the tests of training share."""

from pathlib import Path

import pytest

from benchmarks.synthetic import write_jetclass
from training import pretrain

ROOT = Path(__file__).parents[2]
FILES = {"ZJetsToNuNu": "QCD", "HToBB": "Hbb", "TTBar": "Tbqq"}


@pytest.fixture(scope="session")
def jetclass(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Glob of small files of the JetClass schema, three classes."""
    folder = tmp_path_factory.mktemp("jetclass")
    for seed, (name, label) in enumerate(FILES.items()):
        write_jetclass(Path(folder / f"{name}_000.root"), 300, seed=seed, label=label)
    return str(folder / "*.root")


TINY = (
    "encoder.embed_dims=[16]",
    "encoder.pair_dims=[4]",
    "encoder.heads=2",
    "encoder.blocks=1",
    "encoder.class_blocks=1",
    "encoder.max_particles=32",
    "objective.predictor={dim: 8, heads: 2, blocks: 1}",
    "objective.last_blocks=1",
    "data.batch_size=32",
    "data.max_particles=32",
    "precision=fp32",
    "log_every=1",
    "checkpoint_every=4",
    "monitor_every=7",
)
"""Changes to pjepa_mini.yaml that make a step take milliseconds."""


def pretraining(jets: str, output: Path, *changes: str) -> list[str]:
    """Arguments of training/pretrain.py for a tiny encoder."""
    config = str(ROOT / "training/configs/pjepa_mini.yaml")
    return ["--config", config, "--data", jets, "--output", str(output), "--device", "cpu", "--set", *TINY, *changes]


@pytest.fixture(scope="session")
def pretrained(jetclass: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run folder of a few steps of P-JEPA."""
    folder = tmp_path_factory.mktemp("runs") / "pretrained"
    assert pretrain.main(pretraining(jetclass, folder, "steps=4")) == 0
    return folder
