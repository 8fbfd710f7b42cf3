"""What changes while training goes on, as pure functions of progress (0 at the first step, 1 at the end)."""

from __future__ import annotations

import math

from torch.optim import Optimizer

from training.config import OptimiserConfig


def cosine(progress: float, start: float, end: float) -> float:
    """Half a cosine from ``start`` at 0 to ``end`` at 1; constant outside."""
    progress = min(max(progress, 0.0), 1.0)
    return end + 0.5 * (start - end) * (1 + math.cos(math.pi * progress))


def warmup_cosine(
    progress: float, *, warmup: float, start: float, peak: float, final: float, decay: float | None = None
) -> float:
    """Linear from ``start`` to ``peak`` over the first ``warmup`` of progress, then half a cosine down to ``final``.

    With ``decay`` the rate stays at its peak and falls only over that last part of progress (warmup-stable-decay, arXiv
    2404.06395): such a run can go on from before its decay for as long as there is time, and decay then.
    """
    if progress < warmup:
        return start + (peak - start) * progress / warmup
    falls = 1 - warmup if decay is None else min(decay, 1 - warmup)
    return cosine((progress - 1 + falls) / falls, peak, final)


def progress_of(step: int, steps: int, elapsed: float = 0.0, limit: float | None = None) -> float:
    """How much of a training is over, by steps or, when there is a ``limit`` (seconds), by time: whichever is further.

    A run with a limit thus anneals its learning rate to the end however fast the machine is.
    """
    return max(step / steps, 0.0 if limit is None else elapsed / limit)


def set_rates(optimiser: Optimizer, config: OptimiserConfig, progress: float) -> dict[str, float]:
    """Write learning rate and weight decay of this moment into ``optimiser``; returns both, for the monitors.

    A group's ``lr_scale`` multiplies its rate (a pretrained encoder learns slower than a new head); a group without
    weight decay (``decayed`` False) stays without.
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
