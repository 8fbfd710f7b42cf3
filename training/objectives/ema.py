"""Objectives that export the exponential moving average of the encoder in training, not its last weights."""

from __future__ import annotations

import copy
from typing import Annotated, Generic, Self, TypeVar

import torch
from pydantic import Field
from torch import nn

from training.models.encoders import AnyEncoder
from training.objectives.drawing import Drawing
from training.objectives.dropout import DropoutConfig, FieldDropout

M = TypeVar("M", bound=nn.Module)
E = TypeVar("E", bound=AnyEncoder)

Share = Annotated[float, Field(ge=0, le=1)]
Momentum = tuple[Share, Share]
"""Of a moving average, at the beginning and at the end of training."""


def make_target(encoder: M) -> M:
    """A copy of an encoder that no optimiser touches.

    Parameters
    ----------
    encoder
        The encoder in training.

    Returns
    -------
    nn.Module
        In evaluation mode.
    """
    return copy.deepcopy(encoder).requires_grad_(requires_grad=False).eval()


@torch.no_grad()
def update_target(target: nn.Module, encoder: nn.Module, momentum: float) -> None:
    """target = momentum * target + (1 - momentum) * encoder, in a few kernels whatever the number of tensors.

    Parameters
    ----------
    target
        Gets the new average.
    encoder
        The encoder in training.
    momentum
        In [0, 1].
    """
    torch._foreach_lerp_(list(target.parameters()), list(encoder.parameters()), 1 - momentum)


def momentum_at(progress: float, ends: Momentum) -> float:
    """Momentum that rises linearly over the training, as in I-JEPA (arXiv 2301.08243).

    Parameters
    ----------
    progress
        Part of the training that is over.
    ends
        Momentum at the beginning and at the end.

    Returns
    -------
    float
    """
    return ends[0] + (ends[1] - ends[0]) * min(progress, 1.0)


class MovingAverage(Drawing, Generic[E]):
    """An encoder in training and the moving average of its weights, which is probed, fine-tuned and exported.

    The average is called the target, as in joint-embedding prediction, where it also makes what is predicted.

    Parameters
    ----------
    encoder
        In training.
    momentum
        Of the average, at the beginning and at the end of training.
    seed
        Of the random numbers.
    dropout
        What is dropped from the encoder's inputs; None for nothing.

    Raises
    ------
    ObjectiveError
        For fields to drop that the encoder lacks.
    """

    drop: FieldDropout

    def __init__(self, encoder: E, momentum: Momentum, seed: int, dropout: DropoutConfig | None = None) -> None:
        super().__init__(seed)
        if dropout is not None:
            self.drop = FieldDropout(dropout, encoder)
        self.momentum = momentum
        self.encoder: E = encoder
        self.target: E = make_target(encoder)

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all but the average, which stays in evaluation mode.

        Parameters
        ----------
        mode
            Whether to train.

        Returns
        -------
        MovingAverage
            Itself.
        """
        super().train(mode)
        self.target.eval()
        return self

    def after_step(self, progress: float) -> dict[str, float]:
        """Move the average.

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
        """The average.

        Returns
        -------
        Encoder or SubjetEncoder
        """
        return self.target
