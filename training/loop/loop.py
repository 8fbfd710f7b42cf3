"""The training loop, top to bottom: any objective, one process or many, resumable after every step."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from torch import nn

from training.config import RunConfig, write_config
from training.data.batch import Batch
from training.loop.bar import TrainingBar
from training.loop.batches import BatchStream, Loading
from training.loop.checkpoint import BEST, Checkpoints, save_checkpoint
from training.loop.distributed import Ranks, stop_on_signals
from training.loop.metrics_log import MetricsLog
from training.loop.monitors import Recent, Stopwatch, collapse_of, due, look, looks_due, undisturbed
from training.loop.numerics import peak_flops, precision_on, seed_everything
from training.loop.schedules import make_optimiser, progress_of, set_rates
from training.loop.state import Extras, State, TrainingError, no_memory
from training.objectives.base import Objective


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    step: int
    """Optimiser steps that are done."""
    interrupted: str | None
    """Name of the signal that stopped it; None when it ended on its own."""


def train(
    objective: Objective,
    loader: Loading,
    config: RunConfig,
    folder: Path,
    ranks: Ranks,
    *,
    resume: Path | None = None,
    extras: Extras | None = None,
    console: Console | None = None,
) -> Outcome:
    """Train an objective into a run folder.

    Parameters
    ----------
    objective
        What is trained.
    loader
        Gives an epoch of batches per ``iter``.
    config
        Of the run.
    folder
        The run folder, which exists.
    ranks
        The processes of the training.
    resume
        Checkpoint to go on from.
    extras
        Probe, validation, time limit.
    console
        Where to show progress; the terminal of the first process if None.

    Returns
    -------
    Outcome

    Raises
    ------
    TrainingError
        If the loss is no longer finite, memory runs out, or the representation collapses and that is to stop the run.
    CheckpointError
        If ``resume`` is not a checkpoint of this configuration.
    """
    extras = extras or Extras()
    state = _begin(objective, loader, config, ranks, resume, extras)
    model = ranks.wrap(objective)
    trained = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    checkpoints = Checkpoints(folder, config.keep_checkpoints)
    limit = None if extras.max_minutes is None else 60 * extras.max_minutes
    # A run that early stopping ended stays ended when it is resumed.
    ended = state.validation is not None and state.validation.exhausted
    progress = 1.0 if ended else progress_of(state.step, config.steps, state.elapsed, limit)
    recent = Recent()
    before, started, interrupted = state.elapsed, time.perf_counter(), False

    if ranks.first:
        write_config(config, folder / "config.yaml")

    with ExitStack() as stack:
        log = stack.enter_context(MetricsLog(folder, state.step)) if ranks.first else None
        bar = stack.enter_context(TrainingBar(config.name, console or Console(quiet=not ranks.first)))
        stop = stack.enter_context(stop_on_signals())
        watch = Stopwatch(peak_flops(ranks.device, precision_on(ranks.device, config.precision)))

        while progress < 1 and not interrupted:
            rates = set_rates(state.optimiser, config.optimiser, progress)
            recent.add(_accumulate(model, state, config, ranks, watch, progress))
            state.averages.add({"grad_norm": nn.utils.clip_grad_norm_(trained, config.optimiser.clip)})
            state.optimiser.step()
            rates |= objective.after_step(progress)
            state.step += 1

            if ranks.world_size == 1 or due(state.step, config.log_every):
                state.elapsed = before + time.perf_counter() - started
                state.elapsed, asked = ranks.largest(state.elapsed, float(stop.name is not None))
                interrupted = asked > 0
            progress = progress_of(state.step, config.steps, state.elapsed, limit)

            values: dict[str, float] = {}
            if due(state.step, config.log_every) or progress >= 1:
                values |= state.averages.take(ranks) | rates | watch.take(ranks.world_size)
                _require_finite(math.isfinite(values["loss"]), state.step, folder)
            wanted = looks_due(state, config, last=progress >= 1)
            if wanted:
                with watch.paused(), undisturbed(objective, ranks.device):
                    values |= look(wanted, objective, recent, extras, ranks)
            if log:
                if values:
                    log.write(state.step, values | {"jets": state.jets, "minutes": state.elapsed / 60})
                bar.update(state.step, progress, values)  # every step: on a busy machine log_every may take minutes
            collapse = collapse_of(values)
            if collapse:
                bar.say(f"step {state.step}: the representation has collapsed: {collapse}")
            if state.validation and "val_loss" in values:
                if state.validation.better(values["val_loss"]) and ranks.first:
                    _write_best(state, config, folder)
                progress = 1.0 if state.validation.exhausted else progress
            if due(state.step, config.checkpoint_every) or progress >= 1 or interrupted or collapse:
                _require_finite(state.averages.finite(), state.step, folder)
                state.save(checkpoints, config, ranks)
            if collapse and extras.stop_on_collapse:
                msg = f"stopped at step {state.step}: {collapse}; the state is in {folder}"
                raise TrainingError(msg)
    return Outcome(state.step, stop.name if interrupted else None)


def _begin(
    objective: Objective, loader: Loading, config: RunConfig, ranks: Ranks, resume: Path | None, extras: Extras
) -> State:
    """The state of a run before its first step, or as the checkpoint ``resume`` has it."""
    seed_everything(config.seed + ranks.rank)
    objective.to(ranks.device).train()
    state = State(
        objective=objective,
        optimiser=make_optimiser(objective, config.optimiser, extras.rates),
        stream=BatchStream(loader, ranks.device),
        validation=extras.validation,
    )
    if resume:
        state.resume(resume, config, ranks, other_data=extras.other_data)
    if config.compile:
        objective.compile()
    return state


def _accumulate(
    model: nn.Module, state: State, config: RunConfig, ranks: Ranks, watch: Stopwatch, progress: float
) -> Batch:
    """Back-propagate the mean loss of ``config.accumulate`` batches of the stream; gives the last of them.

    ``model`` is the objective as ``ranks`` wraps it. Losses go to the state's averages, nothing waits for the device.
    """
    precision = precision_on(ranks.device, config.precision)
    state.optimiser.zero_grad(set_to_none=True)
    for part in range(config.accumulate):
        batch, waited = state.stream.next()
        watch.add(jets=len(batch), flops=state.objective.flops(batch), waited=waited)
        state.jets += len(batch) * ranks.world_size
        with _out_of_memory_explained(batch), ExitStack() as gradients:
            if part + 1 < config.accumulate:
                gradients.enter_context(ranks.no_sync(model))
            with torch.autocast(ranks.device.type, torch.bfloat16, enabled=precision == "bf16"):
                losses = model(batch, progress)
            (losses["loss"] / config.accumulate).backward()
        state.averages.add(losses)
    return batch


@contextmanager
def _out_of_memory_explained(batch: Batch) -> Iterator[None]:
    """Turn running out of memory into a message that says what to change."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not no_memory(error):
            raise
        jets, particles = batch.mask.shape
        reason = str(error).split(".", 1)[0]
        msg = f"out of memory on a batch of {jets} jets x {particles} particles ({reason}); "
        msg += "lower the batch size in data and raise accumulate"
        raise TrainingError(msg) from None


def _require_finite(finite: bool, step: int, folder: Path) -> None:
    """No checkpoint may hold weights that a NaN has reached."""
    if not finite:
        msg = f"the loss is not finite at step {step}; the last good state is in {folder}; lower optimiser.lr"
        raise TrainingError(msg)


def _write_best(state: State, config: RunConfig, folder: Path) -> None:
    """Keep the weights of the best validation apart from the numbered checkpoints."""
    content = {"config": config.model_dump(mode="json"), "objective": state.objective.state_dict()}
    save_checkpoint({"step": state.step, **content}, folder / BEST)
