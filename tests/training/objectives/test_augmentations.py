"""Views of a jet: what a rotation, a reflection and a smearing leave as it is."""

import torch

from training.data.batch import Batch
from training.models.synthetic import synthetic_jets
from training.objectives.augmentations import (
    AugmentationConfig,
    WholeJetConfig,
    augment,
    augmented,
    numbers_of,
    visible_sum,
)


def angles(particles: torch.Tensor, jets: torch.Tensor) -> torch.Tensor:
    """Eta and phi relative to the jet, [B, N, 2]."""
    px, py, pz = particles[..., :3].double().unbind(-1)
    jx, jy, jz = (jets[:, i : i + 1].double() for i in range(3))
    deta = torch.asinh(pz / torch.hypot(px, py)) - torch.asinh(jz / torch.hypot(jx, jy))
    return torch.stack([deta, torch.atan2(jx * py - jy * px, jx * px + jy * py)], -1)


def changed(config: AugmentationConfig, turn: float, side: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    particles, _, jets = synthetic_jets([9, 9], seed=3)
    common = torch.tensor([[turn, side]] * 2)
    each = torch.rand(2, 9, 2, generator=torch.Generator().manual_seed(0))
    return particles, augment(particles, jets, config, each, common), jets


def test_a_quarter_turn() -> None:
    before, after, jets = changed(AugmentationConfig(smear=0.0), 0.25, 0.9)
    (deta, dphi), (eta, phi) = angles(before, jets).unbind(-1), angles(after, jets).unbind(-1)
    torch.testing.assert_close(eta, -dphi, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(phi, deta, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(after[..., :2].norm(dim=-1), before[..., :2].norm(dim=-1))
    assert torch.equal(after[..., 4:], before[..., 4:])


def test_a_reflection() -> None:
    before, after, jets = changed(AugmentationConfig(smear=0.0), 0.0, 0.1)
    sign = torch.tensor([1.0, -1.0])
    torch.testing.assert_close(angles(after, jets), angles(before, jets) * sign, rtol=1e-3, atol=1e-4)


def test_smearing_keeps_directions_and_masses() -> None:
    before, after, jets = changed(AugmentationConfig(rotate=False, smear=0.1), 0.3, 0.1)
    torch.testing.assert_close(angles(after, jets), angles(before, jets), rtol=1e-3, atol=1e-4)
    factor = after[..., :2].norm(dim=-1) / before[..., :2].norm(dim=-1)
    assert 0.03 < float(factor.std()) < 0.3
    mass2 = [p[..., 3].double().square() - p[..., :3].double().square().sum(-1) for p in (before, after)]
    torch.testing.assert_close(mass2[1], mass2[0], rtol=1e-2, atol=1e-2)


def test_nothing_asked_nothing_changed() -> None:
    before, after, _ = changed(AugmentationConfig(rotate=False, smear=0.0), 0.3, 0.1)
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)


def test_padding_stays_finite_and_uncounted() -> None:
    particles, mask, jets = synthetic_jets([4, 2], width=6)
    after = augment(particles, jets, AugmentationConfig(), torch.rand(2, 6, 2), torch.rand(2, 2))
    assert after.isfinite().all()
    torch.testing.assert_close(visible_sum(particles, mask)[1], particles[1, :2, :4].sum(0))


def test_soft_particles_are_left_out() -> None:
    counts = [30] * 400
    particles, mask, jets = synthetic_jets(counts, seed=1)
    batch = Batch(particles=particles, mask=mask, jets=jets, labels=torch.arange(400))
    numbers = torch.rand(400, numbers_of(mask.shape[1]), generator=torch.Generator().manual_seed(0))
    after = augmented(batch, WholeJetConfig(rotate=False, smear=0.0, drop=0.4), numbers)
    left = after.mask.sum(1)
    # Real particles come first, in their old order, and are those of before.
    assert torch.equal(after.mask, torch.arange(after.mask.shape[1]) < left.unsqueeze(1))
    assert (after.particles[~after.mask] == 0).all()
    pt = after.particles[..., :2].norm(dim=-1)
    assert (pt[:, 1:][after.mask[:, 1:]] <= pt[:, :-1][after.mask[:, 1:]] * 1.0001).all()
    torch.testing.assert_close(pt[:, 0], particles[:, 0, :2].norm(dim=-1))
    share = particles[..., :2].norm(dim=-1) / jets[:, :2].norm(dim=-1, keepdim=True)
    expected = (0.4 / (1 + share / 0.01))[:, 1:][mask[:, 1:]]
    lost = mask.sum() - after.mask.sum()
    assert abs(float(lost - expected.sum())) < 4 * float((expected * (1 - expected)).sum().sqrt())
    assert torch.equal(after.labels, batch.labels)
    again = augmented(batch, WholeJetConfig(rotate=False, smear=0.0, drop=0.4), numbers)
    assert torch.equal(again.particles, after.particles)


def test_neutral_particles_become_two_in_their_direction() -> None:
    particles, mask, jets = synthetic_jets([30] * 200, seed=1, width=40)
    batch = Batch(particles=particles, mask=mask, jets=jets)
    numbers = torch.rand(200, numbers_of(40), generator=torch.Generator().manual_seed(0))
    after = augmented(batch, WholeJetConfig(rotate=False, smear=0.0, split=0.3), numbers)
    neutral = (particles[..., 4] == 0) & mask
    more = after.mask.sum(1) - 30
    # Three in ten, but for jets with more than ten to split, which have no room for all.
    assert more.max() == 10
    assert abs(float(more.sum() / neutral.sum()) - 0.3) < 0.03
    assert torch.equal(after.mask, torch.arange(40) < (30 + more).unsqueeze(1))
    # Halves add up to what there was, jet by jet and particle by particle, and keep direction and kind.
    torch.testing.assert_close(
        visible_sum(after.particles, after.mask), visible_sum(particles, mask), rtol=1e-4, atol=1e-2
    )
    old, new = particles[:, :30], after.particles[:, :30]
    factor = new[..., 3] / old[..., 3]
    torch.testing.assert_close(new[..., :4], old[..., :4] * factor.unsqueeze(-1), rtol=1e-3, atol=1e-3)
    assert torch.equal(new[..., 4:], old[..., 4:])
    halved = factor < 0.9999
    assert not (halved & ~neutral[:, :30]).any()
    assert torch.equal(halved.sum(1), more)
    for jet in range(20):
        halves = old[jet][halved[jet]]
        momenta = halves[:, :4] * (1 - factor[jet][halved[jet]]).unsqueeze(-1)
        others = after.particles[jet, 30 : 30 + int(more[jet])]
        torch.testing.assert_close(others, torch.cat([momenta, halves[:, 4:]], -1), rtol=1e-3, atol=1e-3)
