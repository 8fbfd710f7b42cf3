"""P-JEPA: predict the embeddings of hidden particles, and of the jet, from the visible ones (ML4Jets 2024).

Of each jet several views are made (rotated, reflected, smeared), in each of which the context encoder sees 50-70 % of
the particles. A predictor, told the kinematics of the hidden ones, predicts what a target encoder, the moving average
of the context encoder that sees the whole jet, makes of them (Liu, Wang, Li, Qu). The loss has a part for particles,
one for the identity of the hidden ones, and aggregated ones for the jet: the target's embedding of the jet, the
agreement of the views of it, and label-free observables. With the particle, jet and identity weights at 0 neither
target nor predictor is computed.
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
from training.models.flops import encoder_macs
from training.models.preprocess import IDENTITY, KINEMATIC_FEATURES
from training.models.slices import encode, slices
from training.objectives.augmentations import visible_sum
from training.objectives.base import ObjectiveError, register
from training.objectives.ema import Momentum
from training.objectives.identity import IDENTITIES, identity_loss
from training.objectives.masks import take
from training.objectives.observables import jet_observables, observable_names
from training.objectives.predictor import JetPredictor, Predictor, PredictorConfig, normalise
from training.objectives.ranks import RunningMoments, global_mean, spread_of
from training.objectives.regression import RunningRidge, explained_variance, r_squared, with_squares
from training.objectives.teacher import TeacherStudent
from training.objectives.views import ViewAgreement, Views, ViewsConfig, draw_views, rows_of


class Weights(BaseModel):
    """Weight of each part of the loss; a part of weight 0 is not computed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    particle: float = Field(default=1.0, ge=0)
    """Embeddings of the hidden particles."""
    jet: float = Field(default=1.0, ge=0)
    """The target's embedding of the whole jet."""
    agreement: float = Field(default=0.0, ge=0)
    """Agreement of the views of a jet with one another, needs two views at least."""
    observables: float = Field(default=0.0, ge=0)
    """Label-free observables of the whole jet, regressed from the visible particles; also aggregated."""
    identity: float = Field(default=0.1, ge=0)
    """Identity and charge of the hidden particles."""
    variance: float = Field(default=1.0, ge=0)
    """Hinge on the standard deviation of each dimension of the layer-normed embeddings (arXiv 2105.04906)."""
    covariance: float = Field(default=0.02, ge=0)
    """Squared covariances of different dimensions."""


class PJEPAConfig(ViewsConfig):
    """Options of the objective ``pjepa``; fields are dropped from what the student sees, never from its targets."""

    predicted: float = Field(default=1.0, gt=0, le=1)
    """Share of a batch's jets of which the target's embeddings are predicted: target and predictor together cost about
    as much as the student does."""
    predicted_views: int = Field(default=1, gt=0)
    """Views of such a jet, the first ones, whose hidden particles are predicted: all from one pass of the target."""
    own_features_out: bool = False
    """Take out of the particles' targets what a running ridge regression on their own features says of them, so that
    only what depends on the other particles is left to predict."""
    predictor: PredictorConfig = PredictorConfig()
    last_blocks: int = Field(default=3, gt=0)
    """Targets are the mean of the layer-normed outputs of this many last blocks."""
    momentum: Momentum = (0.99, 0.9995)
    """Of the target encoder, at the beginning and at the end."""
    weights: Weights = Weights()
    observables_final: float | None = Field(default=None, ge=0)
    """Weight of the observables at the end of the training, to which it goes linearly; None: it stays. At 0 they teach
    at first, and leave the encoder to the other losses."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if not (self.weights.jet or self.weights.agreement or self.weights.observables):
            msg = "weights: jet, agreement and observables are all 0, nothing would train the jet embedding"
            raise ValueError(msg)
        if self.weights.agreement and self.views < 2:
            msg = f"views: {self.views}, but weights.agreement is {self.weights.agreement}; at least two can agree"
            raise ValueError(msg)
        if self.observables_final is not None and not self.weights.observables:
            msg = "observables_final: weights.observables is 0, the observables are not computed; expected a weight"
            raise ValueError(msg)
        if self.predicted_views > self.views:
            msg = f"predicted_views: {self.predicted_views} of {self.views} views"
            raise ValueError(msg)
        return self


class Seen(NamedTuple):
    """What student and predictor make of views: R visible particles of all, M hidden ones of those predicted.

    Empty where no loss asks for it.
    """

    jet: Tensor
    """[V * B, E], the student's jet embeddings."""
    tokens: Tensor
    """[R, D], the student's particle embeddings."""
    token_mask: Tensor
    """bool [R]."""
    hidden: Tensor
    """f32 [M, field], the hidden particles."""
    hidden_mask: Tensor
    """bool [M]."""
    place: Tensor
    """int64 [M], which of the B * N particles of the batch each of them is."""
    view: Tensor
    """int64 [M], which of the V * B views hides each of them."""
    hints: Tensor
    """f32 [M, F], what the predictor is told of each of them."""
    predicted: Tensor
    """[M, d], the predictor's hidden states."""


@register("pjepa", PJEPAConfig)
class PJEPA(TeacherStudent[Encoder]):
    """The encoder in training, its target, and what predicts the one from the other.

    Parameters
    ----------
    encoder
        In training.
    config
        Options of the objective.
    observables
        Names of the observables stored with the jets.
    seed
        Of views and masks.

    Raises
    ------
    ObjectiveError
        If the identity of particles is to be predicted or dropped and the encoder has no such fields, and if it has
        fewer blocks than ``last_blocks``.
    """

    @classmethod
    def make(
        cls,
        encoder: Encoder,
        config: PJEPAConfig,
        *,
        class_names: tuple[str, ...],  # noqa: ARG003
        observable_names: tuple[str, ...],
        seed: int,
    ) -> Self:
        """See :meth:`Objective.make`.

        Parameters
        ----------
        encoder, config, class_names, observable_names, seed
            As there.

        Returns
        -------
        PJEPA
        """
        return cls(encoder, config, observables=observable_names, seed=seed)

    def __init__(
        self, encoder: Encoder, config: PJEPAConfig, *, observables: tuple[str, ...] = (), seed: int = 0
    ) -> None:
        super().__init__(encoder, config.momentum, config.last_blocks, seed, config)
        size, weights = encoder.config, config.weights
        if weights.identity and IDENTITY[0] not in size.fields:
            msg = f"weights.identity: {weights.identity}, but the encoder's fields have no {IDENTITY[0]}; set it to 0"
            raise ObjectiveError(msg)
        self.config, self.stored = config, observables
        if weights.particle or weights.identity:
            self.predictor = Predictor(config.predictor, size.dim, len(KINEMATIC_FEATURES))
            self.predictor.embedding.requires_grad_(weights.particle > 0)
        if weights.particle:
            self.token_moments = RunningMoments(size.dim)
            if config.own_features_out:
                self.own_features = RunningRidge(len(self.target.preprocess.names), size.dim)
        if weights.identity:
            self.identity = torch.nn.Linear(config.predictor.dim, IDENTITIES)
        if weights.jet:
            self.jet_predictor = JetPredictor(size.embedding_dim, size.embedding_dim)
            self.jet_moments = RunningMoments(size.embedding_dim)
        if weights.agreement:
            self.agreement = ViewAgreement(size.embedding_dim)
        if weights.observables:
            names = observable_names(observables, size.fields, scale=size.scale_input)
            self.observable_predictor = JetPredictor(size.embedding_dim, len(names))
            self.observable_moments = RunningMoments(len(names))

    def forward(self, batch: Batch, progress: float = 0.0) -> dict[str, Tensor]:
        """The losses of a batch.

        Parameters
        ----------
        batch
            Jets.
        progress
            Part of the training that is over, for the weight of the observables.

        Returns
        -------
        dict
            Each part of the loss unweighted, and ``loss``, their weighted sum.
        """
        views = self.draw(batch)
        seen = self.look_at_all(views, batch.mask, self._predicted(len(batch)))
        losses = self._parts(batch, views, seen)
        weights = self.config.weights.model_dump()
        if self.config.observables_final is not None:
            weights["observables"] += progress * (self.config.observables_final - weights["observables"])
        return losses | {"loss": torch.stack([weights[name] * value for name, value in losses.items()]).sum()}

    def draw(self, batch: Batch) -> Views:
        """Draw the views of a batch.

        Parameters
        ----------
        batch
            Jets.

        Returns
        -------
        Views
        """
        return draw_views(batch, self.config, self.drop, self)

    def _predicted(self, jets: int) -> int:
        """How many of a batch's ``jets`` are predicted: the first ones."""
        return max(1, round(self.config.predicted * jets)) if jets else 0

    def look_at_all(self, views: Views, mask: Tensor, first: int) -> Seen:
        """What student and predictor make of all views, on a CPU slice by slice.

        Parameters
        ----------
        views
            Views of the jets.
        mask
            bool [B, N], particles of the batch.
        first
            Jets whose hidden particles are predicted: so many, the first ones.

        Returns
        -------
        Seen
        """
        if self.whole(mask):
            return self.look(views, torch.arange(len(views.mask), device=mask.device), mask, first)
        parts = slices(views.mask)
        seen = _joined([self.look(rows_of(views, rows, n), rows, mask, first) for rows, n in parts])
        order = torch.cat([rows for rows, _ in parts]).argsort()
        return seen._replace(jet=seen.jet.index_select(0, order))

    def look(self, views: Views, rows: Tensor, mask: Tensor, first: int) -> Seen:
        """What student and predictor make of views.

        Parameters
        ----------
        views
            Views of the jets, or some of them.
        rows
            int64 [R], which of the V * B views of the batch they are.
        mask
            bool [B, N], particles of the batch.
        first
            Jets whose hidden particles are predicted: so many, the first ones.

        Returns
        -------
        Seen
        """
        weights, masks, none = self.config.weights, views.split, views.particles.new_zeros(0)
        visible = take(views.particles, masks.context)
        jets = visible_sum(visible, masks.context_mask)
        student = self.encoder(self.drop(visible, views.kept), masks.context_mask, jets, seen=views.shown)
        hidden, hidden_mask, predicted, place, hints, view = none, none, none, none, none, none
        if weights.particle or weights.identity:
            of_jet = rows % len(mask)
            if self.whole(mask):
                # All rows in their order need no search, whose length a GPU would have to tell first.
                chosen = rows.unflatten(0, (self.config.views, len(mask)))[
                    : self.config.predicted_views, :first
                ].flatten()
            else:
                chosen = torch.where((of_jet < first) & (rows < self.config.predicted_views * len(mask)))[0]
            index, hidden_mask = masks.target[chosen], masks.target_mask[chosen]
            hidden = take(views.particles[chosen], index)
            hints = self.encoder.preprocess(hidden, hidden_mask, jets[chosen]).features[..., : len(KINEMATIC_FEATURES)]
            predicted = self.predictor(student.tokens[chosen], masks.context_mask[chosen], hints, hidden_mask)
            place = (of_jet[chosen] * mask.shape[1]).unsqueeze(1) + index
            hidden, hidden_mask, predicted = hidden.flatten(0, 1), hidden_mask.flatten(), predicted.flatten(0, 1)
            place, hints = place.flatten(), hints.flatten(0, 1)
            view = rows[chosen].unsqueeze(1).expand_as(index).flatten()
        return Seen(
            jet=student.jet,
            tokens=student.tokens.flatten(0, 1),
            token_mask=masks.context_mask.flatten(),
            hidden=hidden,
            hidden_mask=hidden_mask,
            place=place,
            view=view,
            hints=hints,
            predicted=predicted,
        )

    @torch.no_grad()
    def _wanted(self, batch: Batch, shown: Tensor) -> tuple[Tensor, Tensor]:
        """The target's embeddings of whole jets: of each jet [B, E], of each particle [B * N, D]."""
        inputs = batch.particles, batch.mask, batch.jets
        whole = self.whole(batch.mask)
        target = encode(self.target, *inputs, whole=whole, last=self.config.last_blocks, seen=shown)
        return target.jet, target.tokens.flatten(0, 1)

    def _parts(self, batch: Batch, views: Views, seen: Seen) -> dict[str, Tensor]:
        """The parts of the loss whose weight is not 0."""
        weights, losses, v = self.config.weights, {}, self.config.views
        real, shown = batch.mask.any(1), views.shown[: len(batch)]
        if weights.particle or weights.jet:
            first = self._predicted(len(batch))
            target_jet, target_tokens = self._wanted(_head(batch, first), shown[:first])
        if weights.particle:
            wanted = self._token_targets(batch, target_tokens, seen)
            error = F.smooth_l1_loss(self.predictor.embedding(seen.predicted).float(), wanted, reduction="none")
            losses["particle"] = global_mean(error.mean(-1), seen.hidden_mask)
        if weights.jet:
            views_of = seen.jet.unflatten(0, (v, len(batch)))[: self.config.predicted_views, :first]
            wanted = self.standardised(self.jet_moments, target_jet, real[:first]).expand_as(views_of)
            error = F.smooth_l1_loss(self.jet_predictor(views_of).float(), wanted, reduction="none")
            losses["jet"] = global_mean(error.mean(-1), real[:first].expand(len(views_of), -1))
        if weights.agreement:
            losses["agreement"] = self.agreement(seen.jet.unflatten(0, (v, len(batch))), real)
        if weights.observables:
            losses["observables"] = self._observable_loss(batch, shown, seen.jet)
        if weights.identity:
            losses["identity"] = identity_loss(self.identity(seen.predicted), seen.hidden, seen.hidden_mask)
        if weights.variance or weights.covariance:
            losses |= self._spread_losses(seen, real.repeat(v))
        return losses

    def _token_targets(self, batch: Batch, tokens: Tensor, seen: Seen) -> Tensor:
        """Targets f32 [M, D] of the hidden particles, from the target's ``tokens`` [B * N, D] of whole jets."""
        wanted = normalise(tokens[seen.place])
        if self.config.own_features_out:
            inputs = batch.particles, batch.mask, batch.jets
            features = self.target.preprocess(*inputs).features.flatten(0, 1)[seen.place]
            if self.training:
                self.own_features.update(features, wanted, seen.hidden_mask)
            wanted = wanted - self.own_features.predict(features)
        if self.training:
            self.token_moments.update(wanted, seen.hidden_mask)
        return self.token_moments.standardise(wanted)

    def standardised(self, running: RunningMoments, x: Tensor, weights: Tensor) -> Tensor:
        """Targets: layer-normed, then standardised over the last batches, or their spread would shrink unnoticed.

        Parameters
        ----------
        running
            Mean and deviation over the last batches; in training it takes in this one.
        x
            [..., D].
        weights
            [...], which rows count.

        Returns
        -------
        Tensor
            f32 [..., D].
        """
        x = normalise(x)
        if self.training:
            running.update(x, weights)
        return running.standardise(x)

    def _observable_loss(self, batch: Batch, shown: Tensor, jet: Tensor) -> Tensor:
        """Smooth L1 of standardised observables of the whole jet, over those that it has, from each view."""
        size = self.encoder.config
        observed = jet_observables(
            batch.particles,
            batch.mask,
            batch.jets,
            batch.observables,
            self.stored,
            size.fields,
            shown if size.scale_input else None,
        )
        if self.training:
            self.observable_moments.update(observed, batch.mask.any(1))
        wanted = self.observable_moments.standardise(observed)
        present = wanted.isfinite()
        wanted = torch.where(present, wanted, 0.0).clamp(-5, 5).repeat(self.config.views, 1)
        error = F.smooth_l1_loss(self.observable_predictor(jet).float(), wanted, reduction="none")
        return global_mean(error, present.repeat(self.config.views, 1))

    def _spread_losses(self, seen: Seen, real: Tensor) -> dict[str, Tensor]:
        """Variance hinge and covariance of the student's jet and particle embeddings, half each."""
        spreads = [spread_of(normalise(x), rows) for x, rows in ((seen.jet, real), (seen.tokens, seen.token_mask))]
        variance, covariance = (torch.stack(values).mean() for values in zip(*spreads, strict=True))
        losses = {"variance": variance, "covariance": covariance}
        return {name: loss for name, loss in losses.items() if getattr(self.config.weights, name)}

    @torch.no_grad()
    def monitors(self, batch: Batch) -> dict[str, float]:
        """Also the spread of what the particle loss predicts, and what it takes to predict it.

        With a particle loss, the part R^2 of the variance of its standardised targets that follows from the hints on a
        particle alone (``r2_hints``), from them and the student's embedding of the jet (``r2_hints_jet``), from the
        trained predictor (``r2_predictor``), and from all of the particle's own features without its jet (``r2_own``):
        what the predictor has above the first is context. All but the predictor's are of ridge regressions on features,
        their squares and products, fitted to one half of the jets and, as the predictor, judged on the other.

        Parameters
        ----------
        batch
            Jets.

        Returns
        -------
        dict
        """
        shown = torch.full((len(batch),), self.target.scale == "seen", device=batch.mask.device)
        _, every = self._wanted(batch, shown)
        tokens = every[batch.mask.flatten()].float()
        values = {
            "target_variance": float(tokens.var(0).mean()),
            "target_std_normed": float(normalise(tokens).std(0).mean()),
        }
        return super().monitors(batch) | values | (self._context(batch) if self.config.weights.particle else {})

    def _context(self, batch: Batch) -> dict[str, float]:
        """The four R^2 of :meth:`monitors`."""
        views = self.draw(batch)
        seen = self.look_at_all(views, batch.mask, len(batch))
        _, tokens = self._wanted(batch, views.shown[: len(batch)])
        real = seen.hidden_mask
        wanted, place = self._token_targets(batch, tokens, seen)[real], seen.place[real]
        own = self.target.preprocess(batch.particles, batch.mask, batch.jets).features.flatten(0, 1)[place]
        hints, jet = with_squares(seen.hints[real]), seen.jet[seen.view[real]].float()
        fit = (place // batch.mask.shape[1]) % 2 == 0
        predicted = self.predictor.embedding(seen.predicted[real]).float()
        return {
            "r2_hints": explained_variance(hints, wanted, fit),
            "r2_hints_jet": explained_variance(torch.cat([hints, jet], dim=1), wanted, fit),
            "r2_predictor": r_squared(predicted[~fit], wanted[~fit]),
            "r2_own": explained_variance(with_squares(own), wanted, fit),
        }

    def flops(self, batch: Batch) -> float:
        """Floating-point operations of a training step.

        Student forward and backward on the visible particles, target forward on all, predictor on both sides.

        Parameters
        ----------
        batch
            Jets.

        Returns
        -------
        float
        """
        return sum(jets * self._flops_each(n, whole=self.whole(batch.mask)) for jets, n in self.shapes(batch.mask))

    def _flops_each(self, n: int, *, whole: bool) -> float:
        """Operations for one jet of ``n`` particles."""
        weights = self.config.weights
        visible, hidden = self.config.tokens(n, whole=whole)
        total = 6 * self.config.views * encoder_macs(self.encoder.config, visible)
        if weights.particle or weights.jet:
            total += 2 * self.config.predicted * encoder_macs(self.encoder.config, n)
        if weights.particle or weights.identity:
            predicted = self.config.predicted * self.config.predicted_views
            total += 6 * predicted * self.predictor.macs(visible, hidden)
        return total


def _head(batch: Batch, jets: int) -> Batch:
    """The first ``jets`` of a batch, without labels and observables."""
    return Batch(particles=batch.particles[:jets], mask=batch.mask[:jets], jets=batch.jets[:jets])


def _joined(seen: Sequence[Seen]) -> Seen:
    """All slices in one."""
    return Seen(*(torch.cat(parts) for parts in zip(*seen, strict=True)))
