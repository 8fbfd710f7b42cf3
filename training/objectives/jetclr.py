"""JetCLR: two changed copies of a jet are to be nearer to one another than to any other jet (arXiv 2108.04253).

Each copy is rotated about the jet axis, reflected, smeared, and loses some soft particles. The loss is the normalised
temperature-scaled cross-entropy (NT-Xent, arXiv 2002.05709) of projections of their embeddings: of all other copies in
the batch, that of the same jet is to be found by its cosine.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F  # noqa: N812
from pydantic import Field
from torch import Tensor

from training.data.batch import Batch
from training.models.encoder import Encoder
from training.models.flops import encoder_macs
from training.models.slices import encode
from training.objectives.augmentations import WholeJetConfig, augmented, numbers_of, visible_sum
from training.objectives.base import register
from training.objectives.dropout import GROUPS, DropoutConfig
from training.objectives.ema import Momentum, MovingAverage
from training.objectives.ranks import rows_of_all_ranks
from training.objectives.views import projector

PROJECTION = (256, 256, 128)
"""Widths of the projector's layers, as of the agreement of views."""


class JetCLRConfig(DropoutConfig):
    """Options of the objective ``jetclr``."""

    augmentations: WholeJetConfig = WholeJetConfig(drop=0.2)
    temperature: float = Field(default=0.1, gt=0)
    """Of the cosines."""
    momentum: Momentum = (0.99, 0.9995)
    """Of the moving average of the encoder, which is exported, at the beginning and at the end."""


@register("jetclr", JetCLRConfig)
class JetCLR(MovingAverage[Encoder]):
    """The encoder in training, its moving average, and the projector, which is not exported.

    Parameters
    ----------
    encoder
        In training.
    config
        Options of the objective.
    seed
        Of the copies.

    Raises
    ------
    ObjectiveError
        For fields to drop that the encoder lacks.
    """

    def __init__(self, encoder: Encoder, config: JetCLRConfig, *, seed: int = 0) -> None:
        super().__init__(encoder, config.momentum, seed, config)
        self.config = config
        self.projector = projector(encoder.config.embedding_dim, PROJECTION)

    def forward(self, batch: Batch, progress: float = 0.0) -> dict[str, Tensor]:  # noqa: ARG002
        """The loss of a batch.

        Parameters
        ----------
        batch
            Jets.
        progress
            Part of the training that is over; not used.

        Returns
        -------
        dict
            ``loss``, and ``found``, the part of the copies whose nearest one is of the same jet.
        """
        shown, copies = self._copies(batch)
        first, second = (self.projector(self._embedded(copy, shown)).float() for copy in copies)
        real = batch.mask.any(1)
        projections, there = rows_of_all_ranks(torch.stack([first, second], dim=1), real)
        return nt_xent(projections, there, self.config.temperature)

    @torch.compiler.disable
    def _copies(self, batch: Batch) -> tuple[Tensor, list[Batch]]:
        """Which jets show their scale, and two copies of them, which know of themselves what their particles say."""
        changes = numbers_of(batch.mask.shape[1])
        each = changes + len(GROUPS)
        numbers, _ = self.uniform(len(batch), 2 * each + 1, batch.mask.device)
        copies = []
        for some in numbers[:, 1:].split(each, dim=1):
            copy = augmented(batch, self.config.augmentations, some[:, :changes])
            jets, kept = visible_sum(copy.particles, copy.mask), self.drop.kept(some[:, changes:])
            copies.append(replace(copy, particles=self.drop(copy.particles, kept), jets=jets))
        return self.drop.shown(numbers[:, 0]), copies

    def _embedded(self, batch: Batch, shown: Tensor) -> Tensor:
        """Embeddings of jets, [B, embedding_dim]."""
        inputs = batch.particles, batch.mask, batch.jets
        return encode(self.encoder, *inputs, whole=self.whole(batch.mask), seen=shown).jet

    def flops(self, batch: Batch) -> float:
        """Floating-point operations of a training step: two copies, forward and backward.

        Parameters
        ----------
        batch
            Jets.

        Returns
        -------
        float
        """
        return sum(12 * jets * encoder_macs(self.encoder.config, n) for jets, n in self.shapes(batch.mask))


def nt_xent(projections: Tensor, real: Tensor, temperature: float) -> dict[str, Tensor]:
    """Cross-entropy of finding the other copy of a jet among all other copies, by cosine over temperature.

    Parameters
    ----------
    projections
        f32 [B, 2, D], of both copies of each jet.
    real
        bool [B], the jets that count, as what is looked for and as what it is looked for among.
    temperature
        Above 0.

    Returns
    -------
    dict
        ``loss`` and ``found``, the part of the copies that are nearest to the other one; scalars, 0 of no jets.
    """
    unit = F.normalize(projections, dim=-1).flatten(0, 1)
    rows = torch.arange(len(unit), device=unit.device)
    count = real.repeat_interleave(2)
    with torch.autocast(unit.device.type, enabled=False):
        cosines = unit @ unit.T / temperature
    cosines = cosines.masked_fill(~count.unsqueeze(0) | (rows.unsqueeze(0) == rows.unsqueeze(1)), -1e9)
    other = rows ^ 1
    error = F.cross_entropy(cosines, other, reduction="none")
    weights = count.float() / count.sum().clamp(min=1)
    return {"loss": (error * weights).sum(), "found": ((cosines.argmax(1) == other) * weights).sum()}
