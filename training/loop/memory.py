"""Jets held in memory: the few with labels, the validation set, what probes look at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from training.data.batch import Batch

MULTIPLE = 16
"""Padded lengths are multiples of this."""


def rows(batch: Batch, index: Tensor) -> Batch:
    """The jets ``index`` (int64, or bool) of ``batch``."""
    every = {f.name: getattr(batch, f.name) for f in fields(Batch)}
    picked: dict[str, Any] = {name: None if value is None else value[index] for name, value in every.items()}
    return Batch(**picked)


def concatenate(batches: Sequence[Batch]) -> Batch:
    """One batch of all jets, padded to the longest."""
    longest = max(batch.mask.shape[1] for batch in batches)

    def padded(batch: Batch, name: str) -> Tensor | None:
        value: Tensor | None = getattr(batch, name)
        if value is None or name not in ("particles", "mask"):
            return value
        extra = longest - value.shape[1]
        return F.pad(value, (0, 0, 0, extra) if name == "particles" else (0, extra))

    joined: dict[str, Any] = {}
    for name in (f.name for f in fields(Batch)):
        values = [padded(batch, name) for batch in batches]
        tensors = [value for value in values if value is not None]
        joined[name] = torch.cat(tensors) if tensors else None
    return Batch(**joined)


def collect(batches: Iterable[Batch], classes: Sequence[str], per_class: int) -> Batch:
    """The first ``per_class`` jets of every class in ``batches``, in the order in which they come.

    Raises
    ------
    ValueError
        If a class has fewer, or jets have no labels.
    """
    counts = torch.zeros(len(classes), dtype=torch.int64)
    kept = []
    for batch in batches:
        if batch.labels is None:
            msg = "the jets have no labels: labelled JetClass files or shards prepared from them are needed"
            raise ValueError(msg)
        labels = batch.labels.cpu()
        rank = _occurrence(labels, len(classes)) + counts[labels]
        kept.append(rows(batch, rank < per_class))
        counts += torch.bincount(labels, minlength=len(classes))
        if bool((counts >= per_class).all()):
            return concatenate(kept)
    few = ", ".join(
        f"{name} {count}" for name, count in zip(classes, counts.tolist(), strict=True) if count < per_class
    )
    msg = f"{per_class} jets of every class were asked for; the data have only: {few}"
    raise ValueError(msg)


def _occurrence(labels: Tensor, classes: int) -> Tensor:
    """How many jets of the same class come before each jet."""
    one_hot = F.one_hot(labels, classes)
    return (one_hot.cumsum(0) - one_hot)[torch.arange(len(labels)), labels]


def take(batches: Iterable[Batch], jets: int) -> Batch:
    """The first ``jets`` jets of ``batches``, or all when there are fewer."""
    kept, left = [], jets
    for batch in batches:
        kept.append(batch if len(batch) <= left else rows(batch, torch.arange(left)))
        left -= len(kept[-1])
        if left == 0:
            break
    if not kept:
        msg = "the data give no jets"
        raise ValueError(msg)
    return concatenate(kept)


def trimmed(batch: Batch) -> Batch:
    """``batch`` without columns that are padding in every jet, up to a multiple of 16."""
    counts = batch.mask.any(0).nonzero()
    longest = int(counts[-1]) + 1 if len(counts) else 1
    length = min(-(-longest // MULTIPLE) * MULTIPLE, batch.mask.shape[1])
    values = {f.name: getattr(batch, f.name) for f in fields(Batch)}
    return Batch(**values | {"particles": batch.particles[:, :length], "mask": batch.mask[:, :length]})


class InMemory:
    """Batches of jets in memory: shuffled anew each epoch, or in order; the loader of small sets.

    Jets of similar multiplicity share a batch when in order, so that little of it is padding.
    """

    def __init__(self, jets: Batch, batch_jets: int, *, seed: int | None) -> None:
        self.jets, self.batch_jets, self.seed = jets, min(batch_jets, len(jets)), seed
        self.epoch = self.position = 0
        self._counts = jets.mask.sum(1).cpu().numpy()

    def set_epoch(self, epoch: int) -> None:
        """Start epoch number ``epoch``."""
        self.epoch, self.position = epoch, 0

    def state_dict(self) -> dict[str, Any]:
        """Position inside the epoch."""
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to a position."""
        self.epoch, self.position = state["epoch"], state["position"]

    def __iter__(self) -> Iterator[Batch]:
        if self.seed is None:
            order, whole = np.argsort(self._counts, kind="stable"), False
        else:
            order, whole = np.random.default_rng((self.seed, self.epoch)).permutation(len(self.jets)), True
        last = len(order) - len(order) % self.batch_jets if whole else len(order)
        while self.position < last:
            index = torch.from_numpy(order[self.position : self.position + self.batch_jets].copy())
            self.position += self.batch_jets
            yield trimmed(rows(self.jets, index.to(self.jets.mask.device)))
        if self.seed is None:
            self.position = 0
