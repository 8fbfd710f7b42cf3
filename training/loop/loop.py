"""The training loop, top to bottom: any objective, one process or many, resumable after every step."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from torch import nn

from training.config import RunConfig
from training.loop.checkpoint import BEST, FORMAT, Checkpoints, save_atomically
from training.loop.distributed import Ranks
from training.loop.gradients import accumulate
from training.loop.looks import due, look, looks_due, undisturbed
from training.loop.monitors import Journal, Stopwatch, collapse_of, peak_flops
from training.loop.optimiser import make_optimiser
from training.loop.precision import resolve
from training.loop.progress import Bar
from training.loop.randomness import seed_everything
from training.loop.schedules import progress_of, set_rates
from training.loop.signals import stop_on_signals
from training.loop.state import Extras, State, TrainingError
from training.loop.stream import Loading, Stream
from training.objectives.base import Objective


@dataclass(frozen=True)
class Outcome:
    """How a run ended: at ``step``, and ``interrupted`` by the name of a signal or, when None, on its own."""

    step: int
    interrupted: str | None


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
    """Train ``objective`` on the batches of ``loader`` into the run folder ``folder``.

    Raises
    ------
    TrainingError
        If the loss is no longer finite, memory runs out, or the representation collapses and that is to stop the run.
    CheckpointError
        If ``resume`` is not a checkpoint of this configuration.
    """
    extras = extras or Extras()
    state = begin(objective, loader, config, ranks, resume, extras)
    model = ranks.wrap(objective)
    trained = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    checkpoints = Checkpoints(folder, config.keep_checkpoints)
    limit = None if extras.max_minutes is None else 60 * extras.max_minutes
    # A run that early stopping ended stays ended when it is resumed.
    ended = state.validation is not None and state.validation.exhausted
    progress = 1.0 if ended else progress_of(state.step, config.steps, state.elapsed, limit)
    before, started, interrupted = state.elapsed, time.perf_counter(), False

    with ExitStack() as stack:
        journal = stack.enter_context(Journal(folder, state.step)) if ranks.first else None
        bar = stack.enter_context(Bar(config.name, console or Console(quiet=not ranks.first)))
        stop = stack.enter_context(stop_on_signals())
        watch = Stopwatch(peak_flops(ranks.device, resolve(config.precision, ranks.device)))

        while progress < 1 and not interrupted:
            rates = set_rates(state.optimiser, config.optimiser, progress)
            batch = accumulate(model, state, config, ranks, watch, progress)
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
                require_finite(math.isfinite(values["loss"]), state.step, folder)
            wanted = looks_due(state, config, last=progress >= 1)
            if wanted:
                with watch.paused(), undisturbed(objective, ranks.device):
                    values |= look(wanted, objective, batch, extras, ranks)
            if journal and values:
                journal.write(state.step, values | {"jets": state.jets, "minutes": state.elapsed / 60})
                bar.update(state.step, progress, values)
            collapse = collapse_of(values)
            if collapse:
                bar.say(f"step {state.step}: the representation has collapsed: {collapse}")
            if state.validation and "val_loss" in values:
                if state.validation.better(values["val_loss"]) and ranks.first:
                    write_best(state, config, folder)
                progress = 1.0 if state.validation.exhausted else progress
            if due(state.step, config.checkpoint_every) or progress >= 1 or interrupted or collapse:
                require_finite(state.averages.finite(), state.step, folder)
                state.save(checkpoints, config, ranks)
            if collapse and extras.stop_on_collapse:
                msg = f"stopped at step {state.step}: {collapse}; the state is in {folder}"
                raise TrainingError(msg)
    return Outcome(state.step, stop.name if interrupted else None)


def begin(
    objective: Objective, loader: Loading, config: RunConfig, ranks: Ranks, resume: Path | None, extras: Extras
) -> State:
    """The state of a run before its first step, or as the checkpoint ``resume`` has it."""
    seed_everything(config.seed + ranks.rank)
    objective.to(ranks.device).train()
    state = State(
        objective=objective,
        optimiser=make_optimiser(objective, config.optimiser, slow=extras.slow, slow_scale=extras.slow_scale),
        stream=Stream(loader, ranks.device),
        validation=extras.validation,
    )
    if resume:
        state.resume(resume, config, ranks, other_data=extras.other_data)
    if config.compile:
        objective.compile()
    return state


def require_finite(finite: bool, step: int, folder: Path) -> None:
    """No checkpoint may hold weights that a NaN has reached."""
    if not finite:
        msg = f"the loss is not finite at step {step}; the last good state is in {folder}; lower optimiser.lr"
        raise TrainingError(msg)


def write_best(state: State, config: RunConfig, folder: Path) -> None:
    """Keep the weights of the best validation apart from the numbered checkpoints."""
    content = {"config": config.model_dump(mode="json"), "objective": state.objective.state_dict()}
    save_atomically({"format": FORMAT, "step": state.step, **content}, folder / BEST)
