"""The interface of an objective: all the loop knows of what it trains."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from training.data.batch import Batch
from training.models.encoder import Encoder


class Objective(nn.Module, ABC):
    """A module that owns the encoder in training and whatever else its loss needs (target, predictor, heads).

    The loop wraps it in DDP, calls it on a batch, back-propagates ``losses["loss"]``, steps the optimiser, then calls
    :meth:`after_step`. Every tensor that training changes is a parameter or a buffer, so that ``state_dict`` is
    complete; parameters that the optimiser must not touch have ``requires_grad=False``.
    """

    needs_labels: bool = False
    """Whether a batch without labels is an error."""

    @abstractmethod
    def forward(self, batch: Batch, progress: float = 0.0) -> dict[str, Tensor]:
        """Scalars by name, ``loss`` (the one to minimise) among them; ``progress`` is step / total steps."""

    def after_step(self, progress: float) -> dict[str, float]:  # noqa: ARG002
        """Called after each optimiser step (EMA of the target); returns what is worth logging, without a host sync."""
        return {}

    @abstractmethod
    def exported(self) -> Encoder:
        """The encoder that is probed, fine-tuned and exported (for JEPA: the EMA target)."""

    def monitors(self, batch: Batch) -> dict[str, float]:  # noqa: ARG002
        """Costly numbers computed now and then: RankMe, per-dimension std, teacher-student cosine."""
        return {}
