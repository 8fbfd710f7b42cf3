"""The training loop, top to bottom: any objective, one process or many, resumable after every step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from torch import nn

from training.config import RunConfig
from training.data.batch import Batch
from training.loop.checkpoint import BEST, FORMAT, Checkpoints, save_atomically
from training.loop.distributed import Ranks
from training.loop.monitors import Journal, Stopwatch, collapse_of, peak_flops
from training.loop.optimiser import make_optimiser
from training.loop.precision import resolve
from training.loop.progress import Bar
from training.loop.randomness import seed_everything
from training.loop.schedules import progress_of, set_rates
from training.loop.signals import stop_on_signals
from training.loop.state import State, Validation
from training.loop.stream import Loading, Stream
from training.objectives.base import Objective


class TrainingError(RuntimeError):
    """A run that cannot go on: a loss that is no number, a collapsed representation, no memory left."""


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
    seed_everything(config.seed + ranks.rank)
    objective.to(ranks.device).train()
    state = State(
        objective=objective,
        optimiser=make_optimiser(objective, config.optimiser, slow=extras.slow, slow_scale=extras.slow_scale),
        stream=Stream(loader, ranks.device),
        validation=extras.validation,
    )
    if resume:
        state.resume(resume, config, ranks)
    if config.compile:
        objective.compile()
    model = ranks.wrap(objective)
    trained = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    checkpoints = Checkpoints(folder, config.keep_checkpoints)
    precision = resolve(config.precision, ranks.device)
    limit = None if extras.max_minutes is None else 60 * extras.max_minutes
    progress = progress_of(state.step, config.steps, state.elapsed, limit)
    before, started, interrupted = state.elapsed, time.perf_counter(), False

    with ExitStack() as stack:
        journal = stack.enter_context(Journal(folder, state.step)) if ranks.first else None
        bar = stack.enter_context(Bar(config.name, console or Console(quiet=not ranks.first)))
        stop = stack.enter_context(stop_on_signals())
        watch = Stopwatch(peak_flops(ranks.device, precision))

        while progress < 1 and not interrupted:
            rates = set_rates(state.optimiser, config.optimiser, progress)
            state.optimiser.zero_grad(set_to_none=True)
            for part in range(config.accumulate):
                batch, waited = state.stream.next()
                watch.add(jets=len(batch), flops=objective.flops(batch), waited=waited)
                state.jets += len(batch) * ranks.world_size
                with out_of_memory_explained(batch), ExitStack() as gradients:
                    if part + 1 < config.accumulate:
                        gradients.enter_context(ranks.no_sync(model))
                    with torch.autocast(ranks.device.type, torch.bfloat16, enabled=precision == "bf16"):
                        losses = model(batch, progress)
                    (losses["loss"] / config.accumulate).backward()
                state.averages.add(losses)
            norm = nn.utils.clip_grad_norm_(trained, config.optimiser.clip)
            state.averages.add({"grad_norm": norm})
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
                values |= {"jets": state.jets, "minutes": state.elapsed / 60}
                require_finite(math.isfinite(values["loss"]), state.step, folder)
            wanted = looks_due(state, config, last=progress >= 1)
            if wanted:
                with watch.paused(), undisturbed(objective, ranks.device):
                    values |= look(wanted, objective, batch, extras, ranks)
            if journal and values:
                journal.write(state.step, values)
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


@contextmanager
def out_of_memory_explained(batch: Batch) -> Iterator[None]:
    """Turn running out of GPU memory into a message that says what to change."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        jets, particles = batch.mask.shape
        reason = str(error).split(".", 1)[0]
        msg = f"out of memory on a batch of {jets} jets x {particles} particles ({reason}); "
        msg += "lower the batch size in data and raise accumulate"
        raise TrainingError(msg) from None


def require_finite(finite: bool, step: int, folder: Path) -> None:
    """No checkpoint may hold weights that a NaN has reached."""
    if not finite:
        msg = f"the loss is not finite at step {step}; the last good state is in {folder}; lower optimiser.lr"
        raise TrainingError(msg)


def write_best(state: State, config: RunConfig, folder: Path) -> None:
    """Keep the weights of the best validation apart from the numbered checkpoints."""
    content = {"config": config.model_dump(mode="json"), "objective": state.objective.state_dict()}
    save_atomically({"format": FORMAT, "step": state.step, **content}, folder / BEST)
