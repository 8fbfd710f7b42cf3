"""Which jets belong to training, validation and test, and which have labels in a study of few labels."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from jepa_coffea.errors import BadFileError
from training.data.columns import UNLABELLED, JetColumns, concatenate
from training.data.readers.base import JetFile
from training.data.shards import ShardFile

Split = Literal["train", "val", "test"]


@dataclass(frozen=True)
class Segment:
    """Jets ``start:stop`` of a file."""

    file: JetFile
    start: int
    stop: int


def hashed(text: str) -> int:
    """A number that depends on a text alone.

    Parameters
    ----------
    text
        Any text.

    Returns
    -------
    int
        In [0, 2**64).
    """
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())


def process_of(path: str) -> str:
    """Name of the physics process of a file: its name without the number.

    Parameters
    ----------
    path
        Path of the file.

    Returns
    -------
    str
        As in ``HToBB`` for ``HToBB_012.root``.
    """
    return re.sub(r"[-_.]?\d+$", "", Path(path).stem) or Path(path).stem


def split_files(files: list[JetFile], split: Split, *, val: float, test: float) -> list[Segment]:
    """The jets of a split, file by file.

    Of each process about ``val`` and ``test`` of its files are held out, at least one. A process with fewer than three
    files is cut by position in each file: first training, then validation, then test. Which file goes where depends on
    the names of the files only, not on folders, order or seeds.

    Parameters
    ----------
    files
        All files of a source.
    split
        Which split.
    val, test
        Fractions for validation and test.

    Returns
    -------
    list of Segment
    """
    groups: dict[str, list[JetFile]] = defaultdict(list)
    for file in files:
        groups[process_of(file.source)].append(file)
    chosen: dict[int, Segment] = {}
    for group in groups.values():
        held_out = [max(1, round(fraction * len(group))) if fraction else 0 for fraction in (val, test)]
        if len(group) > sum(held_out):
            ranked = sorted(group, key=lambda file: (hashed(Path(file.source).name), file.source))
            parts = {
                "val": ranked[: held_out[0]],
                "test": ranked[held_out[0] : sum(held_out)],
                "train": ranked[sum(held_out) :],
            }
            chosen |= {id(file): Segment(file, 0, file.jets) for file in parts[split]}
            continue
        for file in group:
            edges = [
                0,
                file.jets - round(file.jets * val) - round(file.jets * test),
                file.jets - round(file.jets * test),
                file.jets,
            ]
            place = ("train", "val", "test").index(split)
            if edges[place + 1] > edges[place]:
                chosen[id(file)] = Segment(file, edges[place], edges[place + 1])
    return [chosen[id(file)] for file in files if id(file) in chosen]


def keys_of(file: JetFile, seed: int) -> NDArray[np.uint64]:
    """A random-looking number for each jet of a file (splitmix64).

    Parameters
    ----------
    file
        The file; its name and the position of the jet count.
    seed
        Gives other numbers.

    Returns
    -------
    ndarray
        uint64 [J].
    """
    start = np.uint64(hashed(f"{seed}/{Path(file.source).name}"))
    with np.errstate(over="ignore"):
        key = start + np.arange(1, file.jets + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return key ^ (key >> np.uint64(31))


def pick_per_class(segments: list[Segment], per_class: int, seed: int) -> list[tuple[Segment, NDArray[np.int64]]]:
    """Jets of each class: those with the smallest keys, so that fewer are always among more.

    Parameters
    ----------
    segments
        Where to look.
    per_class
        How many of each class.
    seed
        Gives other jets.

    Returns
    -------
    list of tuple
        Segments that have some, each with the positions in its file, ascending.

    Raises
    ------
    BadFileError
        If no file has labels, or a class that occurs has fewer jets than asked for.
    """
    best: dict[str, NDArray[Any]] = {}
    for number, segment in enumerate(segments):
        labels = segment.file.labels()[segment.start : segment.stop]
        keys = keys_of(segment.file, seed)[segment.start : segment.stop]
        for label in np.unique(labels[labels != UNLABELLED]):
            here = np.flatnonzero(labels == label)
            found = np.empty(len(here), dtype=CANDIDATE)
            found["key"], found["segment"], found["row"] = keys[here], number, here + segment.start
            name = segment.file.class_names[label]
            best[name] = np.sort(np.concatenate([best.get(name, found[:0]), found]), order="key")[:per_class]
    if not best:
        msg = f"{segments[0].file.path}: no labels in this file nor in the others; a subset per class needs some"
        raise BadFileError(msg)
    for name, found in best.items():
        if len(found) < per_class:
            msg = f"class {name!r} has {len(found)} jets in this split, {per_class} per class were asked for"
            raise BadFileError(msg)
    chosen = np.concatenate(list(best.values()))
    rows = [np.sort(chosen["row"][chosen["segment"] == number]) for number in range(len(segments))]
    return [(segment, found) for segment, found in zip(segments, rows, strict=True) if len(found)]


CANDIDATE = np.dtype([("key", np.uint64), ("segment", np.int64), ("row", np.int64)])
"""A jet that may be picked."""


class Picked(JetFile):
    """Some jets of a file, in memory: a labelled subset is small and read often.

    Parameters
    ----------
    file
        The file.
    rows
        Positions of the jets.
    """

    def __init__(self, file: JetFile, rows: NDArray[np.int64]) -> None:
        self.path, self.source, self.class_names = file.path, file.source, file.class_names
        self.fields = file.fields
        self.jets = len(rows)
        self.rows = rows
        self.boundaries = np.asarray([0, self.jets])
        self.columns = file.columns.take(rows) if isinstance(file, ShardFile) else _take(file, rows)

    def read(self, start: int, stop: int) -> JetColumns:
        """As of every :class:`JetFile`.

        Parameters
        ----------
        start, stop
            Positions of the first jet, and one past the last.

        Returns
        -------
        JetColumns
        """
        return self.columns.slice(start, stop)

    def labels(self) -> NDArray[np.int16]:
        """As of every :class:`JetFile`.

        Returns
        -------
        ndarray
            int16 [jets].
        """
        return self.columns.labels


def _take(file: JetFile, rows: NDArray[np.int64]) -> JetColumns:
    parts = []
    for start, stop in zip(file.boundaries[:-1], file.boundaries[1:], strict=True):
        here = rows[(rows >= start) & (rows < stop)]
        if len(here):
            parts.append(file.read(int(start), int(stop)).take(here - start))
    return concatenate(parts)
