"""What joint-embedding prediction objectives share: a student, the target that follows it, and reproducible masks."""

from __future__ import annotations

from typing import Generic, Self, TypeVar

import torch
import torch.nn.functional as F  # noqa: N812

from training.data.batch import Batch
from training.models.encoder import Encoder
from training.models.subjets import SubjetEncoder
from training.objectives.base import ObjectiveError, encoded_whole, spread
from training.objectives.drawing import Drawing
from training.objectives.ema import make_target, momentum_at, update_target

E = TypeVar("E", Encoder, SubjetEncoder)


class TeacherStudent(Drawing, Generic[E]):
    """An encoder in training and its target, the moving average of it, which is what is exported.

    Parameters
    ----------
    encoder
        In training.
    momentum
        Of the target, at the beginning and at the end of training.
    last_blocks
        Targets are the mean of the outputs of this many last blocks.
    seed
        Of the masks.
    """

    def __init__(self, encoder: E, momentum: tuple[float, float], last_blocks: int, seed: int) -> None:
        super().__init__(seed)
        if last_blocks > encoder.config.blocks:
            msg = f"last_blocks: {last_blocks} of an encoder that has {encoder.config.blocks} blocks"
            raise ObjectiveError(msg)
        self.momentum, self.last_blocks = momentum, last_blocks
        self.encoder: E = encoder
        self.target: E = make_target(encoder)

    def train(self, mode: bool = True) -> Self:
        """As usual, except that the target never drops anything.

        Parameters
        ----------
        mode
            Whether to train.

        Returns
        -------
        TeacherStudent
            Itself.
        """
        super().train(mode)
        self.target.eval()
        return self

    def after_step(self, progress: float) -> dict[str, float]:
        """Move the target.

        Parameters
        ----------
        progress
            Part of the training that is over.

        Returns
        -------
        dict
            ``ema``, the momentum.
        """
        momentum = momentum_at(progress, self.momentum)
        update_target(self.target, self.encoder, momentum)
        return {"ema": momentum}

    def exported(self) -> E:
        """The target encoder.

        Returns
        -------
        Encoder or SubjetEncoder
        """
        return self.target

    @torch.no_grad()
    def monitors(self, batch: Batch) -> dict[str, float]:
        """Spread of the target's embeddings, and how far teacher and student agree on whole jets.

        Parameters
        ----------
        batch
            Jets.

        Returns
        -------
        dict
        """
        teacher, student = (encoded_whole(one, batch).jet.float() for one in (self.target, self.encoder))
        return spread(self.target, batch) | {
            "teacher_student_cosine": float(F.cosine_similarity(teacher, student).mean())
        }
