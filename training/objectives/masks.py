"""Which particles are hidden from the context encoder."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Split(NamedTuple):
    """A jet's particles split in two; each side is a compact, shorter sequence."""

    context: Tensor
    """int64 [B, K], positions of the particles that are seen."""
    context_mask: Tensor
    """bool [B, K]."""
    target: Tensor
    """int64 [B, M], positions of the hidden particles."""
    target_mask: Tensor
    """bool [B, M]."""


def round_up(n: int, multiple: int = 8) -> int:
    """Smallest multiple that is not below a number: attention on CUDA wants aligned lengths, compilation few of them.

    Parameters
    ----------
    n
        The number.
    multiple
        Of this.

    Returns
    -------
    int
    """
    return -(-n // multiple) * multiple


def lengths(n: int, limits: tuple[float, float]) -> tuple[int, int]:
    """Longest context and target, padded.

    Parameters
    ----------
    n
        Most particles of a jet.
    limits
        Lowest and highest hidden share.

    Returns
    -------
    tuple of int
    """
    return min(n, round_up(n - int(limits[0] * n))), min(n, round_up(int(limits[1] * n + 0.5)))


def draws(
    shape: tuple[int, ...], *, seed: int, step: int, rank: int, world_size: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Uniform numbers for the masks.

    The same for a jet whether one process holds the whole batch or many hold slices of it.

    Parameters
    ----------
    shape
        Jets of this process, and further axes.
    seed, step
        They decide the numbers.
    rank, world_size
        This process has the rows ``rank::world_size`` of the global batch.
    device
        Where the result is.

    Returns
    -------
    tuple of Tensor
        float32 ``shape`` for this process's jets, and one float32 [] for all jets.
    """
    rng = torch.Generator(device).manual_seed((seed * 1_000_003 + step) % 2**63)
    # First, because ranks may differ by a row in a batch that they cannot share evenly.
    common = torch.rand((), generator=rng, device=device)
    rows, *rest = shape
    return torch.rand(rows * world_size, *rest, generator=rng, device=device)[rank::world_size], common


def split(order: Tensor, mask: Tensor, ratio: Tensor, limits: tuple[float, float]) -> Split:
    """Hide the last particles of each jet in the ``order``.

    Parameters
    ----------
    order
        f32 [B, N]: the particles with the largest values are hidden.
    mask
        bool [B, N].
    ratio
        f32 [B] or [], share of the particles to hide, rounded to whole particles; at least one, and at least one
        stays (of a single particle none is hidden).
    limits
        Lowest and highest ``ratio``; with N they set the lengths of both sides, which must not depend on data.

    Returns
    -------
    Split
    """
    n = mask.shape[1]
    count = mask.sum(1)
    hidden = (ratio * count).round().long().clamp(min=1).minimum(count - 1).clamp(min=0)
    seen = count - hidden
    # Real particles first, in the wanted order; padding last.
    sequence = torch.where(mask, order, torch.inf).argsort(dim=1)
    context_length, target_length = lengths(n, limits)
    slots = torch.arange(n, device=mask.device)
    position = (seen.unsqueeze(1) + slots[:target_length]).clamp(max=n - 1)
    return Split(
        context=sequence[:, :context_length],
        context_mask=slots[:context_length] < seen.unsqueeze(1),
        target=sequence.gather(1, position),
        target_mask=slots[:target_length] < hidden.unsqueeze(1),
    )


def take(x: Tensor, index: Tensor) -> Tensor:
    """Some rows of each jet.

    Parameters
    ----------
    x
        [B, N, C].
    index
        int64 [B, K].

    Returns
    -------
    Tensor
        [B, K, C].
    """
    return x.gather(1, index.unsqueeze(-1).expand(-1, -1, x.shape[-1]))


def neighbours(particles: Tensor, mask: Tensor, order: Tensor, regions: int = 1) -> Tensor:
    """Order that hides neighbours: minus the squared angular distance to the nearest of some particles of each jet.

    Parameters
    ----------
    particles
        Canonical fields, [B, N, field].
    mask
        bool [B, N], which particles there are.
    order
        float32 [B, N]; the real particles with the largest values are the centres.
    regions
        How many centres; a jet of fewer particles has as many as those.

    Returns
    -------
    Tensor
        float32 [B, N].
    """
    px, py, pz, _ = particles[..., :4].unbind(-1)
    eta = torch.asinh(pz / (px.square() + py.square()).clamp(min=1e-16).sqrt())
    phi = torch.atan2(py, px)
    # A centre at padding is one of the real particles again: the first of all.
    found, centres = torch.where(mask, order, -1.0).topk(min(regions, mask.shape[1]), dim=1)
    centres = torch.where(found < 0, centres[:, :1], centres)
    dphi = (phi.unsqueeze(2) - phi.gather(1, centres).unsqueeze(1) + torch.pi).remainder(2 * torch.pi) - torch.pi
    deta = eta.unsqueeze(2) - eta.gather(1, centres).unsqueeze(1)
    return -(deta.square() + dphi.square()).amin(2)
