"""AdamW, and its learning rate and weight decay as functions of progress (0 at the first step, 1 at the end)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import product

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from training.config import OptimiserConfig


def cosine(progress: float, start: float, end: float) -> float:
    """Half a cosine; constant outside 0 to 1.

    Parameters
    ----------
    progress
        Part of the training that is over.
    start, end
        Values at 0 and at 1.

    Returns
    -------
    float
    """
    progress = min(max(progress, 0.0), 1.0)
    return end + 0.5 * (start - end) * (1 + math.cos(math.pi * progress))


def warmup_cosine(
    progress: float, *, warmup: float, start: float, peak: float, final: float, decay: float | None = None
) -> float:
    """Linear warm-up, then half a cosine down, at once or at the end only.

    Parameters
    ----------
    progress
        Part of the training that is over.
    warmup
        Part of the training that the warm-up takes.
    start, peak, final
        Values at the beginning, at the end of the warm-up, and at the end.
    decay
        Part of the training in which the rate falls; until then it stays at its peak (warmup-stable-decay, arXiv
        2404.06395): such a run can go on from before its decay for as long as there is time, and decay then. By
        default it falls from the end of the warm-up on.

    Returns
    -------
    float
    """
    if progress < warmup:
        return start + (peak - start) * progress / warmup
    falls = 1 - warmup if decay is None else min(decay, 1 - warmup)
    return cosine((progress - 1 + falls) / falls, peak, final)


def progress_of(step: int, steps: int, elapsed: float = 0.0, limit: float | None = None) -> float:
    """How much of a training is over, by steps or, when there is a ``limit`` (seconds), by time: whichever is further.

    A run with a limit thus anneals its learning rate to the end however fast the machine is.

    Parameters
    ----------
    step
        Steps that are done.
    steps
        Of the whole training.
    elapsed, limit
        Seconds that have passed, and that the training may take.

    Returns
    -------
    float
        From 0; 1 or more at the end.
    """
    return max(step / steps, 0.0 if limit is None else elapsed / limit)


def set_rates(optimiser: Optimizer, config: OptimiserConfig, progress: float) -> dict[str, float]:
    """Give an optimiser the learning rate and the weight decay of this moment.

    A group's ``lr_scale`` multiplies its rate (a pretrained encoder learns slower than a new head); a group without
    weight decay (``decayed`` False) stays without.

    Parameters
    ----------
    optimiser
        What :func:`make_optimiser` gave.
    config
        Peak, warm-up and final values.
    progress
        Part of the training that is over.

    Returns
    -------
    dict
        ``lr`` and ``weight_decay``, for the metrics log.
    """
    peak = config.lr
    lr = warmup_cosine(
        progress,
        warmup=config.warmup,
        start=peak * config.lr_start_fraction,
        peak=peak,
        final=peak * config.lr_final_fraction,
        decay=config.decay,
    )
    final = config.weight_decay if config.weight_decay_final is None else config.weight_decay_final
    decay = cosine(progress, config.weight_decay, final)
    for group in optimiser.param_groups:
        group["lr"] = lr * group["lr_scale"]
        group["weight_decay"] = decay if group["decayed"] else 0.0
    return {"lr": lr, "weight_decay": decay}


def decays(name: str, parameter: Tensor) -> bool:
    """Whether weight decay applies: not to biases, nor to anything that is a vector up to axes of length 1.

    Norm scales, class tokens [1, 1, D] and per-head scales are such vectors.

    Parameters
    ----------
    name
        Dotted name of the parameter.
    parameter
        Its values.

    Returns
    -------
    bool
    """
    return not name.endswith("bias") and sum(size > 1 for size in parameter.shape) > 1


def make_optimiser(
    module: nn.Module, config: OptimiserConfig, *, slow: Iterable[nn.Parameter] = (), slow_scale: float = 1.0
) -> torch.optim.AdamW:
    """AdamW in up to four groups: with and without weight decay, and those again with another rate.

    Parameters with ``requires_grad=False`` (an EMA target, a frozen encoder) are left out.

    Parameters
    ----------
    module
        What is trained.
    config
        Rate, weight decay and betas.
    slow
        Parameters of ``module`` that learn at ``slow_scale`` times the rate.
    slow_scale
        Factor on the rate of ``slow``.

    Returns
    -------
    torch.optim.AdamW

    Raises
    ------
    ValueError
        If no parameter is to be trained.
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
