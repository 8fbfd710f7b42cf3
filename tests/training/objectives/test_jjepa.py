"""J-JEPA: it trains, its target follows, its errors say what to change."""

import pytest
import torch
from pydantic import ValidationError

from training.data.batch import Batch
from training.models.encoder import EncoderConfig
from training.models.subjets import SubjetConfig
from training.models.synthetic import synthetic_jets
from training.objectives import build_objective
from training.objectives.base import ObjectiveError
from training.objectives.jjepa import JJEPA

TINY = SubjetConfig(dim=16, heads=2, blocks=2, max_subjets=10, max_constituents=4)
SMALL = {"predictor": {"dim": 12, "heads": 2, "blocks": 1}, "momentum": (0.9, 1.0)}


def batch(seed: int = 0) -> Batch:
    counts = torch.randint(5, 33, (24,), generator=torch.Generator().manual_seed(seed)).tolist()
    particles, mask, jets = synthetic_jets([*counts, 1], seed=seed, width=32, subjets=True)
    return Batch(particles=particles, mask=mask, jets=jets)


def jjepa(embedding: str = "attention", **options: object) -> JJEPA:
    torch.manual_seed(0)
    objective = build_objective("jjepa", TINY.model_copy(update={"embedding": embedding}), SMALL | options)
    assert isinstance(objective, JJEPA)
    return objective


@pytest.mark.parametrize("embedding", ["flatten", "attention"])
def test_learns_and_every_parameter_takes_part(embedding: str) -> None:
    objective = jjepa(embedding, variance=1.0)
    optimiser = torch.optim.Adam([p for p in objective.parameters() if p.requires_grad], 3e-3)
    history = []
    for step in range(40):
        losses = objective(batch(seed=step % 4))
        optimiser.zero_grad()
        losses["loss"].backward()
        for name, parameter in objective.named_parameters():
            if parameter.requires_grad:
                assert parameter.grad is not None, name
                assert parameter.grad.isfinite().all(), name
        optimiser.step()
        objective.after_step(step / 40)
        history.append(losses["subjet"].item())
    assert sum(history[-4:]) < 0.9 * sum(history[:4])
    assert objective.monitors(batch())["std"] > 0.01


def test_a_third_is_hidden() -> None:
    objective = jjepa()
    real = torch.ones(8, 10, dtype=torch.bool)
    masks = objective.draw(real)
    assert (masks.target_mask.sum(1) == 3).all()
    assert (masks.context_mask.sum(1) == 7).all()


def test_variance_is_optional() -> None:
    losses = jjepa()(batch())
    assert set(losses) == {"loss", "subjet"}
    assert torch.equal(losses["loss"], losses["subjet"])


def test_encoder_and_objective_must_match() -> None:
    with pytest.raises(ObjectiveError, match=r"encoder\.kind"):
        build_objective("jjepa", EncoderConfig(embed_dims=(8,), blocks=1), {})
    with pytest.raises(ObjectiveError, match=r"encoder\.kind"):
        build_objective("pjepa", TINY, {})
    with pytest.raises(ObjectiveError, match="last_blocks"):
        jjepa(last_blocks=3)
    with pytest.raises(ValidationError, match="hidden"):
        jjepa(hidden=1.0)


def test_supervised_on_subjets() -> None:
    objective = build_objective("supervised", TINY, {"head": "class_attention"}, class_names=("a", "b"))
    data = batch()
    labelled = Batch(particles=data.particles, mask=data.mask, jets=data.jets, labels=torch.zeros(25, dtype=torch.long))
    losses = objective(labelled)
    losses["loss"].backward()
    assert losses["loss"].isfinite()
