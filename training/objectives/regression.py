"""Ridge regressions of embeddings: what is known of them without any network, for monitors and for targets."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.objectives.ranks import sum_over_ranks

RIDGE = 1e-3
"""Added to the variance of every input, which is of order one."""


def with_squares(x: Tensor) -> Tensor:
    """Features, their squares and their products.

    Parameters
    ----------
    x
        [..., F].

    Returns
    -------
    Tensor
        [..., F + F (F + 1) / 2].
    """
    first, second = torch.triu_indices(x.shape[-1], x.shape[-1], device=x.device)
    return torch.cat([x, x[..., first] * x[..., second]], dim=-1)


def _with_one(x: Tensor) -> Tensor:
    return torch.cat([torch.ones_like(x[..., :1]), x], dim=-1)


def _solved(gram: Tensor, cross: Tensor) -> Tensor:
    """Coefficients [F, D] of a ridge regression, from mean products [F, F] and [F, D]; the first input is 1."""
    ridge = torch.full_like(gram.diagonal(), RIDGE)
    ridge[0] = 1e-9
    # Without a check of the result, for which the host would wait for a GPU: a positive ridge makes it definite.
    factor, _ = torch.linalg.cholesky_ex(gram + torch.diag(ridge))
    return torch.cholesky_solve(cross, factor)


class RunningRidge(nn.Module):
    """Ridge regression on features, their squares and products, over about the last 1 / (1 - momentum) global batches.

    Parameters
    ----------
    features
        Number F of features.
    outputs
        Number D of what is predicted.
    momentum
        Weight of what was there before when a batch is taken in.
    """

    def __init__(self, features: int, outputs: int, momentum: float = 0.98) -> None:
        super().__init__()
        self.momentum = momentum
        inputs = 1 + features + features * (features + 1) // 2
        self.register_buffer("gram", torch.zeros(inputs, inputs, dtype=torch.float64))
        self.register_buffer("cross", torch.zeros(inputs, outputs, dtype=torch.float64))
        self.gram: Tensor
        self.cross: Tensor

    @torch.no_grad()
    def update(self, x: Tensor, y: Tensor, weights: Tensor) -> None:
        """Take in rows.

        Parameters
        ----------
        x
            Features, [M, F].
        y
            What they are to predict, [M, D].
        weights
            [M].
        """
        inputs, w = _with_one(with_squares(x.double())), weights.double().unsqueeze(-1)
        weighted = (inputs * w).T
        sums = sum_over_ranks(torch.cat([weighted @ inputs, weighted @ y.double()], dim=1))
        # A batch counts once, whatever its number of rows; the first input is 1, so its square is their number.
        share = sums / sums[0, 0].clamp(min=1)
        gram, cross = share.tensor_split([len(sums)], dim=1)
        self.gram.lerp_(gram, 1 - self.momentum)
        self.cross.lerp_(cross, 1 - self.momentum)

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        """What the features say; 0 before the first update.

        Parameters
        ----------
        x
            [M, F].

        Returns
        -------
        Tensor
            f32 [M, D].
        """
        weight = self.gram[0, 0].clamp(min=1e-12)
        coefficients = _solved(self.gram / weight, self.cross / weight)
        return (_with_one(with_squares(x.double())) @ coefficients).float()


def r_squared(predicted: Tensor, wanted: Tensor) -> float:
    """Part of the variance that a prediction explains, all columns together.

    Parameters
    ----------
    predicted, wanted
        [M, D].

    Returns
    -------
    float
        At most 1; negative when the mean would predict better. NaN without jets.
    """
    left = (wanted - predicted).double().square().sum()
    return float(1 - left / (wanted - wanted.mean(0)).double().square().sum())


@torch.no_grad()
def explained_variance(x: Tensor, y: Tensor, fit: Tensor) -> float:
    """R^2 of a ridge regression, on rows that it was not fitted to.

    Parameters
    ----------
    x
        Inputs, [M, F].
    y
        What they are to predict, [M, D].
    fit
        bool [M], rows to fit to; the others judge.

    Returns
    -------
    float
        See :func:`r_squared`.
    """
    known = x[fit].double()
    mean, deviation = known.mean(0), known.std(0).clamp(min=1e-6)
    inputs = _with_one((x.double() - mean) / deviation)
    known, wanted = inputs[fit], y[fit].double()
    coefficients = _solved(known.T @ known / len(known), known.T @ wanted / len(known))
    return r_squared(inputs[~fit] @ coefficients, y[~fit].double())
