"""AdamW, and its learning rate and weight decay as functions of progress (0 at the first step, 1 at the end)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from training.config import OptimiserConfig


class Rate(NamedTuple):
    """How a parameter learns, compared with others."""

    scale: float = 1.0
    """Factor on the learning rate."""
    start: float = 0.0
    """Part of the training after which it learns at all; its rate then rises as in the warm-up."""


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

    A group's ``lr_scale`` multiplies its rate (a pretrained encoder learns slower than a new head), which is 0 until
    ``start``; a group without weight decay (``decayed`` False) stays without.

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
        start = group.get("start", 0.0)  # of checkpoints written before there was one
        joined = min(max(progress - start, 0) / max(config.warmup, 1e-9), 1.0) if start else 1.0
        group["lr"] = lr * group["lr_scale"] * joined
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


def layer_rates(encoder: nn.Module, top: float, decay: float, start: float, prefix: str) -> dict[str, Rate]:
    """Rates of a pretrained encoder: the nearer a block is to the particles, the slower it learns.

    Layer-wise decay as in BEiT (arXiv 2106.08254). What comes before the blocks counts as one below the first, what
    comes after them as one above the last.

    Parameters
    ----------
    encoder
        With ``blocks``.
    top
        Factor on the rate of what follows the last block.
    decay
        Factor from one block to the one below it.
    start
        Part of the training after which the encoder learns.
    prefix
        Of the names.

    Returns
    -------
    dict
        Rates by name of the parameter.
    """
    blocks = len({name.split(".")[1] for name, _ in encoder.named_parameters() if name.startswith("blocks.")})

    def _below(name: str) -> int:
        first, *rest = name.split(".")
        if first == "blocks":
            return blocks - int(rest[0])
        return 0 if first.startswith("class_") or first.endswith("norm") else blocks + 1

    return {f"{prefix}{name}": Rate(top * decay ** _below(name), start) for name, _ in encoder.named_parameters()}


def make_optimiser(
    module: nn.Module, config: OptimiserConfig, rates: Mapping[str, Rate] | None = None
) -> torch.optim.AdamW:
    """AdamW in groups of one rate, each with and without weight decay.

    Parameters with ``requires_grad=False`` (an EMA target, a frozen encoder) are left out.

    Parameters
    ----------
    module
        What is trained.
    config
        Rate, weight decay and betas.
    rates
        Of parameters that do not learn as ``config`` says, by name.

    Returns
    -------
    torch.optim.AdamW

    Raises
    ------
    ValueError
        If no parameter is to be trained.
    """
    found: dict[tuple[Rate, bool], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            key = (rates or {}).get(name, Rate()), decays(name, parameter)
            found.setdefault(key, []).append(parameter)
    if not found:
        msg = f"{type(module).__name__} has no parameter to train: every one has requires_grad=False"
        raise ValueError(msg)
    groups = [
        {"params": parameters, "lr_scale": rate.scale, "start": rate.start, "decayed": decayed}
        for (rate, decayed), parameters in sorted(found.items(), key=lambda item: (-item[0][0].scale, not item[0][1]))
    ]
    return torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, eps=config.eps, fused=True)
