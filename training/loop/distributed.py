"""The processes of one training, one per GPU, and the signals that ask them to stop.

``torchrun`` and ``srun`` start them, and set the same variables. Batch systems announce the end of a job with a signal;
the loop then saves and leaves.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from training.config import ConfigError

STOPPED = 75
"""Exit status of a run that was asked to stop before its end: EX_TEMPFAIL of sysexits.h, "try again"."""


@dataclass(frozen=True)
class Ranks:
    """This process among those of the training; alone, every method is the identity."""

    rank: int
    """Number of this process, from 0."""
    world_size: int
    """How many processes there are."""
    device: torch.device
    """Where this process trains."""

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and talks to the user.

        Returns
        -------
        bool
        """
        return self.rank == 0

    def wrap(self, module: nn.Module) -> nn.Module:
        """A module whose gradients are averaged over the processes.

        Parameters
        ----------
        module
            The same in all processes.

        Returns
        -------
        nn.Module
        """
        if self.world_size == 1:
            return module
        devices = [self.device] if self.device.type == "cuda" else None
        # Built from one seed or one checkpoint, and with statistics of the global batch: nothing is left to copy.
        unused = bool(getattr(module, "sometimes_unused", False))
        return DistributedDataParallel(
            module,
            device_ids=devices,
            init_sync=False,
            broadcast_buffers=False,
            find_unused_parameters=unused,
        )

    def no_sync(self, module: nn.Module) -> AbstractContextManager[Any]:
        """Context in which a backward pass keeps its gradients to this process.

        Parameters
        ----------
        module
            What :meth:`wrap` gave.

        Returns
        -------
        context manager
        """
        return module.no_sync() if isinstance(module, DistributedDataParallel) else nullcontext()

    def mean(self, values: Tensor) -> Tensor:
        """Average over the processes.

        Parameters
        ----------
        values
            Of this process, any shape.

        Returns
        -------
        Tensor
            The same in all processes.
        """
        if self.world_size > 1:
            dist.all_reduce(values)
            values = values / self.world_size
        return values

    def largest(self, *values: float) -> list[float]:
        """The largest of each value over the processes: all agree afterwards.

        Parameters
        ----------
        *values
            Of this process.

        Returns
        -------
        list of float
        """
        if self.world_size == 1:
            return list(values)
        shared = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(shared, op=dist.ReduceOp.MAX)
        return shared.tolist()

    def gather(self, value: object) -> list[Any]:
        """A value of every process.

        Parameters
        ----------
        value
            Of this process; anything that can be pickled.

        Returns
        -------
        list
            In order of rank.
        """
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

    They talk through NCCL on CUDA, through gloo on CPUs.

    Parameters
    ----------
    device
        ``auto`` (CUDA where there is one), ``cpu`` or ``cuda``.

    Yields
    ------
    Ranks

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


class StopRequest:
    """Remembers the first signal that asked the run to stop; None before."""

    name: str | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self.name = self.name or signal.Signals(number).name


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Within, SIGTERM, SIGUSR1 (SLURM's warning) and the first Ctrl-C are only noted; the loop looks at the note.

    A second Ctrl-C interrupts at once.

    Yields
    ------
    StopRequest
        Its ``name`` is that of the first signal.
    """
    request = StopRequest()

    def _interrupted(number: int, frame: FrameType | None) -> None:
        if request.name:
            raise KeyboardInterrupt
        request(number, frame)

    handlers: dict[signal.Signals, Any] = {
        signal.SIGTERM: request,
        signal.SIGUSR1: request,
        signal.SIGINT: _interrupted,
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
