"""JetCLR: NT-Xent against its definition, and what is trained."""

import math

import pytest
import torch

from tests.training.objectives.test_pjepa import TINY, batch
from training.models.encoder import EncoderConfig
from training.objectives import build_objective
from training.objectives.jetclr import JetCLR, nt_xent

SCALED = TINY.model_copy(update={"scale_input": True, "pooled": True})


def jetclr(encoder: EncoderConfig = SCALED, **options: object) -> JetCLR:
    torch.manual_seed(0)
    objective = build_objective("jetclr", encoder, options)
    assert isinstance(objective, JetCLR)
    return objective


def test_nt_xent_is_its_definition() -> None:
    """Equation 1 of arXiv 2002.05709, pair by pair, over the jets that there are."""
    x = torch.randn(6, 2, 5, generator=torch.Generator().manual_seed(0))
    x[:, 1] += 0.8 * x[:, 0]
    real = torch.tensor([True, True, False, True, True, True])
    got = nt_xent(x, real, 0.3)
    rows = [(jet, copy) for jet in range(6) if real[jet] for copy in (0, 1)]

    def similarity(a: tuple[int, int], b: tuple[int, int]) -> float:
        left, right = x[a].tolist(), x[b].tolist()
        product = sum(p * q for p, q in zip(left, right, strict=True))
        return product / math.hypot(*left) / math.hypot(*right) / 0.3

    losses, found = [], []
    for row in rows:
        others = {other: similarity(row, other) for other in rows if other != row}
        same = (row[0], 1 - row[1])
        losses.append(-math.log(math.exp(others[same]) / sum(math.exp(value) for value in others.values())))
        found.append(max(others, key=others.__getitem__) == same)
    assert float(got["loss"]) == pytest.approx(sum(losses) / 10, rel=1e-5)
    assert float(got["found"]) == pytest.approx(sum(found) / 10)
    assert 0 < sum(found) < 10


def test_alike_copies_of_unlike_jets_cost_nothing() -> None:
    x = torch.eye(4).unsqueeze(1).expand(-1, 2, -1)
    assert float(nt_xent(x, torch.ones(4, dtype=torch.bool), 0.05)["loss"]) < 1e-6
    assert float(nt_xent(torch.ones(4, 2, 3), torch.ones(4, dtype=torch.bool), 0.05)["loss"]) == pytest.approx(
        math.log(7)
    )
    assert float(nt_xent(x, torch.zeros(4, dtype=torch.bool), 0.05)["loss"]) == 0


def test_learns_and_every_parameter_takes_part() -> None:
    objective = jetclr(drop_displacement=0.2)
    optimiser = torch.optim.Adam(objective.parameters(), 3e-3)
    history = []
    for step in range(30):
        losses = objective(batch(seed=step % 4))
        optimiser.zero_grad()
        losses["loss"].backward()
        for name, parameter in objective.named_parameters():
            assert (parameter.grad is None) == name.startswith("target."), name
            assert parameter.grad is None or parameter.grad.isfinite().all(), name
        optimiser.step()
        history.append(losses["loss"].item())
    assert sum(history[-4:]) < 0.5 * sum(history[:4])
    assert objective.flops(batch()) > 0


def test_slices_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for whole in (True, False):
        monkeypatch.setattr("training.models.slices.TOKENS", 40)
        objective = jetclr()
        objective.compiled = whole
        losses = objective(batch())
        losses["loss"].backward()
        found.append([losses["loss"], *(p.grad for p in objective.parameters() if p.requires_grad)])
    for mine, theirs in zip(*found, strict=True):
        scale = float(theirs.detach().abs().max()) + 1e-6
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5 * scale + 1e-7)


def test_a_copy_knows_of_the_jet_what_its_particles_say() -> None:
    """Another axis and energy of the jet, the same particles: the same copies."""
    objective, jets = jetclr(augmentations={"rotate": False, "smear": 0.05, "drop": 0.5}), batch()
    copies = []
    for factor in (1.0, 1.3):
        objective.seen = 2
        # Soft drop-out asks for shares of the jet's pT, so the direction alone changes.
        turned = jets.jets * torch.tensor([1.0, 1.0, factor, 1.0])
        _, (first, second) = objective._copies(type(jets)(particles=jets.particles, mask=jets.mask, jets=turned))
        assert not torch.equal(first.particles, second.particles)
        copies.append(first)
    torch.testing.assert_close(copies[0].jets, copies[1].jets)
    assert int(copies[0].mask.sum()) < int(jets.mask.sum())
    sums = (copies[0].particles[..., :4] * copies[0].mask.unsqueeze(-1)).sum(1)
    torch.testing.assert_close(copies[0].jets, sums)
