"""The gradients of one optimiser step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import nn

from training.config import RunConfig
from training.data.batch import Batch
from training.loop.distributed import Ranks
from training.loop.monitors import Stopwatch
from training.loop.precision import resolve
from training.loop.state import State, TrainingError, no_memory


def accumulate(
    model: nn.Module, state: State, config: RunConfig, ranks: Ranks, watch: Stopwatch, progress: float
) -> Batch:
    """Back-propagate the mean loss of ``config.accumulate`` batches of the stream; gives the last of them.

    ``model`` is the objective as ``ranks`` wraps it. Losses go to the state's averages, nothing waits for the device.
    """
    precision = resolve(config.precision, ranks.device)
    state.optimiser.zero_grad(set_to_none=True)
    for part in range(config.accumulate):
        batch, waited = state.stream.next()
        watch.add(jets=len(batch), flops=state.objective.flops(batch), waited=waited)
        state.jets += len(batch) * ranks.world_size
        with out_of_memory_explained(batch), ExitStack() as gradients:
            if part + 1 < config.accumulate:
                gradients.enter_context(ranks.no_sync(model))
            with torch.autocast(ranks.device.type, torch.bfloat16, enabled=precision == "bf16"):
                losses = model(batch, progress)
            (losses["loss"] / config.accumulate).backward()
        state.averages.add(losses)
    return batch


@contextmanager
def out_of_memory_explained(batch: Batch) -> Iterator[None]:
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
