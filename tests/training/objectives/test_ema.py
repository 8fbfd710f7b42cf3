"""The moving average that every self-supervised objective exports, and what they all drop from their inputs."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from tests.training.objectives.test_pjepa import SMALL, TINY
from training.models.preprocess import DISPLACEMENT
from training.models.subjets import SubjetConfig
from training.objectives import build_objective
from training.objectives.ema import MovingAverage, momentum_at

OBJECTIVES = ("pjepa", "mpm", "jetclr", "jjepa")


def averaging(name: str, *, dropout: float = 0.0, **options: object) -> MovingAverage[Any]:
    torch.manual_seed(0)
    size = {"dim": 16, "heads": 2, "blocks": 2, "max_subjets": 4, "max_constituents": 4, "dropout": dropout}
    encoder = SubjetConfig.model_validate(size) if name == "jjepa" else TINY.model_copy(update={"dropout": dropout})
    objective = build_objective(name, encoder, options if name == "jetclr" else SMALL | options)
    assert isinstance(objective, MovingAverage)
    return objective


@pytest.mark.parametrize("name", OBJECTIVES)
def test_what_is_exported_is_the_moving_average(name: str) -> None:
    objective = averaging(name, momentum=(0.9, 1.0))
    target = objective.target
    expected = {key: value.clone() for key, value in target.named_parameters()}
    assert all(torch.equal(expected[key], value) for key, value in objective.encoder.named_parameters())
    for step, momentum in enumerate((0.9, 0.95, 1.0)):
        for key, parameter in objective.encoder.named_parameters():
            parameter.data.add_(1.0 + step)
            expected[key] = momentum * expected[key] + (1 - momentum) * parameter.data
        assert objective.after_step(step / 2) == {"ema": pytest.approx(momentum)}
    for key, parameter in target.named_parameters():
        torch.testing.assert_close(parameter, expected[key])
        assert not parameter.requires_grad
    assert objective.exported() is target


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_average_never_drops(name: str) -> None:
    objective = averaging(name, dropout=0.5).train()
    assert objective.encoder.training
    assert not objective.target.training


@pytest.mark.parametrize("name", ["pjepa", "mpm", "jetclr"])
def test_encoder_and_average_have_the_scale_that_they_learn(name: str) -> None:
    scaled = TINY.model_copy(update={"scale_input": True})
    options = {"drop_scale": 0.0, "drop_displacement": 0.2} | ({} if name == "jetclr" else SMALL)
    objective = build_objective(name, scaled, options)
    assert isinstance(objective, MovingAverage)
    assert (objective.drop.scales, objective.drop.optional_fields) == (("seen",), DISPLACEMENT)
    assert objective.encoder.scale == objective.target.scale == "seen"


@pytest.mark.parametrize("name", OBJECTIVES)
def test_impossible_momentum(name: str) -> None:
    with pytest.raises(ValidationError, match="momentum"):
        averaging(name, momentum=(0.9, 1.1))


def test_momentum_rises_linearly() -> None:
    assert [momentum_at(progress, (0.9, 1.0)) for progress in (0.0, 0.5, 1.0, 2.0)] == pytest.approx(
        [0.9, 0.95, 1.0, 1.0]
    )
