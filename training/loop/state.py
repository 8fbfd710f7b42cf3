"""What a run is given, and all that changes while it goes on, to and from a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from jepa_coffea.errors import BadFileError, JepaCoffeaError
from training.config import RunConfig
from training.loop.batches import BatchStream
from training.loop.checkpoint import (
    CheckpointError,
    Checkpoints,
    config_of,
    read_checkpoint,
    require_same,
    restore,
    value_of,
)
from training.loop.distributed import Ranks
from training.loop.numerics import random_state, seed_everything, set_random_state
from training.loop.schedules import Rate
from training.objectives.base import Objective

T = TypeVar("T")


class TrainingError(JepaCoffeaError, RuntimeError):
    """A run that cannot go on: a loss that is no number, a collapsed representation, no memory left."""


def no_memory(error: Exception) -> bool:
    """Whether an error says that memory ran out; torch has a class of its own for that on a GPU only.

    Parameters
    ----------
    error
        What was raised.

    Returns
    -------
    bool
    """
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


class Averages:
    """Means of scalars since the last log, kept on the device: adding never waits for the GPU."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Count scalars.

        Parameters
        ----------
        values
            Scalars by name, on the device.
        """
        for name, value in values.items():
            value = value.detach().float()
            self.sums[name] = self.sums[name] + value if name in self.sums else value.clone()
            self.counts[name] = self.counts.get(name, 0) + 1

    def take(self, ranks: Ranks) -> dict[str, float]:
        """Means since the last call, and start again; the one place where the loop waits for the device.

        Parameters
        ----------
        ranks
            The processes, over which the mean is taken, too.

        Returns
        -------
        dict
            Means by name.
        """
        names = sorted(self.sums)
        means = ranks.mean(torch.stack([self.sums[name] / self.counts[name] for name in names])).tolist()
        self.sums, self.counts = {}, {}
        return dict(zip(names, means, strict=True))

    def finite(self) -> bool:
        """Whether nothing counted since the last log is NaN or infinite; waits for the device.

        Returns
        -------
        bool
        """
        return all(bool(torch.isfinite(value)) for value in self.sums.values())

    def state(self) -> dict[str, Any]:
        """For a checkpoint between two logs.

        Returns
        -------
        dict
        """
        return {"sums": {name: value.cpu() for name, value in self.sums.items()}, "counts": dict(self.counts)}

    def restore(self, state: dict[str, Any], device: torch.device) -> None:
        """Go back to the moment of :meth:`state`.

        Parameters
        ----------
        state
            What :meth:`state` gave.
        device
            Where the sums go.
        """
        self.sums = {name: value.to(device) for name, value in state["sums"].items()}
        self.counts = dict(state["counts"])


@dataclass(kw_only=True)
class Validation:
    """Early stopping on a validation loss; the best weights are kept."""

    measure: Callable[[Objective], dict[str, float]]
    """Gives ``val_loss``, and more numbers for the log."""
    every: int
    """Steps between validations."""
    patience: int
    """Validations without a new best after which training stops."""
    best: float = math.inf
    since_best: int = 0

    def better(self, loss: float) -> bool:
        """Take note of a validation loss.

        Parameters
        ----------
        loss
            Of this moment.

        Returns
        -------
        bool
            Whether it is the best so far.
        """
        improved = loss < self.best
        self.best = min(self.best, loss)
        self.since_best = 0 if improved else self.since_best + 1
        return improved

    @property
    def exhausted(self) -> bool:
        """Whether patience is over.

        Returns
        -------
        bool
        """
        return self.since_best >= self.patience


@dataclass(kw_only=True)
class Extras:
    """What a caller may add to a run."""

    probe: Callable[[Objective], dict[str, float]] | None = None
    """Called by the first process every ``config.probe_every`` steps."""
    validation: Validation | None = None
    rates: Mapping[str, Rate] = field(default_factory=dict)
    """Of parameters of the objective that learn slower or later than others, by name."""
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
    stream: BatchStream
    validation: Validation | None
    averages: Averages = field(default_factory=Averages)
    step: int = 0
    jets: int = 0
    """Jets that all processes have trained on."""
    elapsed: float = 0.0
    """Seconds of training, those before a resumption included."""

    def save(self, checkpoints: Checkpoints, config: RunConfig, ranks: Ranks) -> None:
        """Write a checkpoint; all processes call it, the first one writes.

        Parameters
        ----------
        checkpoints
            Those of the run folder.
        config
            Of the run.
        ranks
            The processes.
        """
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

        Parameters
        ----------
        path
            Checkpoint file.
        config
            Of the run.
        ranks
            The processes.
        other_data
            Start a new epoch of the data as they are now, such as a sample that has grown.

        Raises
        ------
        CheckpointError
            If it is of another architecture, objective or optimiser, or of other data.
        """
        saved = read_checkpoint(path)

        def _stored(name: str, kind: type[T]) -> T:
            return value_of(saved, name, kind, path)

        # Checked, so that fields that configurations have since gained have their defaults.
        require_same(config_of(saved, path).model_dump(mode="json"), config, path)
        restore(self.objective, _stored("objective", dict), path)
        try:
            self.optimiser.load_state_dict(_stored("optimiser", dict))
            if other_data:
                self.stream.restart(_stored("stream", dict)["epoch"] + 1)
            else:
                self.stream.restore(_stored("stream", dict))
            self.averages.restore(_stored("averages", dict), ranks.device)
            validated, random = saved["validation"], _stored("random", list)
            if self.validation and validated:
                self.validation.best, self.validation.since_best = validated
            if len(random) == ranks.world_size:
                set_random_state(random[ranks.rank])
            else:
                seed_everything(config.seed + ranks.rank + _stored("step", int))
        except CheckpointError:
            raise
        except BadFileError as error:
            msg = f"{path}: {error}; for a sample that has grown add --other-data"
            raise CheckpointError(msg) from None
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            msg = f"{path}: not a state to resume ({type(error).__name__}: {error}); use another checkpoint of the run"
            raise CheckpointError(msg) from None
        self.step, self.jets, self.elapsed = _stored("step", int), _stored("jets", int), _stored("elapsed", float)
