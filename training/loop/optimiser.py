"""AdamW over the parameters that learn."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

import torch
from torch import Tensor, nn

from training.config import OptimiserConfig


def decays(name: str, parameter: Tensor) -> bool:
    """Whether weight decay applies: not to biases, nor to anything that is a vector up to axes of length 1.

    Norm scales, class tokens [1, 1, D] and per-head scales are such vectors.
    """
    return not name.endswith("bias") and sum(size > 1 for size in parameter.shape) > 1


def make_optimiser(
    module: nn.Module, config: OptimiserConfig, *, slow: Iterable[nn.Parameter] = (), slow_scale: float = 1.0
) -> torch.optim.AdamW:
    """AdamW in up to four groups: with and without weight decay, and those again at ``slow_scale`` times the rate.

    Parameters with ``requires_grad=False`` (an EMA target, a frozen encoder) are left out.
    """
    slow_ids = {id(parameter) for parameter in slow}
    trained = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    groups = []
    for is_slow, decayed in product((False, True), (True, False)):
        params = [p for name, p in trained if (id(p) in slow_ids) == is_slow and decays(name, p) == decayed]
        if params:
            groups.append({"params": params, "lr_scale": slow_scale if is_slow else 1.0, "decayed": decayed})
    if not groups:
        msg = f"{type(module).__name__} has no parameter to train: every one has requires_grad=False"
        raise ValueError(msg)
    return torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, eps=config.eps, fused=True)
