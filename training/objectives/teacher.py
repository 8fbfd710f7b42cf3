"""What joint-embedding prediction objectives share: a student, the target that follows it, and reproducible masks."""

from __future__ import annotations

from typing import Generic, Self, TypeVar

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from training.data.batch import Batch
from training.models.encoder import Encoder
from training.models.subjets import SubjetEncoder
from training.objectives.base import Objective, ObjectiveError, spread
from training.objectives.ema import make_target, momentum_at, update_target
from training.objectives.masks import draws
from training.objectives.ranks import world

E = TypeVar("E", Encoder, SubjetEncoder)


class TeacherStudent(Objective, Generic[E]):
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
        super().__init__()
        if last_blocks > encoder.config.blocks:
            msg = f"last_blocks: {last_blocks} of an encoder that has {encoder.config.blocks} blocks"
            raise ObjectiveError(msg)
        self.momentum, self.last_blocks, self.seed = momentum, last_blocks, seed
        self.encoder: E = encoder
        self.target: E = make_target(encoder)
        self.seen = 0

    def get_extra_state(self) -> Tensor:
        """Number of batches seen, of which the masks are a function.

        Returns
        -------
        Tensor
            A scalar.
        """
        return torch.tensor(self.seen)

    def set_extra_state(self, state: Tensor) -> None:
        """Go on with the masks of a checkpoint.

        Parameters
        ----------
        state
            What :meth:`get_extra_state` gave.
        """
        self.seen = int(state)

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

    def uniform(self, jets: int, numbers: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Numbers in [0, 1) for the masks of the next batch.

        Parameters
        ----------
        jets
            Jets of the batch.
        numbers
            How many for each.
        device
            Where the result is.

        Returns
        -------
        tuple of Tensor
            float32 [jets, numbers], and one float32 [] for all jets.
        """
        rank, world_size = world()
        # Outside training always the same masks, so that two evaluations agree.
        step = self.seen if self.training else -1
        self.seen += self.training
        return draws((jets, numbers), seed=self.seed, step=step, rank=rank, world_size=world_size, device=device)

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
        inputs = (batch.particles, batch.mask, batch.jets)
        teacher, student = self.target(*inputs).jet.float(), self.encoder(*inputs).jet.float()
        return spread(self.target, batch) | {
            "teacher_student_cosine": float(F.cosine_similarity(teacher, student).mean())
        }
