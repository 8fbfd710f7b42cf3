"""Training on labels: the Sophon route with many classes, fine-tuning, and training from scratch."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F  # noqa: N812
from pydantic import Field
from torch import Tensor

from training.data.batch import Batch
from training.models.encoder import Encoded, Encoder
from training.models.encoders import AnyEncoder
from training.models.flops import encoder_macs
from training.models.heads import HeadName, build_head
from training.models.slices import slices
from training.objectives.base import Objective, ObjectiveError
from training.objectives.dropout import DropoutConfig, FieldDropout, scales_of
from training.objectives.ranks import global_mean


class SupervisedConfig(DropoutConfig):
    """Options of the objective ``supervised``."""

    head: HeadName = "linear"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    drop_scale: float = Field(default=0.0, ge=0, le=1)
    """As in every objective, but tagging wants the scale: by default it is always seen."""


class Supervised(Objective):
    """Cross-entropy of any number of classes."""

    def __init__(self, encoder: AnyEncoder, config: SupervisedConfig, class_names: tuple[str, ...]) -> None:
        super().__init__()
        if len(class_names) < 2:
            msg = f"supervised: needs at least two classes, the data have {list(class_names)}"
            raise ObjectiveError(msg)
        self.config, self.class_names, self.encoder = config, class_names, encoder
        size = encoder.config
        self.drop = FieldDropout(config, size.fields)
        self.optional_fields = self.drop.optional_fields
        self.head = build_head(config.head, size, len(class_names))
        self.scales = scales_of(config, size)
        encoder.scale = self.scales[0]

    def logits(self, batch: Batch, shown: Tensor | None = None) -> Tensor:
        """Logits f32 [B, class]; ``shown`` bool [B], which jets show their scale, by default as the encoder does."""
        if self.whole(batch.mask):
            return self.head(self.encoded(batch.particles, batch.mask, batch.jets, shown)).float()
        parts = slices(batch.mask)
        logits = [
            self.head(
                self.encoded(
                    batch.particles[rows, :n],
                    batch.mask[rows, :n],
                    batch.jets[rows],
                    None if shown is None else shown[rows],
                )
            )
            for rows, n in parts
        ]
        order = torch.cat([rows for rows, _ in parts]).argsort()
        return torch.cat(logits).index_select(0, order).float()

    def encoded(self, particles: Tensor, mask: Tensor, jets: Tensor, shown: Tensor | None) -> Encoded:
        """What the encoder makes of jets."""
        if shown is None or not isinstance(self.encoder, Encoder):
            return self.encoder(particles, mask, jets)
        return self.encoder(particles, mask, jets, seen=shown)

    def forward(self, batch: Batch, progress: float = 0.0) -> dict[str, Tensor]:  # noqa: ARG002
        """Cross-entropy and accuracy."""
        if batch.labels is None:
            msg = "supervised: the batch has no labels; use data with labels or an objective without"
            raise ObjectiveError(msg)
        shown = None
        if self.training and len(self.scales) > 1:
            shown = self.drop.shown(torch.rand(len(batch), device=batch.mask.device))
        logits = self.logits(self.without_dropped(batch), shown)
        error = F.cross_entropy(logits, batch.labels, label_smoothing=self.config.label_smoothing, reduction="none")
        every = torch.ones_like(error)
        accuracy = global_mean((logits.argmax(1) == batch.labels).float(), every)
        return {"loss": global_mean(error, every), "accuracy": accuracy}

    def without_dropped(self, batch: Batch) -> Batch:
        """In training, the batch without the fields that its jets have to do without this time."""
        if not (self.training and self.optional_fields):
            return batch
        kept = self.drop.kept(torch.rand(len(batch), 2, device=batch.mask.device))
        return replace(batch, particles=self.drop(batch.particles, kept))

    def whole(self, mask: Tensor) -> bool:
        """Subjets come in batches without padding."""
        return super().whole(mask) or not isinstance(self.encoder, Encoder)

    def exported(self) -> AnyEncoder:
        """The encoder in training."""
        return self.encoder

    def flops(self, batch: Batch) -> float:
        """Forward and twice that backward."""
        return sum(6 * jets * encoder_macs(self.encoder.config, n) for jets, n in self.shapes(batch.mask))
