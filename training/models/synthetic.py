"""Made-up jets with the shape of real ones: for parity checks, benchmarks and tests, never for training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

MASSES = (0.13957, 0.49761, 0.0, 0.000511, 0.10566)
"""GeV; charged hadron, neutral hadron, photon, electron, muon, in the order of the identity flags."""


def synthetic_jets(
    counts: Sequence[int], *, seed: int = 0, width: int | None = None, subjets: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Collimated particles with a steeply falling pT spectrum, all 14 canonical fields filled.

    Parameters
    ----------
    counts
        Particles of each jet; 0 is allowed.
    seed
        Of the random numbers.
    width
        Pad to this many particles; by default to the longest jet.
    subjets
        Whether to add the field ``subjet``: up to 24 of them, drawn at random.

    Returns
    -------
    tuple of Tensor
        Particles float32 [B, N, 14 or 15] in GeV, e and mm, mask bool [B, N], jets float32 [B, 4] in GeV.
    """
    rng = torch.Generator().manual_seed(seed)
    b, n = len(counts), max([width or 1, *counts])
    mask = torch.arange(n) < torch.tensor(counts, dtype=torch.long).reshape(-1, 1)
    pt = torch.rand(b, n, generator=rng).pow(4).mul(100).add(0.5).sort(1, descending=True).values
    eta = torch.randn(b, 1, generator=rng) + 0.2 * torch.randn(b, n, generator=rng)
    phi = 3 * torch.randn(b, 1, generator=rng) + 0.2 * torch.randn(b, n, generator=rng)
    kind = torch.randint(len(MASSES), (b, n), generator=rng)
    charged = (kind != 1) & (kind != 2)
    charge = (torch.randint(2, (b, n), generator=rng) * 2 - 1) * charged
    track = torch.randn(b, n, 4, generator=rng).mul(0.3).exp().sub(0.5).abs() * charged.unsqueeze(-1)
    energy = ((pt * eta.cosh()).square() + torch.tensor(MASSES)[kind].square()).sqrt()
    flags = [kind == k for k in range(len(MASSES))]
    columns = [pt * phi.cos(), pt * phi.sin(), pt * eta.sinh(), energy, charge, *flags, *track.unbind(-1)]
    if subjets:
        columns.append((24 * torch.rand(b, n, generator=rng).square()).floor())
    particles = torch.stack([column.float() for column in columns], -1) * mask.unsqueeze(-1)
    return particles, mask, particles[..., :4].sum(1)
