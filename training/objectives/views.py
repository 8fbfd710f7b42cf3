"""Views of jets: each changed a little, most of it seen, the rest hidden; and the loss of views that disagree.

A view knows of its jet only what its visible particles say: their sum stands in for the jet, so that neither the axis
nor the energy, and with them the mass, of the whole jet is told.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from training.data.batch import Batch
from training.models.encoder import initialise
from training.objectives.augmentations import JET_NUMBERS, PARTICLE_NUMBERS, AugmentationConfig, augment
from training.objectives.drawing import Drawing
from training.objectives.dropout import GROUPS, DropoutConfig, FieldDropout
from training.objectives.masks import Split, lengths, neighbours, split
from training.objectives.ranks import global_mean, spread_of

INVARIANCE, VARIANCE, COVARIANCE = 1.0, 1.0, 0.04
"""Weights of the parts of the agreement: those of VICReg (25, 25, 1; arXiv 2105.04906), over 25."""


class ViewsConfig(DropoutConfig):
    """What is hidden and changed in views of jets; options of every objective that has views."""

    hidden: tuple[float, float] = (0.3, 0.5)
    """Lowest and highest share of a jet's particles that is hidden; uniform in between, batch by batch as in I-JEPA:
    contexts of jets of like multiplicity then are of like length, and little of a batch is padding."""
    contiguous: int = Field(default=0, ge=0)
    """Hide the neighbours in angle of this many random particles, each with a region around it; 0: particles at
    random."""
    views: int = Field(default=1, gt=0)
    """Views of a jet in a step."""
    augmentations: AugmentationConfig = AugmentationConfig()

    @model_validator(mode="after")
    def _some_hidden(self) -> Self:
        low, high = self.hidden
        if not 0 < low <= high < 1:
            msg = f"hidden: expected 0 < lowest <= highest < 1, got {self.hidden}"
            raise ValueError(msg)
        return self

    def tokens(self, n: int, *, whole: bool) -> tuple[float, float]:
        """Visible and hidden particles of a jet that are computed, for counts of operations.

        Parameters
        ----------
        n
            Most particles of a jet.
        whole
            Whether batches are computed as they come; slices have no padding between what is visible and hidden.

        Returns
        -------
        tuple of float
        """
        if whole:
            return lengths(n, self.hidden)
        hidden = sum(self.hidden) / 2 * n
        return n - hidden, hidden


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


@torch.compiler.disable
@torch.no_grad()
def draw_views(batch: Batch, config: ViewsConfig, drop: FieldDropout, drawing: Drawing) -> Views:
    """Draw the views of a batch.

    Parameters
    ----------
    batch
        Jets.
    config
        What is hidden and changed.
    drop
        Decides which fields, and whose scale, are dropped.
    drawing
        Gives the random numbers.

    Returns
    -------
    Views
    """
    (b, n), v = batch.mask.shape, config.views
    sizes = (n, n * PARTICLE_NUMBERS, JET_NUMBERS, len(GROUPS))
    numbers, ratio = drawing.uniform(b, v * sum(sizes) + 1, batch.mask.device)
    shown = drop.shown(numbers[:, -1]).repeat(v)
    each = numbers[:, :-1].unflatten(1, (v, -1)).transpose(0, 1).flatten(0, 1)
    order, of_particles, of_jets, dropped = each.split(sizes, dim=1)
    particles, mask = batch.particles.repeat(v, 1, 1), batch.mask.repeat(v, 1)
    of_particles = of_particles.unflatten(1, (n, PARTICLE_NUMBERS))
    particles = augment(particles, batch.jets.repeat(v, 1), config.augmentations, of_particles, of_jets)
    low, high = config.hidden
    if config.contiguous:
        order = neighbours(particles, mask, order, config.contiguous)
    return Views(
        particles, mask, split(order, mask, low + (high - low) * ratio, config.hidden), drop.kept(dropped), shown
    )


def projector(width: int, dims: tuple[int, ...]) -> nn.Sequential:
    """MLP from jet embeddings to where views are compared, with layer norms between its layers.

    Parameters
    ----------
    width
        Size of the jet embeddings.
    dims
        Widths of the layers.

    Returns
    -------
    nn.Sequential
    """
    layers: list[nn.Module] = []
    for a, b in zip((width, *dims[:-1]), dims, strict=True):
        layers += [nn.Linear(a, b), nn.LayerNorm(b), nn.GELU()]
    projecting = nn.Sequential(*layers[:-2])
    initialise(projecting)
    return projecting


class ViewAgreement(nn.Module):
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
        self.projector = projector(width, dims)

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
        hinge, squares = spread_of(projected, real.expand(len(jets), -1))
        return INVARIANCE * alike + VARIANCE * hinge + COVARIANCE * squares
