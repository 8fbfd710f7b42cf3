"""Training on labels."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from pydantic import ValidationError

from training.data.batch import Batch
from training.models.encoder import EncoderConfig
from training.models.flops import encoder_macs
from training.models.synthetic import synthetic_jets
from training.objectives import build_objective
from training.objectives.base import ObjectiveError, rank_me
from training.objectives.supervised import Supervised

TINY = EncoderConfig(embed_dims=(16,), pair_dims=(8,), heads=2, blocks=1, class_blocks=1)
CLASSES = ("few", "many")


def batch(seed: int, *, labels: bool = True) -> Batch:
    kind = torch.randint(2, (32,), generator=torch.Generator().manual_seed(seed))
    particles, mask, jets = synthetic_jets([4 if k == 0 else 14 for k in kind.tolist()], seed=seed, width=16)
    return Batch(particles=particles, mask=mask, jets=jets, labels=kind if labels else None)


def supervised(**options: object) -> Supervised:
    torch.manual_seed(0)
    objective = build_objective("supervised", TINY, options, class_names=CLASSES)
    assert isinstance(objective, Supervised)
    return objective


@pytest.mark.parametrize("head", ["linear", "mlp", "class_attention"])
def test_learns_to_tell_few_particles_from_many(head: str) -> None:
    objective = supervised(head=head)
    optimiser = torch.optim.Adam(objective.parameters(), 3e-3)
    for step in range(30):
        losses = objective(batch(step))
        optimiser.zero_grad()
        losses["loss"].backward()
        optimiser.step()
    for name, parameter in objective.named_parameters():
        assert parameter.grad is not None, name
    assert objective.eval()(batch(99))["accuracy"] > 0.95


def test_loss_is_cross_entropy() -> None:
    objective = supervised(label_smoothing=0.1).eval()
    data = batch(0)
    expected = F.cross_entropy(objective.logits(data), data.labels, label_smoothing=0.1)
    torch.testing.assert_close(objective(data)["loss"], expected)
    assert objective.exported() is objective.encoder


def test_errors_say_what_is_missing() -> None:
    with pytest.raises(ObjectiveError, match="no labels"):
        supervised()(batch(0, labels=False))
    with pytest.raises(ObjectiveError, match="two classes"):
        build_objective("supervised", TINY, {}, class_names=("one",))
    with pytest.raises(ValidationError, match="head"):
        supervised(head="forest")


def test_flops_count_padding_and_three_passes() -> None:
    objective, data = supervised(), batch(0)
    assert data.mask.shape == (32, 16)
    assert objective.flops(data) == 6 * 32 * encoder_macs(TINY, 14)  # a slice ends with its longest jet
    objective.compiled = True
    assert objective.flops(data) == 6 * 32 * encoder_macs(TINY, 16)


def test_rank_me_counts_directions() -> None:
    rng = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(16, 16, generator=rng)).Q
    rows = torch.randn(4000, 3, generator=rng) @ basis[:3]
    assert rank_me(rows) == pytest.approx(3.0, abs=0.1)
    assert rank_me(torch.randn(4000, 16, generator=rng)) == pytest.approx(16.0, abs=0.5)
    assert rank_me(torch.ones(50, 16)) == pytest.approx(1.0, abs=0.01)
