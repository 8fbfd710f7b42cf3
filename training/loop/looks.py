"""Costly looks at an objective in training: which are due, and taking them without disturbing it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from training.config import RunConfig
from training.data.batch import Batch
from training.loop.distributed import Ranks
from training.loop.state import Extras, State
from training.objectives.base import Objective


def due(step: int, every: int | None) -> bool:
    """Whether something that happens ``every`` steps happens now."""
    return every is not None and step % every == 0


def looks_due(state: State, config: RunConfig, *, last: bool) -> set[str]:
    """Which of the costly looks at the objective are due; at the end all that the run has."""
    validated = state.validation.every if state.validation else None
    steps = {"monitors": config.monitor_every, "probe": config.probe_every, "validation": validated}
    return {name for name, every in steps.items() if every is not None and (last or due(state.step, every))}


def look(wanted: set[str], objective: Objective, batch: Batch, extras: Extras, ranks: Ranks) -> dict[str, float]:
    """The costly numbers: monitors by all processes together, probe by the first, validation by it for all."""
    values: dict[str, float] = {}
    if "monitors" in wanted:
        values |= objective.monitors(batch)
    if "probe" in wanted and extras.probe and ranks.first:
        values |= extras.probe(objective)
    if "validation" in wanted and extras.validation:
        values |= ranks.gather(extras.validation.measure(objective) if ranks.first else None)[0]
    return values


@contextmanager
def undisturbed(objective: Objective, device: torch.device) -> Iterator[None]:
    """Within, the objective evaluates; then it trains on as if nobody had looked: same mode, same random numbers."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.no_grad():
        objective.eval()
        yield
        objective.train()
