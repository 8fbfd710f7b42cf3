"""What joint-embedding prediction objectives share: a student, and the target that follows it."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from training.data.batch import Batch
from training.objectives.base import ObjectiveError, encoded_whole, spread
from training.objectives.dropout import DropoutConfig
from training.objectives.ema import E, Momentum, MovingAverage


class TeacherStudent(MovingAverage[E]):
    """An encoder in training and its target, whose embeddings are predicted.

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
    dropout
        What is dropped from the student's inputs; None for nothing.

    Raises
    ------
    ObjectiveError
        If the encoder has fewer blocks than ``last_blocks``, or not the fields that are dropped.
    """

    def __init__(
        self, encoder: E, momentum: Momentum, last_blocks: int, seed: int, dropout: DropoutConfig | None = None
    ) -> None:
        if last_blocks > encoder.config.blocks:
            msg = f"last_blocks: {last_blocks} of an encoder that has {encoder.config.blocks} blocks"
            raise ObjectiveError(msg)
        super().__init__(encoder, momentum, seed, dropout)

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
