"""Splits into visible and hidden particles: fractions, reproducibility, slices of ranks."""

import math

import pytest
import torch

from training.objectives.masks import draws, lengths, neighbours, split, take

CPU = torch.device("cpu")


def test_every_particle_is_on_one_side() -> None:
    counts = torch.arange(41)
    mask = torch.arange(48) < counts.unsqueeze(1)
    numbers = torch.rand(41, 49, generator=torch.Generator().manual_seed(0))
    parts = split(numbers[:, 1:], mask, 0.3 + 0.2 * numbers[:, 0], (0.3, 0.5))
    for row, n in enumerate(counts.tolist()):
        seen = parts.context[row][parts.context_mask[row]].tolist()
        hidden = parts.target[row][parts.target_mask[row]].tolist()
        assert sorted(seen + hidden) == list(range(n))
        if n > 1:
            assert len(seen) >= 1
            assert 0.3 * n - 0.5 <= len(hidden) <= max(1, 0.5 * n + 0.5)
        else:
            assert not hidden


@pytest.mark.parametrize("n", [16, 32, 48, 64, 128])
def test_no_jet_outgrows_its_side(n: int) -> None:
    mask = torch.arange(n) < torch.arange(1, n + 1).unsqueeze(1)
    context, target = lengths(n, (0.3, 0.5))
    for ratio in (0.3, 0.5):
        parts = split(torch.rand(n, n), mask, torch.full((n,), ratio), (0.3, 0.5))
        assert parts.context.shape == (n, context)
        assert parts.target.shape == (n, target)
        assert torch.equal(parts.context_mask.sum(1) + parts.target_mask.sum(1), mask.sum(1))


def test_largest_order_is_hidden() -> None:
    order = torch.tensor([[0.4, 0.9, 0.1, 0.8, 0.0, 0.0]])
    mask = torch.tensor([[True] * 4 + [False] * 2])
    parts = split(order, mask, torch.tensor([0.5]), (0.3, 0.5))
    assert sorted(parts.target[0][parts.target_mask[0]].tolist()) == [1, 3]


def test_neighbours_of_several_particles() -> None:
    """Minus the squared distance to the nearest centre, particle by particle; phi goes round."""
    rng = torch.Generator().manual_seed(0)
    eta, phi = torch.rand(2, 6, generator=rng) * 2 - 1, (torch.rand(2, 6, generator=rng) * 2 - 1) * 3.1
    particles = torch.stack([phi.cos(), phi.sin(), eta.sinh(), eta.cosh()], dim=-1)
    mask = torch.tensor([[True] * 6, [True] * 2 + [False] * 4])
    order = torch.rand(2, 6, generator=rng)
    for regions in (1, 3):
        got = neighbours(particles, mask, order, regions)
        for j in range(2):
            real = mask[j].nonzero().flatten().tolist()
            centres = sorted(real, key=lambda i, j=j: -float(order[j, i]))[:regions]
            for i in real:
                apart = [
                    float(eta[j, i] - eta[j, c]) ** 2 + math.remainder(float(phi[j, i] - phi[j, c]), 2 * math.pi) ** 2
                    for c in centres
                ]
                assert float(got[j, i]) == pytest.approx(-min(apart), abs=1e-5)


def test_ranks_draw_slices_of_one_batch() -> None:
    whole, common = draws((6, 5), seed=3, step=7, rank=0, world_size=1, device=CPU)
    for rank in range(2):
        part, same = draws((3, 5), seed=3, step=7, rank=rank, world_size=2, device=CPU)
        assert torch.equal(part, whole[rank::2])
        assert torch.equal(same, common)
    _, uneven = draws((4, 5), seed=3, step=7, rank=0, world_size=2, device=CPU)
    assert torch.equal(uneven, common)
    for seed, step in ((3, 8), (4, 7)):
        other, another = draws((6, 5), seed=seed, step=step, rank=0, world_size=1, device=CPU)
        assert not torch.equal(whole, other)
        assert common != another


def test_take() -> None:
    x = torch.arange(12.0).reshape(1, 6, 2)
    assert torch.equal(take(x, torch.tensor([[4, 0]])), x[:, [4, 0]])
