"""ROOT branches to flat columns, basket by basket, without building an awkward array for each branch."""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import uproot
from numpy.typing import NDArray

from jepa_coffea.errors import BadFileError
from training.data import kernels


def overlapping(branch: Any, start: int, stop: int) -> list[tuple[int, int, int]]:
    """Baskets of a branch that hold some entries.

    Parameters
    ----------
    branch
        The branch.
    start, stop
        First entry, and one past the last.

    Returns
    -------
    list of tuple
        Number of the basket, its first entry, and one past its last.
    """
    edges = branch.entry_offsets
    first = int(np.searchsorted(edges, start, side="right")) - 1
    last = int(np.searchsorted(edges, stop, side="left"))
    return [(i, int(edges[i]), int(edges[i + 1])) for i in range(first, last)]


def layout_of(branch: Any, path: str) -> tuple[int, int, int]:
    """How a jagged branch lies in its baskets.

    Parameters
    ----------
    branch
        The branch.
    path
        Its file, for messages.

    Returns
    -------
    tuple of int
        Bytes before a jet's values, bytes of a value, and 0 for floating point or 1 for integer.

    Raises
    ------
    BadFileError
        If it is no list of numbers.
    """
    interpretation = branch.interpretation
    if not isinstance(interpretation, uproot.AsJagged) or not isinstance(interpretation.content, uproot.AsDtype):
        msg = f"{path}: branch {branch.name!r} is a {branch.typename}, expected a list of numbers per jet"
        raise BadFileError(msg)
    dtype = interpretation.content.from_dtype
    if dtype.shape or (dtype.kind not in "fib") or (dtype.itemsize > 1 and dtype.byteorder != ">"):
        msg = f"{path}: branch {branch.name!r} holds {branch.typename}, expected float, int or bool"
        raise BadFileError(msg)
    return interpretation.header_bytes, dtype.itemsize, 0 if dtype.kind == "f" else 1


class Baskets:
    """The bytes of some entries of a jagged branch.

    Parameters
    ----------
    branch
        The branch.
    start, stop
        First entry, and one past the last.
    path
        Its file, for messages.
    """

    def __init__(self, branch: Any, start: int, stop: int, path: str) -> None:
        self.path, self.name, self.start = path, branch.name, start
        self.header, self.size, self.kind = layout_of(branch, path)
        self.parts: list[tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]] = []
        for number, first, last in overlapping(branch, start, stop):
            basket = branch.basket(number)
            edges = np.asarray(basket.byte_offsets, np.int64)
            wanted = slice(max(start, first) - first, min(stop, last) - first)
            data = np.asarray(basket.data)
            if edges[-1] > len(data):
                msg = f"{path}: a basket of branch {branch.name!r} ends before its last entry; the file is damaged"
                raise BadFileError(msg)
            self.parts.append((data, edges[:-1][wanted] + self.header, edges[1:][wanted]))

    def counts(self) -> NDArray[np.int64]:
        """Values of each jet.

        Returns
        -------
        ndarray
            int64 [jets].
        """
        return np.concatenate([(stops - starts) // self.size for _, starts, stops in self.parts])

    def into(self, offsets: NDArray[np.int64], out: NDArray[Any], column: int) -> None:
        """Decode into a column.

        Parameters
        ----------
        offsets
            int64 [jets + 1]; rows of jet j are ``offsets[j]:offsets[j + 1]``.
        out
            [P, C], gets the values.
        column
            Which column of ``out``.

        Raises
        ------
        BadFileError
            If jets have other numbers of values, or a value does not fit.
        """
        first, integral = 0, out.dtype == np.int8
        for data, starts, stops in self.parts:
            wrong = kernels.decode(data, starts, stops, self.size, self.kind, offsets, first, out, column, integral)
            if wrong >= 0:
                raise _mismatch(self.path, self.name, self.start + wrong)
            first += len(starts)


class Lists:
    """The same of a field of an RNTuple, which uproot decodes.

    Parameters
    ----------
    field
        The field.
    start, stop
        First entry, and one past the last.
    path
        Its file, for messages.
    """

    def __init__(self, field: Any, start: int, stop: int, path: str) -> None:
        self.path, self.name, self.start = path, field.name, start
        self.values = field.array(entry_start=start, entry_stop=stop)

    def counts(self) -> NDArray[np.int64]:
        """Values of each jet.

        Returns
        -------
        ndarray
            int64 [jets].
        """
        return np.asarray(ak.num(self.values, axis=1), np.int64)

    def into(self, offsets: NDArray[np.int64], out: NDArray[Any], column: int) -> None:
        """Copy into a column.

        Parameters
        ----------
        offsets
            int64 [jets + 1]; rows of jet j are ``offsets[j]:offsets[j + 1]``.
        out
            [P, C], gets the values.
        column
            Which column of ``out``.

        Raises
        ------
        BadFileError
            If jets have other numbers of values, or a value does not fit.
        """
        wrong = np.flatnonzero(self.counts() != np.diff(offsets))
        if len(wrong) == 0:
            values = np.asarray(ak.to_numpy(ak.flatten(self.values, axis=1)))
            out[:, column] = values
            if out.dtype != np.int8 or np.array_equal(out[:, column], values):
                return
            place = np.flatnonzero(out[:, column] != values)[0]
            wrong = np.searchsorted(offsets, [place], side="right") - 1
        raise _mismatch(self.path, self.name, self.start + int(wrong[0]))


def lists_of(branch: Any, start: int, stop: int, path: str) -> Baskets | Lists:
    """Some entries of a jagged branch of a TTree, or of a field of an RNTuple.

    Parameters
    ----------
    branch
        The branch or field.
    start, stop
        First entry, and one past the last.
    path
        Its file, for messages.

    Returns
    -------
    Baskets or Lists
    """
    return (Baskets if isinstance(branch, uproot.TBranch) else Lists)(branch, start, stop, path)


def _mismatch(path: str, name: str, entry: int) -> BadFileError:
    return BadFileError(
        f"{path}: branch {name!r}, entry {entry}: another number of particles than the momenta have, or a value that "
        "is no small integer where charge or a flag is expected"
    )


def flat(branch: Any, start: int, stop: int) -> NDArray[Any]:
    """Some entries of a branch with one number for each jet.

    Parameters
    ----------
    branch
        The branch.
    start, stop
        First entry, and one past the last.

    Returns
    -------
    ndarray
    """
    return branch.array(entry_start=start, entry_stop=stop, library="np")
