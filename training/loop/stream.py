"""Batches without end: epoch after epoch of a loader, on the device, with a position that a checkpoint keeps."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Protocol

import torch

from training.data.batch import Batch
from training.data.columns import BadFileError


class Loading(Protocol):
    """What the loop asks of a loader: an epoch per ``iter``, and an exact position inside it."""

    def __iter__(self) -> Iterator[Batch]: ...

    def set_epoch(self, epoch: int) -> None: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Stream:
    """The batches of ``loader``, epoch after epoch."""

    def __init__(self, loader: Loading, device: torch.device) -> None:
        self.epoch = 0
        self._loader, self._device = loader, device
        self._batches: Iterator[Batch] | None = None

    def next(self) -> tuple[Batch, float]:
        """The next batch on the device, and the seconds it was waited for.

        Raises
        ------
        BadFileError
            If an epoch has no batch at all.
        """
        start = time.perf_counter()
        batch = self._next()
        waited = time.perf_counter() - start
        return batch.to(self._device, non_blocking=True), waited

    def _next(self) -> Batch:
        for _ in range(2):
            if self._batches is None:
                self._batches = iter(self._loader)
            batch = next(self._batches, None)
            if batch is not None:
                return batch
            self.epoch += 1
            self._loader.set_epoch(self.epoch)
            self._batches = None
        msg = "the data give no batch: fewer jets than one batch holds; lower the batch size or give more jets"
        raise BadFileError(msg)

    def state(self) -> dict[str, Any]:
        """For a checkpoint: the batches that were handed out, whatever the loader has read ahead."""
        return {"epoch": self.epoch, "loader": self._loader.state_dict()}

    def restart(self, epoch: int) -> None:
        """Go on with the first batch of an epoch."""
        self.epoch = epoch
        self._loader.set_epoch(epoch)
        self._batches = None

    def restore(self, state: dict[str, Any]) -> None:
        """Undo to the moment of :meth:`state`."""
        self.epoch = state["epoch"]
        self._loader.set_epoch(self.epoch)
        self._loader.load_state_dict(state["loader"])
        self._batches = None
