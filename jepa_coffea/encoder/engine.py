"""Running a chunk of jets: in micro-batches, on several threads, results in order; counts; devices without memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jepa_coffea.encoder.batching import Budget, MicroBatch, gather_index, plan
from jepa_coffea.encoder.providers import ProviderError, runtime
from jepa_coffea.encoder.session import AGAIN, OpenModel
from jepa_coffea.errors import ModelError

Inputs = dict[str, NDArray[np.generic]]
Outputs = dict[str, NDArray[np.float32]]
Names = tuple[str, ...]

BUDGETS = {
    "cpu": Budget(tokens=1024, pairs=131_072, step=1),
    "cuda": Budget(tokens=65_536, pairs=4_194_304, step=8),
    "tensorrt": Budget(tokens=65_536, pairs=4_194_304, step=8),
}
"""Micro-batches per provider: on a CPU what fits its caches, on a GPU what fills it.

On a CPU no model needs one of its own: one core of an AMD EPYC (Zen 3) is as fast, within 10 %, with 512, 768 and 1024
tokens, for encoders of width 128, 256 and 512 alike. With 2048 tokens it is up to a quarter slower, with 256 too.
Lengths that are multiples of 4 gain nothing there: the products run over all tokens of a batch at once.
"""

THREADS = {"cpu": 1, "cuda": 2, "tensorrt": 2}
"""Micro-batches in flight: one worker, one core; on a GPU one is padded and copied while the other computes."""


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
    """Jets with a NaN or infinity among their inputs, or numbers too large for the model to compute with: NaN."""
    truncated: int = 0
    """Jets with more particles than the model takes: the hardest were used."""
    retries: int = 0
    """Micro-batches halved because the device was out of memory."""

    def add(self, **more: float) -> None:
        """Add to the numbers named.

        Parameters
        ----------
        **more
            Name of a number to what is added.
        """
        for name, value in more.items():
            setattr(self, name, getattr(self, name) + value)

    def as_dict(self) -> dict[str, int | float]:
        """Name to number.

        Returns
        -------
        dict
        """
        return {item.name: getattr(self, item.name) for item in fields(self)}


@dataclass(frozen=True)
class Jets:
    """A chunk of checked jets."""

    particles: NDArray[np.float32]
    """[particle, field]"""
    starts: NDArray[np.int64]
    """Row of the first particle of each jet."""
    counts: NDArray[np.int64]
    """Particles of each jet to use; 0 for those that cannot be used."""
    axes: NDArray[np.float32]
    """[jet, 4], px py pz energy in GeV."""

    def index(self, batch: MicroBatch) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Row of the particle in each slot of a micro-batch, [jet, slot], and which slots have one.

        Parameters
        ----------
        batch
            The micro-batch.

        Returns
        -------
        tuple of numpy.ndarray
            Rows and mask, both [jet, slot].
        """
        return gather_index(self.starts[batch.jets], self.counts[batch.jets], batch.length)


class Results:
    """Outputs of a chunk, NaN for what did not run.

    Parameters
    ----------
    jets
        The chunk.
    widths
        Names of the outputs and their width.
    per_particle
        Those with one row per particle instead of one row per jet.
    """

    def __init__(self, jets: Jets, widths: dict[str, int], per_particle: tuple[str, ...]) -> None:
        self.jets = jets
        self.per_particle = per_particle
        rows = {name: len(jets.particles if name in per_particle else jets.counts) for name in widths}
        self.values = {name: np.full((rows[name], widths[name]), np.nan, dtype=np.float32) for name in widths}

    def store(self, batch: MicroBatch, outputs: Outputs) -> None:
        """Put the outputs of a micro-batch, [jet, width] or [jet, slot, width], in their places.

        Parameters
        ----------
        batch
            The micro-batch.
        outputs
            Name to values.
        """
        for name, values in outputs.items():
            if name in self.per_particle:
                index, mask = self.jets.index(batch)
                self.values[name][index[mask]] = values[mask]
            else:
                self.values[name][batch.jets] = values.reshape(len(batch.jets), -1)


class Binding:
    """Runs on the CPU: arrays in, arrays out, without copies.

    Parameters
    ----------
    model
        The open model.
    """

    arena = "cpu:0"

    def __init__(self, model: OpenModel) -> None:
        self.session = model.session
        self.buffers: dict[str, NDArray[np.float32]] = {}

    def buffer(self, name: str, size: int) -> NDArray[np.float32]:
        """At least ``size`` floats under that name, with what the last batch left in them.

        Parameters
        ----------
        name
            Of the buffer.
        size
            How many floats.

        Returns
        -------
        numpy.ndarray
            float32, one-dimensional.
        """
        if name not in self.buffers or len(self.buffers[name]) < size:
            self.buffers[name] = self.allocate(size)
        return self.buffers[name]

    def allocate(self, size: int) -> NDArray[np.float32]:
        """New memory for a buffer.

        Parameters
        ----------
        size
            How many floats.

        Returns
        -------
        numpy.ndarray
            float32, one-dimensional.
        """
        return np.empty(size, dtype=np.float32)

    def run(self, inputs: Inputs, names: Names, *, shrink: bool) -> Outputs:
        """The outputs called ``names``; ``shrink`` gives the session's unused memory back afterwards.

        Parameters
        ----------
        inputs
            Name to array.
        names
            Outputs to fetch.
        shrink
            Give the session's unused memory back afterwards.

        Returns
        -------
        dict of numpy.ndarray
        """
        return dict(zip(names, self.session.run(list(names), inputs, self.shrinking if shrink else None), strict=True))

    @cached_property
    def shrinking(self) -> Any:
        """Run options that give the session's unused memory back after the run.

        Returns
        -------
        onnxruntime.RunOptions
        """
        options = runtime().RunOptions()
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", self.arena)
        return options


def binding_for(model: OpenModel) -> Binding:
    """An idle binding of the model, or a new one; append it to ``model.idle`` after use.

    Parameters
    ----------
    model
        The open model.

    Returns
    -------
    Binding
    """
    try:
        return model.idle.pop()
    except IndexError:
        from jepa_coffea.encoder.bindings import GraphBinding, PinnedBinding

        if model.options.cuda_graphs:
            return GraphBinding(model)
        return Binding(model) if model.options.provider == "cpu" else PinnedBinding(model)


@dataclass
class Work:
    """Runs micro-batches of a chunk one at a time, from any number of threads at once."""

    model: OpenModel
    counts: NDArray[np.int64]
    """Particles of each jet."""
    feed: Callable[[MicroBatch, Binding], Inputs]
    """Fills the model's inputs for a micro-batch, in the buffers of the binding."""
    store: Callable[[MicroBatch, Outputs], None]
    """Takes what the model gives for the jets of a micro-batch."""
    outputs: tuple[str, ...]
    """Names of the outputs to fetch."""
    typed: Callable[[Inputs], Inputs]
    """Gives inputs the types of the model's."""
    fixed: int | None
    """The number of jets that the model takes at once, where its axes fix it."""
    metrics: Metrics
    lock: threading.Lock
    """Held while the numbers above change; other calls may add to the same."""

    def run(self, batch: MicroBatch, *, shrink: bool = False) -> None:
        """Run a micro-batch, in halves if the device has no memory for it; ``shrink`` gives memory back afterwards.

        Parameters
        ----------
        batch
            The micro-batch.
        shrink
            Give the session's unused memory back afterwards.

        Raises
        ------
        ProviderError
            If the device has no memory for a single jet.
        """
        if batch.pairs > self.model.ceiling and len(batch.jets) > 1:
            self._halves(batch, shrink=shrink)
            return
        binding = binding_for(self.model)
        try:
            self._whole(batch, binding, shrink=shrink)
        except Exception as error:
            if not out_of_memory(error):
                raise
            self._too_large(batch, error)
        else:
            return
        finally:
            self.model.idle.append(binding)
        self._halves(batch, shrink=shrink)

    def _whole(self, batch: MicroBatch, binding: Binding, *, shrink: bool) -> None:
        """Run a micro-batch at once."""
        inputs = self.feed(batch, binding)
        if self.fixed or self.model.options.cuda_graphs:
            inputs = filled_up(inputs, self.fixed or BUDGETS[self.model.options.provider].jets(batch.length))
        inputs = self.typed(inputs)
        start = time.perf_counter()
        outputs = binding.run(inputs, self.outputs, shrink=shrink)
        seconds = time.perf_counter() - start
        require_rows(outputs, len(next(iter(inputs.values()))), "the model")
        self.store(batch, {name: values[: len(batch.jets)] for name, values in outputs.items()})
        filled = int(self.counts[batch.jets].sum())
        with self.lock:
            self.metrics.add(batches=1, particles=filled, session_seconds=seconds)
            self.metrics.add(padding=len(batch.jets) * batch.length - filled)

    def _halves(self, batch: MicroBatch, *, shrink: bool) -> None:
        """Run a micro-batch of several jets half by half."""
        for half in batch.halves():
            self.run(half, shrink=shrink)

    def _too_large(self, batch: MicroBatch, error: Exception) -> None:
        """Remember what the device had no memory for; a ProviderError if that was a single jet."""
        options = self.model.options
        if len(batch.jets) == 1:
            msg = (
                f"{options.provider} device {options.device_id} has no memory left for one jet of {batch.length} "
                f"particles ({error}); free some, or use a smaller model or provider='cpu'"
            )
            raise ProviderError(msg) from None
        with self.lock:
            self.model.ceiling = min(self.model.ceiling, batch.pairs - 1)
            self.metrics.add(retries=1)


def run(work: Work, *, longest: int, shortest: int, threads: int | None) -> None:
    """Run all jets that have particles.

    Parameters
    ----------
    work
        The chunk and the model.
    longest, shortest
        Most particles that the model takes, and fewest slots.
    threads
        Micro-batches in flight; None for the provider's default.

    Raises
    ------
    ProviderError
        If the device has no memory for a single jet.
    """
    options = work.model.options
    batches = plan(work.counts, BUDGETS[options.provider], longest, shortest, work.fixed)
    # The arena keeps the most it ever needed: the last batch of a call gives it back.
    last = None if options.cuda_graphs or not batches else batches[-1]
    # Captured graphs own their memory, so that two must not run at once.
    workers = 1 if options.cuda_graphs else min(threads or THREADS[options.provider], len(batches))
    if workers <= 1:
        for batch in batches:
            work.run(batch, shrink=batch is last)
        return
    with ThreadPoolExecutor(workers, thread_name_prefix="jepa-coffea") as pool:
        try:
            for done in [pool.submit(work.run, batch, shrink=batch is last) for batch in batches]:
                done.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def require_rows(outputs: Outputs, rows: int, where: str) -> None:
    """Raise unless a model gives one row a jet.

    Parameters
    ----------
    outputs
        Name to values.
    rows
        Jets that went in.
    where
        Name of the file, for errors.

    Raises
    ------
    ModelError
        If an output has another number of rows.
    """
    wrong = {name: values.shape for name, values in outputs.items() if values.shape[:1] != (rows,)}
    if wrong:
        msg = f"{where}: {rows} jets went in, and outputs of shape {wrong} came out; {AGAIN}"
        raise ModelError(msg)


def filled_up(inputs: Inputs, jets: int) -> Inputs:
    """The inputs with their first jet repeated until there are ``jets``.

    Parameters
    ----------
    inputs
        Name to array, [jet, ...].
    jets
        How many there shall be.

    Returns
    -------
    dict of numpy.ndarray
    """
    return {
        name: np.concatenate([array, np.repeat(array[:1], jets - len(array), axis=0)]) for name, array in inputs.items()
    }


def out_of_memory(error: Exception) -> bool:
    """Whether ONNX Runtime or CUDA says that memory ran out; they have no error type for it.

    Parameters
    ----------
    error
        What they raised.

    Returns
    -------
    bool
    """
    phrases = (
        "failed to allocate memory",
        "out of memory",
        "smaller than requested bytes",
        "bad allocation",
        "alloc_failed",
    )
    return isinstance(error, MemoryError) or any(phrase in str(error).lower() for phrase in phrases)
