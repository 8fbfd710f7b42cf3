"""Running planned micro-batches on a session: lanes, threads, and what to do when the device is full."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from jepa_coffea.encoder.batching import Budget, MicroBatch, plan
from jepa_coffea.encoder.lanes import Lane, lane_for
from jepa_coffea.encoder.providers import ProviderError
from jepa_coffea.encoder.session import Model

BUDGETS = {
    "cpu": Budget(tokens=1024, pairs=131_072, step=4),
    "cuda": Budget(tokens=65_536, pairs=4_194_304, step=16),
    "tensorrt": Budget(tokens=65_536, pairs=4_194_304, step=16),
}
"""Micro-batches per provider: on a CPU what fits its caches, on a GPU what fills it."""

THREADS = {"cpu": 1, "cuda": 2, "tensorrt": 2}
"""Micro-batches in flight: one worker, one core; on a GPU one is padded and copied while the other computes."""

Feed = Callable[[MicroBatch, Lane], dict[str, NDArray[np.generic]]]
"""Fills the model's inputs for a micro-batch, in the buffers of the lane."""


@dataclass
class Metrics:
    """What an encoder did since it was made; every number adds up over encoders, chunks and workers."""

    jets: int = 0
    """Jets asked for."""
    batches: int = 0
    """Micro-batches that ran."""
    particles: int = 0
    """Particles that went through the model."""
    padding: int = 0
    """Particle slots that went through the model empty."""
    seconds: float = 0.0
    """Wall time of the calls."""
    session_seconds: float = 0.0
    """Time inside ONNX Runtime, summed over threads."""
    loads: int = 0
    """Sessions that were opened; others were found open."""
    empty: int = 0
    """Jets without particles: NaN."""
    non_finite: int = 0
    """Jets with a NaN or infinity among their inputs: NaN."""
    truncated: int = 0
    """Jets with more particles than the model takes: the hardest were used."""
    retries: int = 0
    """Micro-batches halved because the device was out of memory."""

    def add(self, **more: float) -> None:
        """Add to the numbers named."""
        for name, value in more.items():
            setattr(self, name, getattr(self, name) + value)

    def as_dict(self) -> dict[str, int | float]:
        """Name to number."""
        return {item.name: getattr(self, item.name) for item in fields(self)}


def run(
    model: Model,
    feed: Feed,
    counts: NDArray[np.int64],
    widths: dict[str, int],
    *,
    longest: int,
    shortest: int,
    threads: int | None,
    metrics: Metrics,
) -> dict[str, NDArray[np.float32]]:
    """Outputs of all jets in order, [jet, width] each; jets with count 0 get NaN.

    Parameters
    ----------
    feed
        Called from several threads at once, each with its own lane.
    widths
        Outputs to fetch and their width.
    longest, shortest
        Most particles that the model takes, and fewest slots.
    threads
        Micro-batches in flight; None for the provider's default.

    Raises
    ------
    ProviderError
        If the device has no memory for a single jet.
    """
    provider = model.options.provider
    budget = BUDGETS[provider]
    batches = plan(counts, budget, longest, shortest)
    out = {name: np.full((len(counts), width), np.nan, dtype=np.float32) for name, width in widths.items()}
    lock = threading.Lock()
    shrink_at = None if model.options.cuda_graphs or not batches else batches[-1]

    def one(batch: MicroBatch) -> None:
        if batch.pairs > model.ceiling and len(batch.jets) > 1:
            for half in batch.halves():
                one(half)
            return
        lane = lane_for(model, tuple(widths))
        try:
            inputs = feed(batch, lane)
            if model.options.cuda_graphs:
                inputs = filled_up(inputs, budget.jets(batch.length))
            start = time.perf_counter()
            # The arena keeps the most it ever needed: the last batch of a call gives it back.
            values = lane.run(inputs, shrink=batch is shrink_at)
            seconds = time.perf_counter() - start
            for name, value in zip(widths, values, strict=True):
                out[name][batch.jets] = value[: len(batch.jets)]
        except Exception as error:
            if not out_of_memory(error):
                raise
            if len(batch.jets) == 1:
                msg = (
                    f"{provider} device {model.options.device_id} has no memory left for one jet of {batch.length} "
                    f"particles ({error}); free some, or use a smaller model or provider='cpu'"
                )
                raise ProviderError(msg) from None
        else:
            filled = int(counts[batch.jets].sum())
            with lock:
                metrics.add(batches=1, particles=filled, session_seconds=seconds)
                metrics.add(padding=len(batch.jets) * batch.length - filled)
            return
        finally:
            model.idle.append(lane)
        with lock:
            model.ceiling = min(model.ceiling, batch.pairs - 1)
            metrics.add(retries=1)
        for half in batch.halves():
            one(half)

    # Captured graphs own their memory, so that two must not run at once.
    workers = 1 if model.options.cuda_graphs else min(threads or THREADS[provider], len(batches))
    if workers <= 1:
        for batch in batches:
            one(batch)
    else:
        with ThreadPoolExecutor(workers, thread_name_prefix="jepa-coffea") as pool:
            for done in [pool.submit(one, batch) for batch in batches]:
                done.result()
    return out


def filled_up(inputs: dict[str, NDArray[np.generic]], jets: int) -> dict[str, NDArray[np.generic]]:
    """The inputs with their first jet repeated until there are ``jets``."""
    return {
        name: np.concatenate([array, np.repeat(array[:1], jets - len(array), axis=0)]) for name, array in inputs.items()
    }


def out_of_memory(error: Exception) -> bool:
    """Whether ONNX Runtime or CUDA says that memory ran out; they have no error type for it."""
    phrases = (
        "failed to allocate memory",
        "out of memory",
        "smaller than requested bytes",
        "bad allocation",
        "alloc_failed",
    )
    return isinstance(error, MemoryError) or any(phrase in str(error).lower() for phrase in phrases)
