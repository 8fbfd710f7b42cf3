"""Ragged jets to padded micro-batches: planning under a budget, padding by one gather."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WASTE = 1 / 32
"""Of its token budget: a micro-batch ends when shorter jets would fill more than this with avoidable padding."""


@dataclass(frozen=True)
class Budget:
    """How much a micro-batch may hold, padding included."""

    tokens: int
    """At most this many particle slots, batch * length."""
    pairs: int
    """At most this many pairs, batch * length**2: what bounds the memory of pair features and attention."""
    step: int
    """Lengths are rounded up to a multiple of this."""

    def jets(self, length: int) -> int:
        """Jets of padded length ``length`` that fit, at least 1.

        Parameters
        ----------
        length
            Particle slots of a jet.

        Returns
        -------
        int
        """
        return max(1, min(self.tokens // length, self.pairs // length**2))

    def lengths(self, counts: NDArray[np.int64], longest: int, shortest: int) -> NDArray[np.int64]:
        """Padded length of jets with ``counts`` particles, each between ``shortest`` and ``longest``.

        Parameters
        ----------
        counts
            Particles of each jet.
        longest, shortest
            Bounds of the padded length.

        Returns
        -------
        numpy.ndarray
            int64, [jet].
        """
        return np.clip(-(-counts // self.step) * self.step, shortest, longest)


@dataclass(frozen=True)
class MicroBatch:
    """Jets that run together."""

    jets: NDArray[np.intp]
    """Their positions in the chunk."""
    length: int
    """Particle slots of each."""

    @property
    def pairs(self) -> int:
        """Pairs of particle slots, padding included.

        Returns
        -------
        int
        """
        return len(self.jets) * self.length**2

    def halves(self) -> tuple[MicroBatch, MicroBatch]:
        """Both halves, for a device that ran out of memory.

        Returns
        -------
        tuple of MicroBatch
        """
        middle = len(self.jets) // 2
        return MicroBatch(self.jets[:middle], self.length), MicroBatch(self.jets[middle:], self.length)


def plan(
    counts: NDArray[np.int64], budget: Budget, longest: int, shortest: int = 1, most: int | None = None
) -> list[MicroBatch]:
    """Every jet with particles into exactly one micro-batch, the longest jets first.

    Jets are sorted by multiplicity, so that neighbours pad one another little. A batch ends when the budget is used
    up, or when padding that a shorter length would spare has added up to :data:`WASTE`: by then another batch, with
    what it costs to run one, is cheaper. With thousands of jets the first is the rule, with tens of them the second.

    Parameters
    ----------
    counts
        Particles per jet, none above ``longest``; jets with 0 are left out.
    budget
        What a micro-batch may hold.
    longest, shortest
        Bounds of the padded length.
    most
        Jets that a micro-batch may hold in any case.

    Returns
    -------
    list of MicroBatch
    """
    order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    lengths = budget.lengths(counts[order], longest, shortest)
    slots = np.concatenate([[0], np.cumsum(lengths)])
    batches = []
    start = 0
    while start < len(order):
        length = int(lengths[start])
        number = np.arange(1, min(budget.jets(length), most or len(order), len(order) - start) + 1)
        wasted = number * length - (slots[start + number] - slots[start])
        stop = start + int(np.count_nonzero(wasted <= WASTE * budget.tokens))
        batches.append(MicroBatch(order[start:stop], length))
        start = stop
    return batches


def gather_index(
    starts: NDArray[np.int64], counts: NDArray[np.int64], length: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Rows of the flat particles for each slot, [jet, length] (a valid row for padding too), and their mask.

    Parameters
    ----------
    starts
        Row of the first particle of each jet.
    counts
        Particles of each jet.
    length
        Slots.

    Returns
    -------
    tuple of numpy.ndarray
        Rows and mask, both [jet, length].
    """
    slots = np.arange(length, dtype=np.int64)
    mask = slots < counts[:, None]
    return starts[:, None] + np.where(mask, slots, 0), mask


def pad(
    flat: NDArray[np.float32], index: NDArray[np.int64], mask: NDArray[np.bool_], buffer: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Particles [jet, length, field], 0 where ``mask`` is False, in the memory of ``buffer`` (1-D, large enough).

    Parameters
    ----------
    flat
        [particle, field].
    index, mask
        As :func:`gather_index` gives them.
    buffer
        Memory to write to.

    Returns
    -------
    numpy.ndarray
        float32, [jet, length, field].
    """
    shape = (*index.shape, flat.shape[1])
    out = buffer[: index.size * flat.shape[1]].reshape(shape)
    np.take(flat, index, axis=0, out=out, mode="clip")
    out[~mask] = 0.0
    return out


def keep_hardest(
    hardness: NDArray[np.float32], counts: NDArray[np.int64], most: int
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which particles stay when no jet may have more than ``most``, and the counts that this leaves.

    Parameters
    ----------
    hardness
        One number per particle (its transverse momentum), of which each jet keeps the largest, [particle]; or several,
        [number, particle], of which a later one decides where the earlier ones are equal. Particles that stay keep
        their order; of those that are equal in all, the first stays.
    counts
        Particles of each jet.
    most
        Particles that a jet may have.

    Returns
    -------
    tuple of numpy.ndarray
        Which particles stay, [particle], and how many of each jet, [jet].
    """
    keys = np.atleast_2d(hardness)
    keep = np.ones(keys.shape[1], dtype=bool)
    over = counts > most
    rows = np.flatnonzero(np.repeat(over, counts))
    sizes = counts[over]
    owner = np.repeat(np.arange(len(sizes)), sizes)
    rank = np.empty(len(rows), dtype=np.int64)
    order = np.lexsort((*-keys[::-1, rows], owner))
    rank[order] = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    keep[rows] = rank < most
    return keep, np.minimum(counts, most)
