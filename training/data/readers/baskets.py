"""ROOT branches to flat columns, basket by basket, without building an awkward array for each branch."""

from __future__ import annotations

from typing import Any

import numpy as np
import uproot
from numpy.typing import NDArray

from jepa_coffea.errors import BadFileError
from training.data import kernels


def overlapping(branch: Any, start: int, stop: int) -> list[tuple[int, int, int]]:
    """Baskets of ``branch`` with entries in ``start:stop``: number, first and one past the last entry."""
    edges = branch.entry_offsets
    first = int(np.searchsorted(edges, start, side="right")) - 1
    last = int(np.searchsorted(edges, stop, side="left"))
    return [(i, int(edges[i]), int(edges[i + 1])) for i in range(first, last)]


def layout_of(branch: Any, path: str) -> tuple[int, int, int]:
    """How a jagged branch lies in its baskets: bytes before a jet's values, bytes per value, 0 float or 1 integer."""
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
    """The bytes of ``start:stop`` of one jagged branch."""

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
        """Values per jet."""
        return np.concatenate([(stops - starts) // self.size for _, starts, stops in self.parts])

    def into(self, offsets: NDArray[np.int64], out: NDArray[Any], column: int) -> None:
        """Decode into ``out[:, column]``, where jet j has rows ``offsets[j]:offsets[j + 1]``."""
        first, integral = 0, out.dtype == np.int8
        for data, starts, stops in self.parts:
            wrong = kernels.decode(data, starts, stops, self.size, self.kind, offsets, first, out, column, integral)
            if wrong >= 0:
                msg = (
                    f"{self.path}: branch {self.name!r}, entry {self.start + wrong}: another number of particles than "
                    "the momenta have, or a value that is no small integer where charge or a flag is expected"
                )
                raise BadFileError(msg)
            first += len(starts)


def flat(branch: Any, start: int, stop: int) -> NDArray[Any]:
    """Entries ``start:stop`` of a branch with one number per jet."""
    return branch.array(entry_start=start, entry_stop=stop, library="np")
