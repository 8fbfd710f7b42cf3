"""Training one variant for a while: how fast, and what bounds it."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from benchmarks.training.cases import Ours
from benchmarks.training.profile import kernels
from training.data.batch import Batch

HOPPER_PEAK = 989e12
"""Dense bf16 FLOP/s in NVIDIA's datasheet of H100 and H200."""


@dataclass
class Result:
    """What came out of one variant."""

    size: str
    variant: str
    batches: str
    jets_per_s: float | None = None
    step_ms: float | None = None
    tflops: float | None = None
    mfu_measured: float | None = None
    """Share of the fastest matrix products measured on this device in this run."""
    mfu_datasheet: float | None = None
    memory_gib: float | None = None
    warmup_s: float | None = None
    error: str | None = None
    kernels: dict[str, float] = field(default_factory=dict)
    """Share of the device's time by kind of kernel."""


def now(device: torch.device) -> float:
    """Seconds, after all that was asked of ``device`` is done.

    Parameters
    ----------
    device
        To wait for.

    Returns
    -------
    float
        From a clock that starts anywhere.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


@dataclass(frozen=True)
class Case:
    """One variant on its batches."""

    result: Result
    """To be filled."""
    build: Callable[[], Any]
    data: list[Batch]
    flops: Callable[[Any, Batch], float]
    """Of a model's training step on a batch."""
    peak: float
    """FLOP/s of the device."""

    @property
    def device(self) -> torch.device:
        """Where the batches are.

        Returns
        -------
        torch.device
            That of all batches.
        """
        return self.data[0].jets.device


def measure(case: Case, seconds: float, *, profile: bool) -> None:
    """Train for some ``seconds`` and fill the result; a variant that fails says how there.

    Parameters
    ----------
    case
        What to train.
    seconds
        To train for.
    profile
        Whether to say where the time goes.
    """
    try:
        train(case, seconds, profile=profile)
    except Exception as error:  # noqa: BLE001  one variant that does not work must not hide the others
        case.result.error = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    gc.collect()
    torch._dynamo.reset()
    if case.device.type == "cuda":
        torch.cuda.empty_cache()


def train(case: Case, least: float, *, profile: bool) -> None:
    """Train for ``least`` seconds, after each length has been seen twice.

    Parameters
    ----------
    case
        What to train.
    least
        Seconds to train for.
    profile
        Whether to say where the time goes.
    """
    device, data, result = case.device, case.data, case.result
    torch.manual_seed(0)
    model = case.build().to(device).train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, 1e-4, fused=True)
    inputs = [model.prepare(batch) for batch in data]

    def _step(i: int) -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            loss = model(inputs[i])
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        if isinstance(model, Ours):
            model.objective.after_step(0.5)

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    start = now(device)
    lengths = {batch.mask.shape[1]: i for i, batch in enumerate(data)}
    for i in [*lengths.values(), *lengths.values()]:
        _step(i)
    result.warmup_s = round(now(device) - start, 1)
    passes, start, seconds = 0, now(device), 0.0
    while seconds < least:
        for i in range(len(data)):
            _step(i)
        passes += 1
        seconds = now(device) - start
    result.jets_per_s = passes * sum(len(batch) for batch in data) / seconds
    result.step_ms = 1e3 * seconds / passes / len(data)
    rate = passes * sum(case.flops(model, batch) for batch in data) / seconds
    result.tflops, result.mfu_measured = rate / 1e12, rate / case.peak
    if device.type == "cuda":
        hopper = any(chip in torch.cuda.get_device_name(device) for chip in ("H100", "H200"))
        result.mfu_datasheet = rate / HOPPER_PEAK if hopper else None
        result.memory_gib = torch.cuda.max_memory_allocated(device) / 2**30
    if profile:
        result.kernels = kernels(_step, len(data), device)
