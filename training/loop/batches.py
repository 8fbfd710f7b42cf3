"""Batches for the loop: an endless stream of them, from files or from jets that are held in memory."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import fields
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor

from jepa_coffea.errors import BadFileError
from training.data.batch import Batch

MULTIPLE = 16
"""Padded lengths are multiples of this."""


def _rows(batch: Batch, index: Tensor) -> Batch:
    """The jets ``index`` (int64, or bool) of ``batch``."""
    every = {f.name: getattr(batch, f.name) for f in fields(Batch)}
    picked: dict[str, Any] = {name: None if value is None else value[index] for name, value in every.items()}
    return Batch(**picked)


def labels_of(batch: Batch) -> Tensor:
    """Labels of a batch that must have them.

    Parameters
    ----------
    batch
        Jets.

    Returns
    -------
    Tensor
        int64 [B].

    Raises
    ------
    BadFileError
        If the jets have none.
    """
    if batch.labels is None:
        msg = "the jets have no labels; give labelled files, or shards prepared from such"
        raise BadFileError(msg)
    return batch.labels


def concatenate(batches: Collection[Batch]) -> Batch:
    """One batch of all jets, padded to the longest.

    Parameters
    ----------
    batches
        Jets with the same fields, at least one batch.

    Returns
    -------
    Batch
    """
    longest = max(batch.mask.shape[1] for batch in batches)

    def _padded(batch: Batch, name: str) -> Tensor | None:
        value: Tensor | None = getattr(batch, name)
        if value is None or name not in ("particles", "mask"):
            return value
        extra = longest - value.shape[1]
        return F.pad(value, (0, 0, 0, extra) if name == "particles" else (0, extra))

    joined: dict[str, Any] = {}
    for name in (f.name for f in fields(Batch)):
        values = [_padded(batch, name) for batch in batches]
        tensors = [value for value in values if value is not None]
        joined[name] = torch.cat(tensors) if tensors else None
    return Batch(**joined)


def take(batches: Iterable[Batch], jets: int) -> Batch:
    """The first jets of some batches, as one batch.

    Parameters
    ----------
    batches
        Jets; only as many batches as are needed are asked for.
    jets
        How many to take; all when there are fewer.

    Returns
    -------
    Batch

    Raises
    ------
    BadFileError
        If there are no jets at all.
    """
    kept, left = [], jets
    for batch in batches:
        kept.append(batch if len(batch) <= left else _rows(batch, torch.arange(left)))
        left -= len(kept[-1])
        if left == 0:
            break
    if not kept:
        msg = "the data give no jets"
        raise BadFileError(msg)
    return concatenate(kept)


def shortened(batch: Batch, longest: int) -> Batch:
    """A batch without padding that none of its jets needs, up to a multiple of 16 particles.

    Parameters
    ----------
    batch
        Jets.
    longest
        Most particles of a jet in it.

    Returns
    -------
    Batch
    """
    length = min(max(-(-longest // MULTIPLE), 1) * MULTIPLE, batch.mask.shape[1])
    values = {f.name: getattr(batch, f.name) for f in fields(Batch)}
    return Batch(**values | {"particles": batch.particles[:, :length], "mask": batch.mask[:, :length]})


class InMemory:
    """Batches of jets that stay in memory, on whatever device they are; the loader of sets that fit.

    Parameters
    ----------
    jets
        All of them.
    batch_jets
        Jets per batch.
    seed
        Of the order, another one each epoch, in which a last batch that is not full is left out. None goes through all
        jets in ascending multiplicity.
    bucketed
        Jets of like multiplicity share a batch, so that little of it is padding; still in random order.
    """

    def __init__(self, jets: Batch, batch_jets: int, *, seed: int | None, bucketed: bool = False) -> None:
        self.jets, self.batch_jets, self.seed, self.bucketed = jets, min(batch_jets, len(jets)), seed, bucketed
        self.epoch = self.position = 0
        self._counts = jets.mask.sum(1).cpu().numpy()

    def set_epoch(self, epoch: int) -> None:
        """Go to the start of an epoch; does nothing in the middle of that epoch.

        Parameters
        ----------
        epoch
            Its number, from 0.
        """
        if epoch != self.epoch:
            self.epoch, self.position = epoch, 0

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint: the position inside the epoch.

        Returns
        -------
        dict
        """
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to a position.

        Parameters
        ----------
        state
            What :meth:`state_dict` gave.
        """
        self.epoch, self.position = state["epoch"], state["position"]

    def _batches(self) -> list[NDArray[np.intp]]:
        """Rows of each batch of the current epoch."""
        size = self.batch_jets
        if self.seed is None:
            order = np.argsort(self._counts, kind="stable")
            return [order[start : start + size] for start in range(0, len(order), size)]
        rng = np.random.default_rng((self.seed, self.epoch))
        order = rng.permutation(len(self.jets))
        order = order[: len(order) - len(order) % size]
        if self.bucketed:
            order = order[np.argsort(self._counts[order], kind="stable")]
        batches = order.reshape(-1, size)
        return list(batches[rng.permutation(len(batches))])

    def __iter__(self) -> Iterator[Batch]:
        batches = self._batches()
        while self.position < len(batches):
            picked = batches[self.position]
            self.position += 1
            index = torch.from_numpy(picked.copy()).to(self.jets.mask.device, non_blocking=True)
            yield shortened(_rows(self.jets, index), int(self._counts[picked].max()))
        if self.seed is None:
            self.position = 0


class Loading(Protocol):
    """What the loop asks of a loader: an epoch per ``iter``, and an exact position inside it."""

    def __iter__(self) -> Iterator[Batch]: ...

    def set_epoch(self, epoch: int) -> None:
        """Go to the start of an epoch; nothing in the middle of that epoch.

        Parameters
        ----------
        epoch
            Its number, from 0.
        """

    def state_dict(self) -> dict[str, Any]:
        """Where the next batch is.

        Returns
        -------
        dict
        """

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to a position.

        Parameters
        ----------
        state
            What :meth:`state_dict` gave.
        """


class BatchStream:
    """The batches of a loader, epoch after epoch, on the device, with a position that a checkpoint keeps.

    Parameters
    ----------
    loader
        Gives an epoch of batches per ``iter``.
    device
        Where the batches go.
    """

    def __init__(self, loader: Loading, device: torch.device) -> None:
        self.epoch = 0
        self._loader, self._device = loader, device
        self._batches: Iterator[Batch] | None = None

    def next(self) -> tuple[Batch, float]:
        """Take a batch.

        Returns
        -------
        tuple
            The next batch, on the device, and the seconds it was waited for.

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
        """For a checkpoint: the batches that were handed out, whatever the loader has read ahead.

        Returns
        -------
        dict
        """
        return {"epoch": self.epoch, "loader": self._loader.state_dict()}

    def restart(self, epoch: int) -> None:
        """Go on with the first batch of an epoch.

        Parameters
        ----------
        epoch
            Its number.
        """
        self.epoch = epoch
        self._loader.set_epoch(epoch)
        self._batches = None

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to the moment of :meth:`state`.

        Parameters
        ----------
        state
            What :meth:`state` gave.
        """
        self.epoch = state["epoch"]
        self._loader.set_epoch(self.epoch)
        self._loader.load_state_dict(state["loader"])
        self._batches = None
