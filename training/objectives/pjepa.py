"""P-JEPA: predict the embeddings of hidden particles from the visible ones (Liu, Wang, Li, Qu, ML4Jets 2024).

A context encoder sees 50-70 % of a jet's particles. A predictor, told the kinematics of the hidden ones, predicts what
a target encoder, the moving average of the context encoder that sees the whole jet, makes of them. The loss has a
part for particles, a part for the jet as a whole (its embedding, and label-free observables) and one for the identity
of the hidden particles. With the particle, jet and identity weights at 0, neither target nor predictor is computed:
the compute-matched control that learns observables only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F  # noqa: N812
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from training.data.batch import Batch
from training.models.encoder import Encoder
from training.models.flops import block_macs, encoder_macs
from training.models.preprocess import IDENTITY, KINEMATIC_FEATURES
from training.models.slices import Slice, slices
from training.objectives.base import ObjectiveError
from training.objectives.dropout import DropoutConfig, FieldDropout
from training.objectives.identity import IDENTITIES, identity_loss
from training.objectives.masks import Split, lengths, neighbours, split, take
from training.objectives.observables import jet_observables, observable_names
from training.objectives.predictor import JetPredictor, Predictor, PredictorConfig, normalise
from training.objectives.ranks import RunningMoments, global_mean, moments
from training.objectives.teacher import TeacherStudent


class Weights(BaseModel):
    """Weight of each part of the loss; a part of weight 0 is not computed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    particle: float = Field(default=1.0, ge=0)
    """Embeddings of the hidden particles."""
    jet: float = Field(default=1.0, ge=0)
    """Embedding of the whole jet: the aggregated loss."""
    observables: float = Field(default=0.0, ge=0)
    """Label-free observables of the whole jet, regressed from the visible particles; also aggregated."""
    identity: float = Field(default=0.5, ge=0)
    """Identity and charge of the hidden particles."""
    variance: float = Field(default=1.0, ge=0)
    """Hinge on the standard deviation of each dimension of the layer-normed embeddings (arXiv 2105.04906)."""
    covariance: float = Field(default=0.02, ge=0)
    """Squared covariances of different dimensions."""


class PJEPAConfig(DropoutConfig):
    """Options of the objective ``pjepa``; fields are dropped from what the student sees, never from its targets."""

    hidden: tuple[float, float] = (0.3, 0.5)
    """Lowest and highest share of a jet's particles that is hidden; uniform in between, batch by batch as in I-JEPA:
    contexts of jets of like multiplicity then are of like length, and little of a batch is padding."""
    contiguous: bool = False
    """Hide the neighbours in angle of a random particle instead of particles at random."""
    predictor: PredictorConfig = PredictorConfig()
    last_blocks: int = Field(default=3, gt=0)
    """Targets are the mean of the outputs of this many last blocks."""
    momentum: tuple[float, float] = (0.99, 0.9995)
    """Of the target encoder, at the beginning and at the end."""
    weights: Weights = Weights()

    @model_validator(mode="after")
    def _possible(self) -> Self:
        low, high = self.hidden
        if not 0 < low <= high < 1:
            msg = f"hidden: expected 0 < lowest <= highest < 1, got {self.hidden}"
            raise ValueError(msg)
        if not all(0 <= m <= 1 for m in self.momentum):
            msg = f"momentum: expected two numbers in [0, 1], got {self.momentum}"
            raise ValueError(msg)
        if not (self.weights.jet or self.weights.observables):
            msg = "weights: jet and observables are both 0, nothing would train the jet embedding"
            raise ValueError(msg)
        return self


class Seen(NamedTuple):
    """What student, target and predictor make of a batch: R visible and M hidden particles, all jets in one row.

    Empty where no loss asks for it.
    """

    jet: Tensor
    """[B, D], the student's jet embeddings."""
    real: Tensor
    """bool [B], whether the jet has a particle."""
    tokens: Tensor
    """[R, D], the student's particle embeddings."""
    token_mask: Tensor
    """bool [R]."""
    hidden: Tensor
    """f32 [M, field], the hidden particles."""
    hidden_mask: Tensor
    """bool [M]."""
    predicted: Tensor
    """[M, d], the predictor's hidden states."""
    wanted: Tensor
    """[M, D], what the target makes of the hidden particles."""
    target_jet: Tensor
    """[B, D], the target's jet embeddings."""
    observed: Tensor
    """f32 [B, O], observables of the whole jets."""


class PJEPA(TeacherStudent[Encoder]):
    """The encoder in training, its target, and what predicts the one from the other."""

    def __init__(
        self, encoder: Encoder, config: PJEPAConfig, *, observables: tuple[str, ...] = (), seed: int = 0
    ) -> None:
        super().__init__(encoder, config.momentum, config.last_blocks, seed)
        size, weights = encoder.config, config.weights
        if weights.identity and IDENTITY[0] not in size.fields:
            msg = f"weights.identity: {weights.identity}, but the encoder's fields have no {IDENTITY[0]}; set it to 0"
            raise ObjectiveError(msg)
        self.config, self.stored = config, observables
        self.drop = FieldDropout(config, size.fields)
        self.optional_fields = self.drop.optional_fields
        if weights.particle or weights.identity:
            self.predictor = Predictor(config.predictor, size.dim, len(KINEMATIC_FEATURES))
            self.predictor.embedding.requires_grad_(weights.particle > 0)
        if weights.particle:
            self.token_moments = RunningMoments(size.dim)
        if weights.identity:
            self.identity = torch.nn.Linear(config.predictor.dim, IDENTITIES)
        if weights.jet:
            self.jet_predictor = JetPredictor(size.dim, size.dim)
            self.jet_moments = RunningMoments(size.dim)
        if weights.observables:
            names = observable_names(observables)
            self.observable_predictor = JetPredictor(size.dim, len(names))
            self.observable_moments = RunningMoments(len(names))

    def forward(self, batch: Batch, progress: float = 0.0) -> dict[str, Tensor]:  # noqa: ARG002
        """Each part of the loss unweighted, and ``loss``, their weighted sum."""
        masks, kept = self.draw(batch)
        if self.whole(batch.mask):
            seen = self.look(batch, masks, kept)
        else:
            seen = joined([self.look(*cut(batch, masks, kept, part)) for part in slices(batch.mask)])
        parts = self.parts(seen)
        weights = self.config.weights.model_dump()
        return parts | {"loss": torch.stack([weights[name] * value for name, value in parts.items()]).sum()}

    @torch.compiler.disable
    @torch.no_grad()
    def draw(self, batch: Batch) -> tuple[Split, Tensor]:
        """This batch's split into visible and hidden particles, and which jets keep their optional fields, [B, 2]."""
        b, n = batch.mask.shape
        numbers, ratio = self.uniform(b, n + 2, batch.mask.device)
        order, dropped = numbers[:, :n], numbers[:, n:]
        low, high = self.config.hidden
        if self.config.contiguous:
            order = neighbours(batch.particles, batch.mask, order)
        return split(order, batch.mask, low + (high - low) * ratio, self.config.hidden), self.drop.kept(dropped)

    def look(self, batch: Batch, masks: Split, kept: Tensor) -> Seen:
        """What the networks make of the jets of ``batch``, as far as a loss of weight above 0 needs it."""
        weights, none = self.config.weights, batch.jets.new_zeros(0)
        visible = self.drop(take(batch.particles, masks.context), kept)
        student = self.encoder(visible, masks.context_mask, batch.jets)
        hidden, predicted, wanted, target_jet, observed = none, none, none, none, none
        if weights.particle or weights.jet:
            with torch.no_grad():
                target = self.target(batch.particles, batch.mask, batch.jets, self.config.last_blocks)
            target_jet, wanted = target.jet, take(target.tokens, masks.target).flatten(0, 1)
        if weights.particle or weights.identity:
            hidden = take(batch.particles, masks.target)
            hints = self.encoder.preprocess(hidden, masks.target_mask, batch.jets).features[
                ..., : len(KINEMATIC_FEATURES)
            ]
            predicted = self.predictor(student.tokens, masks.context_mask, hints, masks.target_mask).flatten(0, 1)
            hidden = hidden.flatten(0, 1)
        if weights.observables:
            observed = jet_observables(batch.particles, batch.mask, batch.jets, batch.observables, self.stored)
        return Seen(
            jet=student.jet,
            real=batch.mask.any(1),
            tokens=student.tokens.flatten(0, 1),
            token_mask=masks.context_mask.flatten(),
            hidden=hidden,
            hidden_mask=masks.target_mask.flatten(),
            predicted=predicted,
            wanted=wanted,
            target_jet=target_jet,
            observed=observed,
        )

    def parts(self, seen: Seen) -> dict[str, Tensor]:
        """The parts of the loss whose weight is not 0."""
        weights, losses = self.config.weights, {}
        if weights.particle:
            wanted = self.standardised(self.token_moments, seen.wanted, seen.hidden_mask)
            error = F.smooth_l1_loss(self.predictor.embedding(seen.predicted).float(), wanted, reduction="none")
            losses["particle"] = global_mean(error.mean(-1), seen.hidden_mask)
        if weights.jet:
            wanted = self.standardised(self.jet_moments, seen.target_jet, seen.real)
            error = F.smooth_l1_loss(self.jet_predictor(seen.jet).float(), wanted, reduction="none")
            losses["jet"] = global_mean(error.mean(-1), seen.real)
        if weights.observables:
            losses["observables"] = self.observable_loss(seen)
        if weights.identity:
            losses["identity"] = identity_loss(self.identity(seen.predicted), seen.hidden, seen.hidden_mask)
        if weights.variance or weights.covariance:
            losses |= self.spread_losses(seen)
        return losses

    def standardised(self, running: RunningMoments, x: Tensor, weights: Tensor) -> Tensor:
        """Targets: layer-normed, then standardised over the last batches, or their spread would shrink unnoticed."""
        x = normalise(x)
        if self.training:
            running.update(x, weights)
        return running.standardise(x)

    def observable_loss(self, seen: Seen) -> Tensor:
        """Smooth L1 of standardised observables, over those that a jet has."""
        if self.training:
            self.observable_moments.update(seen.observed, seen.real)
        wanted = self.observable_moments.standardise(seen.observed)
        present = wanted.isfinite()
        wanted = torch.where(present, wanted, 0.0).clamp(-5, 5)
        error = F.smooth_l1_loss(self.observable_predictor(seen.jet).float(), wanted, reduction="none")
        return global_mean(error, present)

    def spread_losses(self, seen: Seen) -> dict[str, Tensor]:
        """Variance hinge and covariance of the student's jet and particle embeddings, half each."""
        variance, covariance = [], []
        for x, weights in ((seen.jet, seen.real), (seen.tokens, seen.token_mask)):
            _, _, matrix = moments(normalise(x), weights)
            diagonal = matrix.diagonal()
            variance.append(F.relu(1 - (diagonal.clamp(min=0) + 1e-4).sqrt()).mean())
            covariance.append((matrix.square().sum() - diagonal.square().sum()) / len(diagonal))
        losses = {"variance": torch.stack(variance).mean(), "covariance": torch.stack(covariance).mean()}
        return {name: loss for name, loss in losses.items() if getattr(self.config.weights, name)}

    @torch.no_grad()
    def monitors(self, batch: Batch) -> dict[str, float]:
        """Also the spread of what the particle loss predicts."""
        teacher = self.target(batch.particles, batch.mask, batch.jets, self.config.last_blocks)
        tokens = teacher.tokens[teacher.mask].float()
        return super().monitors(batch) | {
            "target_variance": float(tokens.var(0).mean()),
            "target_std_normed": float(normalise(tokens).std(0).mean()),
        }

    def flops(self, batch: Batch) -> float:
        """Student forward and backward on the visible particles, target forward on all, predictor on both sides."""
        return sum(jets * self.flops_each(n, whole=self.whole(batch.mask)) for jets, n in self.shapes(batch.mask))

    def flops_each(self, n: int, *, whole: bool) -> float:
        """Operations for one jet of ``n`` particles; a slice has no padding between what is visible and hidden."""
        weights, share = self.config.weights, self.config.hidden
        visible, hidden = lengths(n, share) if whole else (n - sum(share) / 2 * n, sum(share) / 2 * n)
        total = 6 * encoder_macs(self.encoder.config, visible)
        if weights.particle or weights.jet:
            total += 2 * encoder_macs(self.encoder.config, n)
        if weights.particle or weights.identity:
            size, dim = self.config.predictor, self.encoder.config.dim
            ends = (visible + hidden) * dim * size.dim
            total += 6 * (size.blocks * block_macs(visible + hidden, size.dim) + ends)
        return total


def cut(batch: Batch, masks: Split, kept: Tensor, part: Slice) -> tuple[Batch, Split, Tensor]:
    """The jets of a slice, every side no longer than its longest."""
    rows, n = part
    seen, hidden = (int(mask[rows].sum(1).max().clamp(min=1)) for mask in (masks.context_mask, masks.target_mask))
    stored = None if batch.observables is None else batch.observables[rows]
    jets = Batch(
        particles=batch.particles[rows, :n], mask=batch.mask[rows, :n], jets=batch.jets[rows], observables=stored
    )
    # Places of padding may lie beyond the cut.
    context = masks.context[rows, :seen].clamp(max=n - 1), masks.context_mask[rows, :seen]
    target = masks.target[rows, :hidden].clamp(max=n - 1), masks.target_mask[rows, :hidden]
    return jets, Split(*context, *target), kept[rows]


def joined(seen: Sequence[Seen]) -> Seen:
    """All slices in one."""
    return Seen(*(torch.cat(parts) for parts in zip(*seen, strict=True)))
