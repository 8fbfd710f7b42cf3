"""Training on labels: the Sophon route with many classes, fine-tuning, and training from scratch."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Self

import torch
import torch.nn.functional as F  # noqa: N812
from pydantic import Field
from torch import Tensor, nn

from training.data.batch import Batch
from training.models.encoder import Encoder
from training.models.encoders import AnyEncoder
from training.models.flops import encoder_macs
from training.models.heads import HeadName, build_head
from training.models.slices import slices
from training.objectives.augmentations import WholeJetConfig, augmented, numbers_of
from training.objectives.base import Objective, ObjectiveError, register
from training.objectives.dropout import DropoutConfig, FieldDropout
from training.objectives.ranks import global_mean
from training.objectives.variables import Variables


class SupervisedConfig(DropoutConfig):
    """Options of the objective ``supervised``."""

    head: HeadName = "linear"
    """What turns the embedding into classes."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of each label that is spread over all classes."""
    drop_scale: float = Field(default=0.0, ge=0, le=1)
    """As in every objective, but tagging wants the scale: by default it is always seen."""
    augmentations: WholeJetConfig | None = None
    """Label-free changes of the jets in training; none by default."""
    head_first: float = Field(default=0.0, ge=0, lt=1)
    """Part of the training in which the head learns alone: it then does not spoil a pretrained encoder with the
    gradients of a head that knows nothing yet (arXiv 2202.10054)."""
    average: float = Field(default=0.0, ge=0, le=1)
    """Part of the training, at its end, over which the weights are averaged (arXiv 1803.05407); the average is what is
    validated, tested and exported. 0: the last weights."""
    variables: bool = False
    """Give the head jet observables beside the embedding: all that can be computed, and those stored with the jets."""


@register("supervised", SupervisedConfig, takes=None)
class Supervised(Objective):
    """Cross-entropy of any number of classes.

    Parameters
    ----------
    encoder
        In training.
    config
        Options of the objective.
    class_names
        Names of the classes, in the order of the labels.
    observables
        Names of the observables stored with the jets.

    Raises
    ------
    ObjectiveError
        For fewer than two classes, for fields to drop that the encoder lacks, and for jets of subjets that are to lose
        particles.
    """

    @classmethod
    def make(
        cls,
        encoder: AnyEncoder,
        config: SupervisedConfig,
        *,
        class_names: tuple[str, ...],
        observable_names: tuple[str, ...],
        seed: int,  # noqa: ARG003  no masks
    ) -> Self:
        """See :meth:`Objective.make`.

        Parameters
        ----------
        encoder, config, class_names, observable_names, seed
            As there.

        Returns
        -------
        Supervised
        """
        return cls(encoder, config, class_names, observable_names)

    def __init__(
        self,
        encoder: AnyEncoder,
        config: SupervisedConfig,
        class_names: tuple[str, ...],
        observables: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        if len(class_names) < 2:
            msg = f"supervised: needs at least two classes, the data have {list(class_names)}"
            raise ObjectiveError(msg)
        self.config, self.class_names, self.encoder = config, class_names, encoder
        size = encoder.config
        self.drop = FieldDropout(config, encoder)
        changes = config.augmentations
        if changes and (changes.drop or changes.split) and not isinstance(encoder, Encoder):
            msg = (
                "augmentations: drop and split would leave subjets without particles, or put particles into none; "
                "set both to 0 for an encoder of subjets"
            )
            raise ObjectiveError(msg)
        self.variables = Variables(observables, size.fields) if config.variables else None
        self.head = build_head(config.head, size, len(class_names), len(self.variables.names) if self.variables else 0)
        self.sometimes_unused = config.head_first > 0
        if config.average:
            average = {"encoder": copy.deepcopy(encoder), "head": copy.deepcopy(self.head)}
            self.averaged = nn.ModuleDict(average).requires_grad_(requires_grad=False)
            self.register_buffer("averaged_steps", torch.zeros(()))
            self.averaged_steps: Tensor

    def parts(self) -> tuple[AnyEncoder, nn.Module]:
        """Encoder and head that are judged and exported: the averaged ones where weights are averaged.

        Returns
        -------
        tuple of Module
        """
        if not self.config.average:
            return self.encoder, self.head
        encoder, head = self.averaged["encoder"], self.averaged["head"]
        assert isinstance(encoder, type(self.encoder))
        return encoder, head

    def logits(self, batch: Batch, shown: Tensor | None = None) -> Tensor:
        """Logits of jets.

        Parameters
        ----------
        batch
            Jets.
        shown
            bool [B], which jets show their scale; by default as the encoder does.

        Returns
        -------
        Tensor
            f32 [B, class].
        """
        variables = None if self.variables is None else self.variables(batch)
        return self._logits_of(batch, variables, shown, learns=True)

    def _logits_of(self, batch: Batch, variables: Tensor | None, shown: Tensor | None, *, learns: bool) -> Tensor:
        """The same with given ``variables``; an encoder that does not learn gets no gradient."""
        encoder, head = (self.encoder, self.head) if self.training else self.parts()

        def _of(rows: Tensor | slice, n: int) -> Tensor:
            inputs = batch.particles[rows, :n], batch.mask[rows, :n], batch.jets[rows]
            with torch.set_grad_enabled(learns and torch.is_grad_enabled()):
                if shown is not None and isinstance(encoder, Encoder):
                    encoded = encoder(*inputs, seen=shown[rows])
                else:
                    encoded = encoder(*inputs)
            logits: Tensor = head(encoded) if variables is None else head(encoded, variables[rows])
            return logits

        if self.whole(batch.mask):
            return _of(slice(None), batch.mask.shape[1]).float()
        pieces = slices(batch.mask)
        order = torch.cat([rows for rows, _ in pieces]).argsort()
        return torch.cat([_of(rows, n) for rows, n in pieces]).index_select(0, order).float()

    def forward(self, batch: Batch, progress: float = 0.0) -> dict[str, Tensor]:
        """Cross-entropy and accuracy.

        Parameters
        ----------
        batch
            Jets with labels.
        progress
            Part of the training that is over.

        Returns
        -------
        dict
            ``loss`` and ``accuracy``.

        Raises
        ------
        ObjectiveError
            If the batch has no labels.
        """
        if batch.labels is None:
            msg = "supervised: the batch has no labels; use data with labels or an objective without"
            raise ObjectiveError(msg)
        shown = None
        if self.training and len(self.drop.scales) > 1:
            shown = self.drop.shown(torch.rand(len(batch), device=batch.mask.device))
        variables = None if self.variables is None else self.variables(batch)
        learns = progress >= self.config.head_first
        logits = self._logits_of(self._without_dropped(self._changed(batch)), variables, shown, learns=learns)
        error = F.cross_entropy(logits, batch.labels, label_smoothing=self.config.label_smoothing, reduction="none")
        every = torch.ones_like(error)
        accuracy = global_mean((logits.argmax(1) == batch.labels).float(), every)
        return {"loss": global_mean(error, every), "accuracy": accuracy}

    def _changed(self, batch: Batch) -> Batch:
        """In training, the batch as the augmentations make it."""
        if not self.training or self.config.augmentations is None:
            return batch
        b, n = batch.mask.shape
        return augmented(batch, self.config.augmentations, torch.rand(b, numbers_of(n), device=batch.mask.device))

    def _without_dropped(self, batch: Batch) -> Batch:
        """In training, the batch without the fields that its jets have to do without this time."""
        if not (self.training and self.drop.optional_fields):
            return batch
        kept = self.drop.kept(torch.rand(len(batch), 2, device=batch.mask.device))
        return replace(batch, particles=self.drop(batch.particles, kept))

    @torch.no_grad()
    def after_step(self, progress: float) -> dict[str, float]:
        """Take the new weights into the average; before its part of the training they are the average.

        Parameters
        ----------
        progress
            Part of the training that is over.

        Returns
        -------
        dict
            Empty.
        """
        if self.config.average:
            if progress >= 1 - self.config.average:
                self.averaged_steps += 1
            share = 1 / self.averaged_steps.clamp(min=1)
            encoder, head = self.parts()
            for average, now in ((encoder, self.encoder), (head, self.head)):
                for old, new in zip(average.parameters(), now.parameters(), strict=True):
                    old.lerp_(new, share)
        return {}

    def whole(self, mask: Tensor) -> bool:
        """Whether a batch is computed as it comes: subjets have no padding.

        Parameters
        ----------
        mask
            bool [B, N], which particles there are.

        Returns
        -------
        bool
        """
        return super().whole(mask) or not isinstance(self.encoder, Encoder)

    def exported(self) -> AnyEncoder:
        """The encoder in training, or the average of it.

        Returns
        -------
        Encoder or SubjetEncoder
        """
        return self.parts()[0]

    def flops(self, batch: Batch) -> float:
        """Floating-point operations of a training step: forward, and twice that backward.

        Parameters
        ----------
        batch
            Jets.

        Returns
        -------
        float
        """
        return sum(6 * jets * encoder_macs(self.encoder.config, n) for jets, n in self.shapes(batch.mask))
