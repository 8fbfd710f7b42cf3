"""Random jets of a few collimated particles, as the model sees them."""

import torch
from torch import Tensor


def random_jets(counts: list[int], *, seed: int = 0, width: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Particles f32 [B, N, 14], mask bool [B, N] and jets f32 [B, 4] with ``counts`` particles, padded to ``width``."""
    rng = torch.Generator().manual_seed(seed)
    b, n = len(counts), max([width or 1, *counts])
    mask = torch.arange(n) < torch.tensor(counts, dtype=torch.long).reshape(-1, 1)
    pt = torch.rand(b, n, generator=rng).pow(4).mul(100).add(0.5).sort(1, descending=True).values
    axis = torch.randn(b, 1, generator=rng), 3 * torch.randn(b, 1, generator=rng)
    eta = axis[0] + 0.2 * torch.randn(b, n, generator=rng)
    phi = axis[1] + 0.2 * torch.randn(b, n, generator=rng)
    kind = torch.randint(5, (b, n), generator=rng)
    mass = torch.tensor([0.13957, 0.4976, 0.0, 0.000511, 0.10566])[kind]
    charged = (kind != 1) & (kind != 2)
    charge = (torch.randint(2, (b, n), generator=rng) * 2 - 1) * charged
    track = torch.randn(b, n, 4, generator=rng).mul(0.3).exp().sub(0.5).abs() * charged.unsqueeze(-1)
    momentum = [pt * phi.cos(), pt * phi.sin(), pt * eta.sinh()]
    energy = ((pt * eta.cosh()).square() + mass.square()).sqrt()
    columns = [*momentum, energy, charge, *(kind == k for k in range(5)), *track.unbind(-1)]
    particles = torch.stack([c.float() for c in columns], -1) * mask.unsqueeze(-1)
    return particles, mask, particles[..., :4].sum(1)
