"""What is measured while a run trains: averages, rates, costly looks at the objective, and the watch on collapse."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch

from training.config import RunConfig
from training.data.batch import Batch
from training.loop.batches import concatenate
from training.loop.distributed import Ranks
from training.loop.state import Extras, State
from training.objectives.base import Objective

LOWEST_RANK, LOWEST_SPREAD = 1.5, 1e-3
"""Below these a representation counts as collapsed."""


MONITORED = 1024
"""Jets that the monitors look at, about: one batch may be small, and holds jets of like multiplicity."""


class Recent:
    """The last batches of a training, for the monitors."""

    def __init__(self) -> None:
        self._batches: deque[Batch] = deque()

    def add(self, batch: Batch) -> None:
        """Keep a batch, and as many before it as are needed.

        Parameters
        ----------
        batch
            Jets.
        """
        self._batches.append(batch)
        while sum(map(len, self._batches)) - len(self._batches[0]) >= MONITORED:
            self._batches.popleft()

    def jets(self) -> Batch:
        """All jets that are kept.

        Returns
        -------
        Batch
        """
        return self._batches[0] if len(self._batches) == 1 else concatenate(self._batches)


class Stopwatch:
    """Jets per second, and which part of the time went into waiting for data and which into arithmetic.

    Parameters
    ----------
    peak_flops
        Floating-point operations per second that the device can do.
    """

    def __init__(self, peak_flops: float) -> None:
        self.peak_flops = peak_flops
        self._reset()

    def _reset(self) -> None:
        self._started = time.perf_counter()
        self.jets, self.flops, self.waited = 0, 0.0, 0.0

    def add(self, *, jets: int, flops: float, waited: float) -> None:
        """Count one batch of this process.

        Parameters
        ----------
        jets
            Jets in it.
        flops
            Floating-point operations on it.
        waited
            Seconds that it was waited for.
        """
        self.jets += jets
        self.flops += flops
        self.waited += waited

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Within, no time passes.

        Yields
        ------
        None
        """
        start = time.perf_counter()
        yield
        self._started += time.perf_counter() - start

    def take(self, world_size: int) -> dict[str, float]:
        """Rates since the last call, and start again.

        Parameters
        ----------
        world_size
            Processes, which run in step.

        Returns
        -------
        dict
            ``jets_per_s`` of all processes; of this one the parts of the time spent waiting for data (``data_wait``)
            and in arithmetic at the peak rate (``mfu``, model FLOP utilisation).
        """
        seconds = time.perf_counter() - self._started
        rates = {
            "jets_per_s": self.jets * world_size / seconds,
            "data_wait": self.waited / seconds,
            "mfu": self.flops / seconds / self.peak_flops,
        }
        self._reset()
        return rates


def collapse_of(values: Mapping[str, float]) -> str | None:
    """Why monitored numbers mean that all jets look alike to the encoder.

    A healthy encoder of a few thousand steps has a RankMe (arXiv 2210.02885) of tens and a spread of order one.

    Parameters
    ----------
    values
        Numbers by name; ``rankme`` and ``std`` are looked at where there are any.

    Returns
    -------
    str or None
        The reason; None when they do not.
    """
    rank, spread = values.get("rankme"), values.get("std")
    if rank is not None and rank < LOWEST_RANK:
        return f"RankMe is {rank:.2f}: the embeddings vary along about one direction"
    if spread is not None and spread < LOWEST_SPREAD:
        return f"the mean standard deviation of an embedding dimension is {spread:.1e}"
    return None


def due(step: int, every: int | None) -> bool:
    """Whether something that happens every so many steps happens now.

    Parameters
    ----------
    step
        Steps that are done.
    every
        Steps between; None for never.

    Returns
    -------
    bool
    """
    return every is not None and step % every == 0


def looks_due(state: State, config: RunConfig, *, last: bool) -> set[str]:
    """Which of the costly looks at the objective are due.

    Parameters
    ----------
    state
        The run between two steps.
    config
        Steps between looks.
    last
        Whether the run ends here, with all looks that it has.

    Returns
    -------
    set of str
        Of ``monitors``, ``probe`` and ``validation``.
    """
    validated = state.validation.every if state.validation else None
    steps = {"monitors": config.monitor_every, "probe": config.probe_every, "validation": validated}
    return {name for name, every in steps.items() if every is not None and (last or due(state.step, every))}


def look(wanted: set[str], objective: Objective, recent: Recent, extras: Extras, ranks: Ranks) -> dict[str, float]:
    """The costly numbers: monitors by all processes together, probe by the first, validation by it for all.

    Parameters
    ----------
    wanted
        What :func:`looks_due` gave.
    objective
        What is trained, in evaluation mode.
    recent
        Jets for the monitors.
    extras
        Probe and validation of the run.
    ranks
        The processes.

    Returns
    -------
    dict
        Numbers by name.
    """
    values: dict[str, float] = {}
    if "monitors" in wanted:
        values |= objective.monitors(recent.jets())
    if "probe" in wanted and extras.probe and ranks.first:
        values |= extras.probe(objective)
    if "validation" in wanted and extras.validation:
        values |= ranks.gather(extras.validation.measure(objective) if ranks.first else None)[0]
    return values


@contextmanager
def undisturbed(objective: Objective, device: torch.device) -> Iterator[None]:
    """Within, the objective evaluates; then it trains on as if nobody had looked: same mode, same random numbers.

    Parameters
    ----------
    objective
        What is trained.
    device
        Where it is.
    """
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.no_grad():
        objective.eval()
        yield
        objective.train()
