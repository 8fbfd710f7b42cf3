"""MPM: predict the hidden particles themselves, not embeddings of them, from the visible ones (arXiv 2401.13537).

A part of a jet's particles is hidden. A predictor, given the tokens and the jet embedding of the visible ones and as
many slots as particles are hidden, says what they are: their standardised features and their identity. Slots are
learned vectors that know nothing of the particles, and the loss is that of two sets: each hidden particle is compared
with the slot that is nearest to it, and each slot with its nearest hidden particle (Chamfer distance).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from pydantic import Field
from torch import Tensor, nn

from training.data.batch import Batch
from training.models.encoder import Encoder
from training.models.flops import encoder_macs
from training.models.preprocess import IDENTITY
from training.models.slices import slices
from training.objectives.augmentations import visible_sum
from training.objectives.base import ObjectiveError, register
from training.objectives.ema import Momentum, MovingAverage
from training.objectives.identity import IDENTITIES, kinds_of
from training.objectives.masks import take
from training.objectives.predictor import Predictor, PredictorConfig
from training.objectives.ranks import RunningMoments, global_mean
from training.objectives.views import Views, ViewsConfig, draw_views, rows_of

CLIP = 5.0
"""Standardised features are clipped to [-CLIP, CLIP]."""


class MPMConfig(ViewsConfig):
    """Options of the objective ``mpm``; fields are dropped from what is seen, never from what is predicted."""

    predictor: PredictorConfig = PredictorConfig()
    identity: float = Field(default=0.1, ge=0)
    """Weight of the identity of the hidden particles beside their features."""
    momentum: Momentum = (0.99, 0.9995)
    """Of the moving average of the encoder, which is exported, at the beginning and at the end."""


class Distances(NamedTuple):
    """How far the slots of a jet are from its hidden particles."""

    features: Tensor
    """f32 [B, slot, particle], smooth L1 averaged over features."""
    identity: Tensor
    """f32 [B, slot, particle], cross-entropy; 0 where the particle has no known identity."""


@register("mpm", MPMConfig)
class MPM(MovingAverage[Encoder]):
    """The encoder in training, and what predicts hidden particles from what it makes of the visible ones.

    Parameters
    ----------
    encoder
        In training.
    config
        Options of the objective.
    seed
        Of the masks.

    Raises
    ------
    ObjectiveError
        If the identity of particles is to be predicted or dropped and the encoder has no such fields.
    """

    def __init__(self, encoder: Encoder, config: MPMConfig, *, seed: int = 0) -> None:
        super().__init__(encoder, config.momentum, seed, config)
        size = encoder.config
        if config.identity and IDENTITY[0] not in size.fields:
            msg = f"identity: {config.identity}, but the encoder's fields have no {IDENTITY[0]}; set it to 0"
            raise ObjectiveError(msg)
        self.config = config
        names = encoder.preprocess.names
        self.columns = [i for i, name in enumerate(names) if name not in IDENTITY]
        self.slots = nn.Parameter(torch.empty(size.max_particles, size.dim))
        nn.init.trunc_normal_(self.slots, std=1.0)
        self.predictor = Predictor(config.predictor, size.dim, size.embedding_dim + size.dim)
        # Its own output layer is for embeddings.
        self.predictor.embedding = nn.Linear(config.predictor.dim, len(self.columns))
        self.moments = RunningMoments(len(self.columns))
        if config.identity:
            self.identity = nn.Linear(config.predictor.dim, IDENTITIES)

    def forward(self, batch: Batch, progress: float = 0.0) -> dict[str, Tensor]:  # noqa: ARG002
        """The losses of a batch.

        Parameters
        ----------
        batch
            Jets.
        progress
            Part of the training that is over; not used.

        Returns
        -------
        dict
            ``features``, ``identity`` where it has a weight, and ``loss``, their weighted sum.
        """
        views = draw_views(batch, self.config, self.drop, self)
        wanted = self._wanted(views)
        if self.whole(batch.mask):
            parts = [self._look(views, wanted)]
        else:
            cut = [(rows_of(views, rows, n), rows) for rows, n in slices(views.mask)]
            parts = [self._look(view, wanted[rows, : view.split.target.shape[1]]) for view, rows in cut]
        features, identity, real = (torch.cat(part) for part in zip(*parts, strict=True))
        losses = {"features": global_mean(features, real)}
        loss = losses["features"]
        if self.config.identity:
            losses["identity"] = global_mean(identity, real)
            loss = loss + self.config.identity * losses["identity"]
        return losses | {"loss": loss}

    @torch.no_grad()
    def _wanted(self, views: Views) -> Tensor:
        """Features of the hidden particles, standardised over the last batches; f32 [V * B, M, F]."""
        context, index, mask = views.split.context, views.split.target, views.split.target_mask
        jets = visible_sum(take(views.particles, context), views.split.context_mask)
        features = self.encoder.preprocess(take(views.particles, index), mask, jets).features[..., self.columns]
        if self.training:
            self.moments.update(features, mask)
        return self.moments.standardise(features).clamp(-CLIP, CLIP)

    def _look(self, views: Views, wanted: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Parts of the Chamfer distance of each hidden particle of some views, [R] each, and which there are."""
        masks = views.split
        visible = take(views.particles, masks.context)
        jets = visible_sum(visible, masks.context_mask)
        seen = self.encoder(self.drop(visible, views.kept), masks.context_mask, jets, seen=views.shown)
        number = masks.target.shape[1]
        slots = self.slots[:number].expand(len(jets), -1, -1)
        hints = torch.cat([seen.jet.unsqueeze(1).expand(-1, number, -1), slots.to(seen.jet.dtype)], dim=-1)
        states = self.predictor(seen.tokens, masks.context_mask, hints, masks.target_mask)
        logits = self.identity(states).float() if self.config.identity else None
        hidden = take(views.particles, masks.target)
        distances = distances_of(self.predictor.embedding(states).float(), logits, wanted, hidden)
        features, identity = chamfer(distances, masks.target_mask, self.config.identity)
        return features.flatten(), identity.flatten(), masks.target_mask.flatten()

    def flops(self, batch: Batch) -> float:
        """Floating-point operations of a training step: encoder on the visible particles and predictor, both ways.

        Parameters
        ----------
        batch
            Jets.

        Returns
        -------
        float
        """
        total = 0.0
        for jets, n in self.shapes(batch.mask):
            visible, hidden = self.config.tokens(n, whole=self.whole(batch.mask))
            total += jets * (encoder_macs(self.encoder.config, visible) + self.predictor.macs(visible, hidden))
        return 6 * self.config.views * total


def distances_of(features: Tensor, logits: Tensor | None, wanted: Tensor, particles: Tensor) -> Distances:
    """Every slot beside every hidden particle of its jet.

    Parameters
    ----------
    features
        Predicted ones, f32 [B, M, F].
    logits
        Of the identity, f32 [B, M, 8]; None where it is not predicted.
    wanted
        Features of the hidden particles, f32 [B, M, F].
    particles
        Canonical fields of the hidden particles, [B, M, field].

    Returns
    -------
    Distances
    """
    number = wanted.shape[1]
    each = features.unsqueeze(2).expand(-1, -1, number, -1), wanted.unsqueeze(1).expand(-1, number, -1, -1)
    apart = F.smooth_l1_loss(*each, reduction="none").mean(-1)
    if logits is None:
        return Distances(apart, torch.zeros_like(apart))
    kind, known = kinds_of(particles)
    surprise = -logits.log_softmax(-1).gather(2, kind.unsqueeze(1).expand(-1, number, -1))
    return Distances(apart, surprise * known.unsqueeze(1))


def chamfer(distances: Distances, mask: Tensor, weight: float) -> tuple[Tensor, Tensor]:
    """Each hidden particle with its nearest slot, and each slot with its nearest hidden particle, half each.

    Parameters
    ----------
    distances
        Of slots and particles.
    mask
        bool [B, M], which particles there are, and as many slots.
    weight
        Of the identity in what is nearest.

    Returns
    -------
    tuple of Tensor
        Distances in features and in identity, f32 [B, M], of which the sums over a jet's real places are the two
        halves together; arbitrary at padding.
    """
    total = (distances.features + weight * distances.identity).detach()
    far = torch.finfo(total.dtype).max
    slot = total.masked_fill(~mask.unsqueeze(2), far).argmin(1, keepdim=True)
    particle = total.masked_fill(~mask.unsqueeze(1), far).argmin(2, keepdim=True)
    features, identity = (
        0.5 * (part.gather(1, slot).squeeze(1) + part.gather(2, particle).squeeze(2)) for part in distances
    )
    return features, identity
