"""What every reader offers: jets of one file, by position."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jepa_coffea.constituents.record import FIELDS, LayoutError
from jepa_coffea.errors import BadFileError, JepaCoffeaError
from jepa_coffea.files import storage_problem
from training.data.columns import REASONS, JetColumns, faults

SMALLEST_BLOCK = 1024
"""Blocks of jets that are read together have at least this many, where the file has."""

LARGEST_BLOCK = 16384
"""Blocks are not larger than this, so that a few of them fit in memory at once."""


class EmptyFileError(BadFileError):
    """A file of the right form without a jet in it; left out beside files that have some."""


class JetFile(ABC):
    """An open file with jets in it. Reading is safe from several threads."""

    path: str
    """Where it is, as errors name it."""
    source: str
    """The file that the jets came from first; another than ``path`` for prepared shards."""
    jets: int
    """How many jets it holds."""
    fields: tuple[str, ...] = FIELDS
    """What it knows of a particle; columns of other fields hold 0."""
    class_names: tuple[str, ...] = ()
    """What the labels mean; empty for jets of real data."""
    boundaries: NDArray[np.int64]
    """Positions between which jets are read together at no extra cost: 0 first, ``jets`` last, ascending."""

    @abstractmethod
    def read(self, start: int, stop: int) -> JetColumns:
        """Some neighbouring jets, as they are: no jet is left out.

        Parameters
        ----------
        start, stop
            Positions of the first jet, and one past the last.

        Returns
        -------
        JetColumns

        Raises
        ------
        BadFileError
            If the file cannot be read there.
        """

    @abstractmethod
    def labels(self) -> NDArray[np.int16]:
        """The label of each jet, without reading particles where the format allows.

        Returns
        -------
        ndarray
            int16 [jets].
        """


def usable(columns: JetColumns, start: int) -> tuple[JetColumns, dict[str, list[int]]]:
    """Leave out jets that cannot be used.

    Parameters
    ----------
    columns
        Jets of a file.
    start
        Position of the first in the file.

    Returns
    -------
    tuple
        What is left, and for each reason (a value of ``REASONS``) the positions in the file of the jets left out.
    """
    fault = faults(columns)
    if not fault.any():
        return columns, {}
    left_out = {why: [start + int(j) for j in np.flatnonzero(fault == code)] for code, why in REASONS.items()}
    return columns.take(np.flatnonzero(fault == 0)), {why: where for why, where in left_out.items() if where}


def describe(path: str, left_out: dict[str, list[int]]) -> str:
    """Message for jets that cannot be used.

    Parameters
    ----------
    path
        Their file.
    left_out
        Reason to positions.

    Returns
    -------
    str
    """
    first = {
        why: ", ".join(map(str, where[:5])) + (", ..." if len(where) > 5 else "") for why, where in left_out.items()
    }
    parts = [f"{len(where)} with {why} (jets {first[why]})" for why, where in left_out.items()]
    return f"{path}: jets that cannot be used: {'; '.join(parts)}. Leave them out with --skip-bad (skip_bad: true)"


def even_blocks(boundaries: NDArray[np.int64]) -> NDArray[np.int64]:
    """Join stretches that are shorter than ``SMALLEST_BLOCK`` and cut those longer than ``LARGEST_BLOCK``.

    Parameters
    ----------
    boundaries
        Ascending positions, int64.

    Returns
    -------
    ndarray
        As :attr:`JetFile.boundaries`.
    """
    joined = [0]
    for boundary in boundaries[1:]:
        while boundary - joined[-1] > LARGEST_BLOCK:
            pieces = -(-(boundary - joined[-1]) // LARGEST_BLOCK)
            joined.append(joined[-1] + (boundary - joined[-1]) // pieces)
        if boundary - joined[-1] >= SMALLEST_BLOCK:
            joined.append(int(boundary))
    if joined[-1] != boundaries[-1]:
        joined.append(int(boundaries[-1]))
    return np.asarray(joined, np.int64)


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Turn whatever a library raises about a file into a BadFileError that names it.

    The cause is left out on purpose: it may be an OSError, which readers elsewhere skip without a word.

    Parameters
    ----------
    path
        The file.

    Yields
    ------
    None

    Raises
    ------
    BadFileError
        Whenever something is raised inside.
    """
    try:
        yield
    except BadFileError:
        raise
    except LayoutError as error:
        msg = str(error) if path in str(error) else f"{path}: {error}"
        raise BadFileError(msg) from None
    except Exception as error:  # noqa: BLE001  libraries raise anything from OSError to zlib.error and AssertionError
        text = str(error).strip().splitlines() or [""]
        msg = f"{path}: cannot be read ({type(error).__name__}: {text[0]})"
        raise BadFileError(msg) from None


class OutputError(JepaCoffeaError, ValueError):
    """Shards that cannot be written; unlike bad input this is never skipped."""


@contextmanager
def writing_shard(output: Path, source: str) -> Iterator[None]:
    """Turn a failure to write (a full disk) into an OutputError that says where and what was being written.

    Parameters
    ----------
    output
        Folder of the shards.
    source
        The file that is being prepared.

    Yields
    ------
    None

    Raises
    ------
    OutputError
        When writing fails.
    """
    try:
        yield
    except OSError as error:
        why = storage_problem(error, output) or f"{output}: {error.strerror or error}"
        msg = f"cannot write the shard of {source}, nothing of it was kept: {why}"
        raise OutputError(msg) from None
