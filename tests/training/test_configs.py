"""Every configuration that is shipped describes something that can be built."""

from pathlib import Path

import pytest
import torch

from benchmarks.encoders import encoder_config
from training.config import RunConfig, read_config
from training.data.columns import OBSERVABLES
from training.loop.checkpoint import new_objective
from training.objectives.pjepa import PJEPA

CONFIGS = Path(__file__).parents[2] / "training" / "configs"
PRETRAINING = sorted(path.stem for path in CONFIGS.glob("*.yaml") if path.stem != "finetune")


def read(name: str) -> RunConfig:
    config = read_config(CONFIGS / f"{name}.yaml", data=["x.root"])
    return config.model_copy(update={"class_names": ("QCD", "Hbb"), "observable_names": OBSERVABLES})


def millions(module: torch.nn.Module) -> float:
    return sum(parameter.numel() for parameter in module.parameters()) / 1e6


@pytest.mark.parametrize("name", PRETRAINING)
def test_it_builds(name: str) -> None:
    config = read(name)
    with torch.device("meta"):
        objective = new_objective(config)
    assert config.data.max_particles == config.encoder.max_particles
    assert millions(objective.exported()) > 0.1
    assert config.data.fields == config.encoder.fields


def test_pjepa_has_the_published_size() -> None:
    with torch.device("meta"):
        objective = new_objective(read("pjepa"))
    assert isinstance(objective, PJEPA)
    size, predictor = objective.encoder.config, objective.config.predictor
    assert (size.embed_dims, size.pair_dims) == ((512, 512, 512), (64, 64, 64))
    assert (size.heads, size.blocks, size.class_blocks) == (8, 16, 2)
    assert (predictor.dim, predictor.heads, predictor.blocks) == (192, 6, 4)
    assert objective.config.hidden == (0.3, 0.5)
    assert all(getattr(objective.config.weights, part) > 0 for part in ("particle", "jet", "identity"))
    assert millions(objective.encoder) == pytest.approx(57, rel=0.03)
    assert millions(objective.predictor) == pytest.approx(1.8, rel=0.15)


def test_sizes_suit_their_names() -> None:
    with torch.device("meta"):
        mini, small = (millions(new_objective(read(f"pjepa_{size}")).exported()) for size in ("mini", "small"))
    assert mini < 2 < small < 15


@pytest.mark.parametrize(("size", "config"), [("mini", "pjepa_mini"), ("small", "pjepa_small"), ("published", "pjepa")])
def test_the_benchmarks_measure_these_encoders(size: str, config: str) -> None:
    assert encoder_config(size) == read(config).encoder


@pytest.mark.parametrize("name", PRETRAINING)
def test_identity_stays_small_beside_the_other_losses(name: str) -> None:
    objective = read(name).objective
    assert objective.get("identity", objective.get("weights", {}).get("identity", 0)) <= 0.1


def test_baselines_have_the_encoder_of_mini() -> None:
    mini = read("pjepa_mini")
    for name in ("mpm", "jetclr"):
        assert read(name).encoder == mini.encoder
        assert read(name).optimiser == mini.optimiser
