"""The target encoder: an exponential moving average of the encoder in training."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


def make_target(encoder: M) -> M:
    """A copy of ``encoder`` that no optimiser touches."""
    return copy.deepcopy(encoder).requires_grad_(requires_grad=False).eval()


@torch.no_grad()
def update_target(target: nn.Module, encoder: nn.Module, momentum: float) -> None:
    """target = momentum * target + (1 - momentum) * encoder, in a few kernels whatever the number of tensors."""
    torch._foreach_lerp_(list(target.parameters()), list(encoder.parameters()), 1 - momentum)


def momentum_at(progress: float, ends: tuple[float, float]) -> float:
    """Momentum rising linearly from ``ends[0]`` to ``ends[1]`` over the training, as in I-JEPA (arXiv 2301.08243)."""
    return ends[0] + (ends[1] - ends[0]) * min(progress, 1.0)
