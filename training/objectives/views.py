"""Views of jets: each changed a little, most of it seen, the rest hidden; and the loss of views that disagree.

A view knows of its jet only what its visible particles say: their sum stands in for the jet, so that neither the axis
nor the energy, and with them the mass, of the whole jet is told.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from training.models.encoder import initialise
from training.objectives.masks import Split
from training.objectives.ranks import RunningCovariance, global_mean, spread_of

INVARIANCE, VARIANCE, COVARIANCE = 1.0, 1.0, 0.04
"""Weights of the parts of the agreement: those of VICReg (25, 25, 1; arXiv 2105.04906), over 25."""


class Views(NamedTuple):
    """V views of each of B jets, view by view: row v * B + j is view v of jet j."""

    particles: Tensor
    """f32 [V * B, N, field]."""
    mask: Tensor
    """bool [V * B, N]."""
    split: Split
    """Which particles each view sees."""
    kept: Tensor
    """bool [V * B, 2], which groups of optional fields it has."""
    shown: Tensor
    """bool [V * B], whether it shows its scale; the same for all views of a jet."""


def rows_of(views: Views, rows: Tensor, n: int) -> Views:
    """Some of the views, every side no longer than its longest.

    Parameters
    ----------
    views
        Views of jets.
    rows
        int64 [R], which ones.
    n
        Largest number of particles of their jets.

    Returns
    -------
    Views
    """
    seen, hidden = (
        int(mask[rows].sum(1).max().clamp(min=1)) for mask in (views.split.context_mask, views.split.target_mask)
    )
    # Places of padding may lie beyond the cut.
    context = views.split.context[rows, :seen].clamp(max=n - 1), views.split.context_mask[rows, :seen]
    target = views.split.target[rows, :hidden].clamp(max=n - 1), views.split.target_mask[rows, :hidden]
    return Views(
        particles=views.particles[rows, :n],
        mask=views.mask[rows, :n],
        split=Split(*context, *target),
        kept=views.kept[rows],
        shown=views.shown[rows],
    )


class Agreement(nn.Module):
    """Views of a jet should look alike, jets should not: variance-invariance-covariance regularisation of projections.

    Parameters
    ----------
    width
        Size of the jet embeddings.
    dims
        Widths of the projector's layers.
    """

    def __init__(self, width: int, dims: tuple[int, ...] = (256, 256, 128)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for a, b in zip((width, *dims[:-1]), dims, strict=True):
            layers += [nn.Linear(a, b), nn.LayerNorm(b), nn.GELU()]
        self.projector = nn.Sequential(*layers[:-2])
        self.covariance = RunningCovariance(dims[-1])
        initialise(self)

    def forward(self, jets: Tensor, real: Tensor) -> Tensor:
        """Loss of the jet embeddings of views.

        Parameters
        ----------
        jets
            [V, B, width].
        real
            bool [B], the jets that count.

        Returns
        -------
        Tensor
            A scalar.
        """
        projected = self.projector(jets).float()
        apart = (projected - projected.mean(0)).square().mean(-1) * (len(jets) / max(len(jets) - 1, 1)) * 2
        alike = global_mean(apart.mean(0), real)
        hinge, squares = spread_of(self.covariance(projected, real.expand(len(jets), -1)))
        return INVARIANCE * alike + VARIANCE * hinge + COVARIANCE * squares
