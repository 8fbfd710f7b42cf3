"""The processes of one training: one a GPU, started by ``torchrun`` or by ``srun`` (both set the same variables)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from training.config import ConfigError


@dataclass(frozen=True)
class Ranks:
    """This process among those of the training; alone, every method is the identity."""

    rank: int
    world_size: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and talks to the user."""
        return self.rank == 0

    def wrap(self, module: nn.Module) -> nn.Module:
        """``module``, the same in all processes, with gradients averaged over them."""
        if self.world_size == 1:
            return module
        devices = [self.device] if self.device.type == "cuda" else None
        # Built from one seed or one checkpoint, and with statistics of the global batch: nothing is left to copy.
        return DistributedDataParallel(module, device_ids=devices, init_sync=False, broadcast_buffers=False)

    def no_sync(self, module: nn.Module) -> AbstractContextManager[Any]:
        """Context in which a backward pass of what :meth:`wrap` gave keeps its gradients to this process."""
        return module.no_sync() if isinstance(module, DistributedDataParallel) else nullcontext()

    def mean(self, values: Tensor) -> Tensor:
        """Average over the processes."""
        if self.world_size > 1:
            dist.all_reduce(values)
            values = values / self.world_size
        return values

    def largest(self, *values: float) -> list[float]:
        """The largest of each value over the processes: all agree afterwards."""
        if self.world_size == 1:
            return list(values)
        shared = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(shared, op=dist.ReduceOp.MAX)
        return shared.tolist()

    def gather(self, value: object) -> list[Any]:
        """``value`` of every process, in order of rank."""
        if self.world_size == 1:
            return [value]
        values: list[Any] = [None] * self.world_size
        dist.all_gather_object(values, value)
        return values

    def barrier(self) -> None:
        """Wait for the others."""
        if self.world_size > 1:
            dist.barrier()


@contextmanager
def process_group(device: str = "auto") -> Iterator[Ranks]:
    """Join the processes that ``torchrun`` announced in the environment; alone when there is no ``WORLD_SIZE``.

    ``device`` is ``auto`` (CUDA where there is one), ``cpu`` or ``cuda``. NCCL speaks for CUDA, gloo for the CPU.

    Raises
    ------
    ConfigError
        If CUDA is asked for and there is none.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    world_size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    place = torch.device(device)
    if place.type == "cuda":
        if not torch.cuda.is_available():
            msg = "--device cuda: torch sees no CUDA device here; use --device cpu"
            raise ConfigError(msg)
        place = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(place)
    if world_size == 1:
        yield Ranks(0, 1, place)
        return
    dist.init_process_group("nccl" if place.type == "cuda" else "gloo")
    try:
        yield Ranks(rank, world_size, place)
    finally:
        dist.destroy_process_group()
