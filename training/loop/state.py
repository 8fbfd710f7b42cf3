"""What a run is given, and all that changes while it goes on, to and from a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from training.config import RunConfig
from training.data.columns import BadFileError
from training.loop.checkpoint import CheckpointError, Checkpoints, read_checkpoint, require_same, restore
from training.loop.distributed import Ranks
from training.loop.monitors import Averages
from training.loop.randomness import random_state, seed_everything, set_random_state
from training.loop.stream import Stream
from training.objectives.base import Objective


class TrainingError(RuntimeError):
    """A run that cannot go on: a loss that is no number, a collapsed representation, no memory left."""


def no_memory(error: Exception) -> bool:
    """Whether ``error`` says that memory ran out; torch has a class of its own for that on a GPU only."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


@dataclass(kw_only=True)
class Validation:
    """Early stopping: ``measure`` gives ``val_loss`` (and more) every ``every`` steps; the best weights are kept."""

    measure: Callable[[Objective], dict[str, float]]
    every: int
    patience: int
    """Validations without a new best after which training stops."""
    best: float = math.inf
    since_best: int = 0

    def better(self, loss: float) -> bool:
        """Take note of a validation loss; whether it is the best so far."""
        improved = loss < self.best
        self.best = min(self.best, loss)
        self.since_best = 0 if improved else self.since_best + 1
        return improved

    @property
    def exhausted(self) -> bool:
        """Whether patience is over."""
        return self.since_best >= self.patience


@dataclass(kw_only=True)
class Extras:
    """What a caller may add to a run."""

    probe: Callable[[Objective], dict[str, float]] | None = None
    """Called by the first process every ``config.probe_every`` steps."""
    validation: Validation | None = None
    slow: tuple[nn.Parameter, ...] = ()
    """Parameters that learn at ``slow_scale`` times the rate."""
    slow_scale: float = 1.0
    max_minutes: float | None = None
    """Wall-clock length of the training, resumed parts together; the schedules then end with it."""
    stop_on_collapse: bool = False
    other_data: bool = False
    """Resume with other data than the checkpoint's (a sample that has grown), from the beginning of a new epoch."""


@dataclass(kw_only=True)
class State:
    """A run between two steps."""

    objective: Objective
    optimiser: torch.optim.Optimizer
    stream: Stream
    validation: Validation | None
    averages: Averages = field(default_factory=Averages)
    step: int = 0
    jets: int = 0
    """Jets that all processes have trained on."""
    elapsed: float = 0.0
    """Seconds of training, those before a resumption included."""

    def save(self, checkpoints: Checkpoints, config: RunConfig, ranks: Ranks) -> None:
        """Write a checkpoint; all processes call it, the first one writes."""
        random = ranks.gather(random_state())
        if ranks.first:
            content = {
                "config": config.model_dump(mode="json"),
                "objective": self.objective.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "stream": self.stream.state(),
                "averages": self.averages.state(),
                "elapsed": self.elapsed,
                "jets": self.jets,
                "validation": [self.validation.best, self.validation.since_best] if self.validation else None,
                "random": random,
            }
            checkpoints.save(self.step, content)
        ranks.barrier()

    def resume(self, path: Path, config: RunConfig, ranks: Ranks, *, other_data: bool = False) -> None:
        """Go back to a checkpoint.

        With another number of processes than wrote it, the random generators start anew from the seed and the step.

        Raises
        ------
        CheckpointError
            If it is of another architecture, objective or optimiser, or of other data.
        """
        saved = read_checkpoint(path)
        require_same(saved["config"], config, path)
        restore(self.objective, saved["objective"], path)
        self.optimiser.load_state_dict(saved["optimiser"])
        try:
            if other_data:
                self.stream.restart(saved["stream"]["epoch"] + 1)
            else:
                self.stream.restore(saved["stream"])
        except BadFileError as error:
            msg = f"{path}: {error}; for a sample that has grown add --other-data"
            raise CheckpointError(msg) from None
        self.averages.restore(saved["averages"], ranks.device)
        self.step, self.jets, self.elapsed = saved["step"], saved["jets"], saved["elapsed"]
        if self.validation and saved["validation"]:
            self.validation.best, self.validation.since_best = saved["validation"]
        if len(saved["random"]) == ranks.world_size:
            set_random_state(saved["random"][ranks.rank])
        else:
            seed_everything(config.seed + ranks.rank + self.step)
