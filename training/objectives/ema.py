"""The target encoder: an exponential moving average of the encoder in training."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


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


def momentum_at(progress: float, ends: tuple[float, float]) -> float:
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
