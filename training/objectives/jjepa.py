"""J-JEPA: predict the embeddings of hidden subjets from the others (Katel et al., arXiv 2412.05333).

30 % of a jet's subjets are hidden. The predictor is told where they are (sin and cos of eta and phi) and predicts what
the target encoder, the moving average of the context encoder that sees the whole jet, makes of them; the loss is the
mean squared error. As in P-JEPA here, targets are layer-normed and standardised, without which they shrink; set the
variance weight to 0 (the default) for a loss without any such term on the student, as published.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from training.data.batch import Batch
from training.models.flops import subjet_macs
from training.models.subjets import SubjetEncoder
from training.objectives.base import register
from training.objectives.ema import Momentum
from training.objectives.masks import Split, lengths, split, take
from training.objectives.predictor import Predictor, PredictorConfig, normalise
from training.objectives.ranks import RunningMoments, global_mean, spread_of
from training.objectives.teacher import TeacherStudent

DIRECTION = 4  # sin, cos of eta and phi


class JJEPAConfig(BaseModel):
    """Options of the objective ``jjepa``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hidden: float = Field(default=0.3, gt=0, lt=1)
    """Share of a jet's subjets that is hidden."""
    predictor: PredictorConfig = PredictorConfig()
    last_blocks: int = Field(default=1, gt=0)
    """Targets are the mean of the outputs of this many last blocks."""
    momentum: Momentum = (0.996, 1.0)
    """Of the target encoder, at the beginning and at the end."""
    variance: float = Field(default=0.0, ge=0)
    """Weight of a hinge on the standard deviation of each dimension of the student's tokens in a batch."""


@register("jjepa", JJEPAConfig, takes="subjets")
class JJEPA(TeacherStudent[SubjetEncoder]):
    """The subjet encoder in training, its target, and the predictor.

    Parameters
    ----------
    encoder
        In training.
    config
        Options of the objective.
    seed
        Of the masks.
    """

    def __init__(self, encoder: SubjetEncoder, config: JJEPAConfig, *, seed: int = 0) -> None:
        super().__init__(encoder, config.momentum, config.last_blocks, seed)
        size = encoder.config
        self.config = config
        self.predictor = Predictor(config.predictor, size.dim, DIRECTION)
        self.token_moments = RunningMoments(size.dim)

    def forward(self, batch: Batch, progress: float = 0.0) -> dict[str, Tensor]:  # noqa: ARG002
        """The losses of a batch.

        Parameters
        ----------
        batch
            Jets with subjets.
        progress
            Part of the training that is over.

        Returns
        -------
        dict
            ``subjet``, the loss of the hidden subjets, ``variance`` where it has a weight, and ``loss``.
        """
        config = self.config
        subjets = self.encoder.group(batch.particles, batch.mask, batch.jets)
        masks = self.draw(subjets.real)
        features = take(subjets.features.flatten(2), masks.context).unflatten(-1, subjets.features.shape[2:])
        constituents = take(subjets.mask, masks.context)
        student = self.encoder.contextualise(self.encoder.embed(features, constituents), masks.context_mask)
        with torch.no_grad():
            tokens = self.target.embed(subjets.features, subjets.mask)
            target = self.target.contextualise(tokens, subjets.real, config.last_blocks)
            wanted = normalise(take(target.tokens, masks.target))
            if self.training:
                self.token_moments.update(wanted, masks.target_mask)
            wanted = self.token_moments.standardise(wanted)
        hints = take(subjets.directions, masks.target)
        predicted = self.predictor(student.tokens, masks.context_mask, hints, masks.target_mask)
        error = F.mse_loss(self.predictor.embedding(predicted).float(), wanted, reduction="none")
        losses = {"subjet": global_mean(error.mean(-1), masks.target_mask)}
        loss = losses["subjet"]
        if config.variance:
            losses["variance"], _ = spread_of(normalise(student.tokens), student.mask)
            loss = loss + config.variance * losses["variance"]
        return losses | {"loss": loss}

    def compile(self) -> None:
        """As of every objective; the embedding then takes subjets as they come."""
        super().compile()
        self.encoder.sliced = self.target.sliced = False

    @torch.compiler.disable
    @torch.no_grad()
    def draw(self, real: Tensor) -> Split:
        """Split the subjets of this batch into visible and hidden ones.

        Parameters
        ----------
        real
            bool [B, S], which subjets there are.

        Returns
        -------
        Split
        """
        order, _ = self.uniform(real.shape[0], real.shape[1], real.device)
        ratio = torch.full((real.shape[0],), self.config.hidden, device=real.device)
        return split(order, real, ratio, (self.config.hidden, self.config.hidden))

    def flops(self, batch: Batch) -> float:
        """Floating-point operations of a training step.

        Student forward and backward on the visible subjets, target forward on all, predictor on both sides.

        Parameters
        ----------
        batch
            Jets.

        Returns
        -------
        float
        """
        size = self.encoder.config
        visible, hidden = lengths(size.max_subjets, (self.config.hidden, self.config.hidden))
        each = float(batch.mask.sum()) / len(batch) / size.max_subjets if self.encoder.in_slices(batch.mask) else None
        total = 6 * subjet_macs(size, visible, each) + 2 * subjet_macs(size, size.max_subjets, each)
        return len(batch) * (total + 6 * self.predictor.macs(visible, hidden))
