"""Nested folds that depend on nothing but who an event is: run, luminosity block and event number.

An event falls into the same fold on every machine, in every file order and in every subset of the data, and an event
that appears twice (overlapping datasets, resampled pseudo-data) is twice in the same fold: no classifier ever sees, in
training, an event that it scores.
"""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from jepa_coffea.errors import JepaCoffeaError

UInt64 = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]
Order: TypeAlias = Literal["cross", "forward"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_SALTS = {
    "outer": 0x0DDB1A5E5BAD5EED,
    "inner": 0x5EEDED1A5E0DDBA1,
    "tie": 0x71EB4EA4E471EB4E,
    "unweight": 0x2B7E151628AED2A6,
    "donor": 0x6A09E667F3BCC908,
}


class FoldError(JepaCoffeaError, ValueError):
    """Event identifiers or fold numbers that cannot make nested folds."""


def splitmix64(x: npt.ArrayLike) -> UInt64:
    """The splitmix64 finaliser: a bijection of 64-bit integers with full avalanche.

    Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014; the constants are Stafford's
    variant 13.

    Parameters
    ----------
    x
        Integers, taken as unsigned 64-bit ones.

    Returns
    -------
    array of uint64

    Examples
    --------
    >>> hex(splitmix64(0)[0])
    '0xe220a8397b1dcdaf'
    """
    z = np.atleast_1d(np.asarray(x)).astype(np.uint64) + _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def event_hash(run: npt.ArrayLike, luminosity_block: npt.ArrayLike, event: npt.ArrayLike) -> UInt64:
    """A stable 64-bit hash of each event's identity.

    ``splitmix64(splitmix64(splitmix64(run) ^ luminosity_block) ^ event)``, the numbers as unsigned 64-bit integers.

    Parameters
    ----------
    run, luminosity_block, event
        Integers, (events,).

    Returns
    -------
    array of uint64, (events,)

    Raises
    ------
    FoldError
        If numbers are not integers.
    """
    parts = [np.atleast_1d(np.asarray(part)) for part in (run, luminosity_block, event)]
    for name, part in zip(("run", "luminosity_block", "event"), parts, strict=True):
        if part.dtype.kind not in "ui":
            msg = f"event_hash: expected integers for {name}, got {part.dtype}; a rounded number is not an identity"
            raise FoldError(msg)
    run_, lumi_, event_ = (part.astype(np.uint64) for part in parts)
    return splitmix64(splitmix64(splitmix64(run_) ^ lumi_) ^ event_)


def as_hashes(ids: npt.ArrayLike) -> UInt64:
    """Event hashes from identities in any form.

    Parameters
    ----------
    ids
        Integers of shape (events, 3) for run, luminosity block, event; or uint64 of shape (events,) for hashes made by
        :func:`event_hash`; or other integers of shape (events,) for event numbers of run 0, block 0.

    Returns
    -------
    array of uint64, (events,)

    Raises
    ------
    FoldError
        If the shape is another, or numbers are not integers.
    """
    array: npt.NDArray[Any] = np.asarray(ids)
    if array.ndim == 1 and array.dtype == np.uint64:
        return array
    if array.ndim == 1:
        return event_hash(np.zeros(len(array), np.uint64), np.zeros(len(array), np.uint64), array)
    if array.ndim == 2 and array.shape[1] == 3:
        return event_hash(array[:, 0], array[:, 1], array[:, 2])
    msg = (
        f"ids: expected integers of shape (events, 3) for run, luminosity block, event or (events,), got {array.shape}"
    )
    raise FoldError(msg)


def salted(hashes: UInt64, purpose: Literal["outer", "inner", "tie", "unweight", "donor"], seed: int) -> UInt64:
    """Hashes of an independent family for each purpose and seed.

    Parameters
    ----------
    hashes
        Identities, (events,).
    purpose
        What the numbers decide.
    seed
        Any integer.

    Returns
    -------
    array of uint64, (events,)
    """
    return splitmix64(hashes ^ splitmix64(np.uint64(_SALTS[purpose]) ^ splitmix64(np.uint64(seed))))


def uniform(hashes: UInt64) -> npt.NDArray[np.float64]:
    """Uniform numbers with 53 bits.

    Parameters
    ----------
    hashes
        (events,).

    Returns
    -------
    array of float, (events,)
        In [0, 1).
    """
    return (hashes >> np.uint64(11)).astype(np.float64) * 2.0**-53


@dataclass(frozen=True)
class Folds:
    """Nested folds: outer ones for testing, each with inner folds of its training events for validation.

    ``order="cross"`` trains the classifier of a fold on all other folds. ``order="forward"`` trains it on the folds
    before it only: the first fold is never tested, but what is counted in a fold is then independent, given the past,
    of how its classifier was made; counts minus expectations are martingale differences, and at a given threshold their
    sum has the variance that the counts say (see :mod:`jepa_coffea.hunt.calibration` for why the cross order has more,
    and for what thresholds set per fold add at small counts).

    Raises
    ------
    FoldError
        If there are fewer than two folds, or the order is not known.
    """

    outer: int = 5
    """Folds that are scored."""
    inner: int = 4
    """Folds of the training events of each outer fold, for the choice of classifiers."""
    seed: int = 1
    """Another seed deals the events out anew."""
    order: Order = "cross"
    """Which folds train the classifier of a fold: all others, or those before it."""

    def __post_init__(self) -> None:
        for name, value in (("outer", self.outer), ("inner", self.inner)):
            if value < 2:
                msg = f"Folds: expected at least 2 {name} folds, got {value}"
                raise FoldError(msg)
        if self.order not in get_args(Order):
            msg = f"Folds: expected order {' or '.join(map(repr, get_args(Order)))}, got {self.order!r}"
            raise FoldError(msg)

    def outer_of(self, ids: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """The outer fold of each event.

        Parameters
        ----------
        ids
            See :func:`as_hashes`.

        Returns
        -------
        array of int, (events,)
            From 0 to ``outer`` - 1.
        """
        return (uniform(salted(as_hashes(ids), "outer", self.seed)) * self.outer).astype(np.int64)

    def inner_of(self, ids: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """The inner fold of each event, independent of its outer fold.

        Parameters
        ----------
        ids
            See :func:`as_hashes`.

        Returns
        -------
        array of int, (events,)
            From 0 to ``inner`` - 1.
        """
        return (uniform(salted(as_hashes(ids), "inner", self.seed)) * self.inner).astype(np.int64)

    def tested(self) -> range:
        """The outer folds that have a classifier.

        Returns
        -------
        range
            All of them, or all but the first in forward order.
        """
        return range(1 if self.order == "forward" else 0, self.outer)

    def training(self, outer: npt.NDArray[np.int64], fold: int) -> Mask:
        """Which events may train the classifier of a fold.

        Parameters
        ----------
        outer
            Outer fold of each event, (events,).
        fold
            The fold whose classifier is trained.

        Returns
        -------
        array of bool, (events,)
        """
        return outer < fold if self.order == "forward" else outer != fold
