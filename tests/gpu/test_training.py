"""Training on CUDA: attention kernels, compilation, DDP, resuming, and that no step waits for the device."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from benchmarks.synthetic import write_jetclass
from benchmarks.training.cases import SIZES, batches, pretraining_of
from tests.gpu.conftest import REHEARSAL
from training import pretrain
from training.data.batch import Batch
from training.models import attention
from training.models.compiled import compile_regions
from training.models.pairs import triangle
from training.objectives.base import Objective

ROOT = Path(__file__).parents[2]
TINY = SIZES["tiny"]

BACKEND = "aot_eager" if REHEARSAL else "inductor"
"""A rehearsal compiles nothing: that takes minutes on a CPU."""


def tiny_batch(device: torch.device) -> Batch:
    return batches(TINY, device, sort=True, jets=TINY.batch)[0]


def objective(device: torch.device) -> Objective:
    torch.manual_seed(0)
    return pretraining_of(TINY).to(device).train()


def loss_and_gradients(model: nn.Module, batch: Batch, *, bf16: bool) -> tuple[Tensor, Tensor]:
    """The loss and all gradients in a row, with the random numbers of a fixed seed."""
    torch.manual_seed(1)
    with torch.autocast(batch.mask.device.type, torch.bfloat16, enabled=bf16):
        loss = model(batch)["loss"]
    loss.backward()
    parts = [parameter.grad.flatten().double() for parameter in model.parameters() if parameter.grad is not None]
    return loss.detach().double(), torch.cat(parts)


def apart(got: Tensor, expected: Tensor) -> float:
    return float((got - expected).norm() / expected.norm())


def test_resuming_goes_on_as_if_nothing_had_happened(device: torch.device, tmp_path: Path) -> None:
    write_jetclass(tmp_path / "HToBB_000.root", 400, seed=1, label="Hbb")

    def words(steps: int, folder: str) -> list[str]:
        config = str(ROOT / "training" / "configs" / "pjepa_mini.yaml")
        settings = [f"steps={steps}", "data.batch_size=64", "log_every=2", "checkpoint_every=4", "monitor_every=8"]
        data = str(tmp_path / "*.root")
        return ["--config", config, "--data", data, "--output", str(tmp_path / folder), "--device", device.type,
                "--set", *settings]  # fmt: skip

    def weights(folder: str) -> Tensor:
        newest = sorted((tmp_path / folder).glob("checkpoint-*.pt"))[-1]
        state = torch.load(newest, map_location="cpu", weights_only=True)["objective"]
        return torch.cat([value.flatten().double() for value in state.values() if value.is_floating_point()])

    assert pretrain.main(words(8, "whole")) == 0
    first = sorted((tmp_path / "whole").glob("checkpoint-*.pt"))[0]
    resumed = [*words(8, "resumed"), "--resume", str(first)]
    assert pretrain.main(resumed) == 0
    assert apart(weights("resumed"), weights("whole")) < 1e-3


@pytest.mark.skipif("not torch.cuda.is_available()", reason="only CUDA tells when the host waits for it")
def test_no_step_waits_for_the_device(device: torch.device) -> None:
    batch, model = tiny_batch(device), objective(device)
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], fused=True)

    def step() -> None:
        with torch.autocast("cuda", torch.bfloat16):
            loss = model(batch)["loss"]
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        model.after_step(0.5)

    step()
    strictly(step)


def strictly(step: Callable[[], None]) -> None:
    """Run ``step`` so that waiting for the device is an error."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_one_process_of_ddp_gives_the_same_gradients(device: torch.device, tmp_path: Path) -> None:
    batch, model = tiny_batch(device), objective(device)
    loss, gradients = loss_and_gradients(copy.deepcopy(model), batch, bf16=False)
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    try:
        devices = [device] if device.type == "cuda" else None
        wrapped = DistributedDataParallel(model, device_ids=devices, init_sync=False, broadcast_buffers=False)
        shared = loss_and_gradients(wrapped, batch, bf16=False)
    finally:
        dist.destroy_process_group()
    torch.testing.assert_close(shared[0], loss, rtol=1e-4, atol=0)
    assert apart(shared[1], gradients) < 1e-3


def test_indices_of_pairs_are_exact_when_compiled(device: torch.device) -> None:
    compiled = torch.compile(triangle, dynamic=True, backend=BACKEND)
    for n in (*range(1, 18), 31, 48, 64, 96, 112, 127, 128):
        row, column = compiled(n, device)
        torch.testing.assert_close(torch.stack([row, column]).cpu(), torch.tril_indices(n, n))


def test_eager_and_compiled_against_attention_as_written(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    batch, model = tiny_batch(device), objective(device)  # each evaluation gets a copy: running means are a part of it

    def evaluated(*, bf16: bool, explicit: bool = False, compiled: bool = False) -> tuple[Tensor, Tensor]:
        with monkeypatch.context() as patch:
            if explicit:
                patch.setattr(attention, "fused", attention.explicit)
            one = copy.deepcopy(model)
            if compiled:
                compile_regions(one, BACKEND)
            return loss_and_gradients(one, batch, bf16=bf16)

    exact = evaluated(bf16=False, explicit=True)
    half = evaluated(bf16=True, explicit=True)
    rounding = [apart(got, expected) for got, expected in zip(half, exact, strict=True)]
    assert rounding[0] < 2e-2
    for got, expected in zip(evaluated(bf16=False), exact, strict=True):
        assert apart(got, expected) < 2e-3, "fp32"
    for compiled in (False, True):
        for got, expected, least in zip(evaluated(bf16=True, compiled=compiled), exact, rounding, strict=True):
            # No worse than what half precision costs in any case.
            assert apart(got, expected) < 1.5 * least + 1e-2, f"compiled: {compiled}, bf16"
    torch._dynamo.reset()
