"""Statistics over the whole global batch, so that a result does not depend on how many processes share it."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def world() -> tuple[int, int]:
    """Rank and world size; 0 and 1 without torch.distributed.

    Returns
    -------
    tuple of int
    """
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


class _Sum(torch.autograd.Function):
    """Sum over ranks whose gradient is the sum over ranks of the gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ARG004
        x = x.clone()
        dist.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:  # noqa: ARG004
        grad = grads[0].clone()
        dist.all_reduce(grad)
        return grad


@torch.compiler.disable
def _sum_over_ranks(x: Tensor) -> Tensor:
    summed: Tensor = _Sum.apply(x)
    return summed


def sum_over_ranks(x: Tensor) -> Tensor:
    """Sum over all ranks, differentiable; ``x`` itself in a single process.

    DDP averages gradients over ranks. A loss computed from such sums is the same on every rank, each rank's gradient
    holds only its own jets' part of it, multiplied by the number of ranks: the average is right.

    Parameters
    ----------
    x
        Of the same shape on each rank.

    Returns
    -------
    Tensor
    """
    return x if world()[1] == 1 else _sum_over_ranks(x)


def global_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean over the global batch, shared out so that the average over ranks is the mean; 0 without jets.

    Losses on single jets or particles go through this: ranks hold different numbers.

    Parameters
    ----------
    values
        [...].
    weights
        [...].

    Returns
    -------
    Tensor
        A scalar.
    """
    total = sum_over_ranks(weights.sum().float())
    return (values * weights).sum() * world()[1] / total.clamp(min=1)


def rows_of_all_ranks(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of the global batch on every rank, differentiable as :func:`sum_over_ranks`.

    Parameters
    ----------
    x
        [B, ...], of this rank.
    mask
        bool [B], which rows there are.

    Returns
    -------
    tuple of Tensor
        [R, ...] and bool [R]: those of all ranks, one rank after the other, with padding where one has fewer.
    """
    rank, world_size = world()
    if world_size == 1:
        return x, mask
    longest = torch.tensor(len(x), device=x.device)
    dist.all_reduce(longest, dist.ReduceOp.MAX)
    place = slice(rank * int(longest), rank * int(longest) + len(x))
    rows = x.new_zeros(world_size * int(longest), *x.shape[1:])
    there = mask.new_zeros(len(rows), dtype=torch.float32)
    rows[place], there[place] = x, mask.float()
    return sum_over_ranks(rows), sum_over_ranks(there) > 0


def moments(x: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Total weight, mean and covariance of rows over the global batch, in float32.

    Parameters
    ----------
    x
        [..., D].
    weights
        [...].

    Returns
    -------
    tuple of Tensor
        Total weight [], mean [D] and covariance [D, D].
    """
    with torch.autocast(x.device.type, enabled=False):
        rows, w = x.float().flatten(0, -2), weights.float().flatten().unsqueeze(-1)
        # Sums of products need no second pass over the ranks, and layer-normed rows are of order one: fp32 suffices.
        weighted = rows * w
        sums = sum_over_ranks(torch.cat([w.sum().reshape(1), weighted.sum(0), (weighted.mT @ rows).flatten()]))
        dim = rows.shape[-1]
        total = sums[0].clamp(min=1)
        mean = sums[1 : dim + 1] / total
        covariance = sums[dim + 1 :].unflatten(0, (dim, dim)) / total - torch.outer(mean, mean)
        return sums[0], mean, covariance


class RunningMoments(torch.nn.Module):
    """Per-dimension mean and standard deviation over about the last 1 / (1 - momentum) global batches.

    Batches hold jets of similar multiplicity, so statistics of one batch would hide what sets it apart from another.
    Missing values (NaN) are left out.

    Parameters
    ----------
    dim
        Number D of dimensions.
    momentum
        Weight of what was there before when a batch is taken in.
    """

    def __init__(self, dim: int, momentum: float = 0.98) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("sums", torch.zeros(3, dim))  # weight, sum, sum of squares
        self.sums: Tensor

    @torch.no_grad()
    def update(self, x: Tensor, weights: Tensor) -> None:
        """Take in rows.

        Parameters
        ----------
        x
            [..., D]; NaN where missing.
        weights
            [...].
        """
        with torch.autocast(x.device.type, enabled=False):
            rows, w = x.float().flatten(0, -2), weights.float().flatten().unsqueeze(-1)
            present = rows.isfinite() * w
            rows = torch.where(present > 0, rows, 0.0)
            new = sum_over_ranks(
                torch.stack([present.sum(0), (present * rows).sum(0), (present * rows.square()).sum(0)])
            )
            # A batch counts once, whatever its number of rows: the decaying sum of shares.
            share = new / new[:1].clamp(min=1)
            self.sums.mul_(self.momentum).add_(share * (1 - self.momentum))

    def deviation(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation; a dimension never seen has mean 0 and deviation 1.

        Returns
        -------
        tuple of Tensor
            f32 [D] each.
        """
        weight = self.sums[0]
        seen = weight > 0
        safe = torch.where(seen, weight, 1.0)
        mean = self.sums[1] / safe
        variance = (self.sums[2] / safe - mean.square()).clamp(min=0)
        return mean, torch.where(seen, variance, 1.0).sqrt()

    def standardise(self, x: Tensor) -> Tensor:
        """(x - mean) / deviation, with deviations below 1e-3 taken as 1e-3.

        Parameters
        ----------
        x
            [..., D].

        Returns
        -------
        Tensor
            f32 [..., D].
        """
        mean, deviation = self.deviation()
        return (x.float() - mean) / deviation.clamp(min=1e-3)


def spread_of(x: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Variance and covariance terms of VICReg (arXiv 2105.04906), of the rows of one global batch, all views together.

    With ``accumulate`` above 1 it is that of each micro-batch, which must not be small then.

    Of one batch, not of several: about a mean over batches, an embedding that is the same for all jets of a batch and
    another in the next has a spread; and divided by a deviation over batches, the push that parts jets fades where
    they come close. In both ways an embedding collapsed.

    Parameters
    ----------
    x
        [..., D].
    weights
        [...].

    Returns
    -------
    tuple of Tensor
        Two scalars: the mean over dimensions of max(0, 1 - standard deviation), and the sum of the squared covariances
        of different dimensions, over D.
    """
    _, _, covariance = moments(x, weights)
    diagonal = covariance.diagonal()
    hinge = torch.relu(1 - (diagonal.clamp(min=0) + 1e-4).sqrt()).mean()
    return hinge, (covariance.square().sum() - diagonal.square().sum()) / len(diagonal)
