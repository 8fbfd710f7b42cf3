"""The order in which an epoch goes through the jets: blocks of neighbours, shuffled, a window of them at a time.

Everything is a function of the files, the seed and the epoch, so that any process can know any part of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np

from training.data.splits import Segment


@dataclass(frozen=True)
class JetRange:
    """Jets ``start:stop`` of file number ``file``, read together."""

    file: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


def blocks_of(segment: Segment, file: int) -> list[JetRange]:
    """The blocks of a segment, cut where the file can be cut at no cost.

    Parameters
    ----------
    segment
        Jets of a file.
    file
        Number of the file.

    Returns
    -------
    list of JetRange
    """
    inner = segment.file.boundaries
    inner = inner[(inner > segment.start) & (inner < segment.stop)]
    edges = [segment.start, *(int(edge) for edge in inner), segment.stop]
    return [JetRange(file, start, stop) for start, stop in pairwise(edges)]


@dataclass(frozen=True)
class Stream:
    """The blocks of one source, gone through ``weight`` times per epoch."""

    blocks: tuple[JetRange, ...]
    weight: Fraction
    number: int

    def epoch(self, epoch: int, seed: int) -> list[JetRange]:
        """The stretch of this epoch of an endless sequence of passes, each in its own order.

        With weight 1 an epoch is one pass; with 1/2 two epochs are one, whatever the seed no jet is lost or repeated
        within a pass.

        Parameters
        ----------
        epoch
            Its number, from 0.
        seed
            Of the order.

        Returns
        -------
        list of JetRange
        """
        jets = sum(len(block) for block in self.blocks)
        start, stop = (int(self.weight * jets * e) for e in (epoch, epoch + 1))
        found = []
        for cycle in range(start // jets, -(-stop // jets)):
            place = cycle * jets
            for k in np.random.default_rng([seed, self.number, cycle]).permutation(len(self.blocks)):
                block = self.blocks[k]
                first, last = max(start - place, 0), min(stop - place, len(block))
                if first < last:
                    found.append(JetRange(block.file, block.start + first, block.start + last))
                place += len(block)
        return found


@dataclass(frozen=True)
class EpochPlan:
    """What an epoch reads, window by window."""

    streams: tuple[Stream, ...]
    window: int
    """Jets that are shuffled together, about."""
    seed: int
    least: int = 1
    """No window has fewer jets, if there are so many: one that would joins the one before."""

    def jets(self, epoch: int) -> int:
        """Number of jets in an epoch.

        Parameters
        ----------
        epoch
            Its number, from 0.

        Returns
        -------
        int
        """
        total = 0
        for stream in self.streams:
            jets = sum(len(block) for block in stream.blocks)
            total += int(stream.weight * jets * (epoch + 1)) - int(stream.weight * jets * epoch)
        return total

    def windows(self, epoch: int) -> list[list[JetRange]]:
        """The blocks of each window.

        Parameters
        ----------
        epoch
            Its number, from 0.

        Returns
        -------
        list of list of JetRange
            About equally many jets in all windows.
        """
        blocks = [block for stream in self.streams for block in stream.epoch(epoch, self.seed)]
        total = sum(len(block) for block in blocks)
        windows = max(1, round(total / self.window))
        found: list[list[JetRange]] = [[] for _ in range(windows)]
        seen = 0
        for k in np.random.default_rng([self.seed, epoch]).permutation(len(blocks)):
            found[min(seen * windows // total, windows - 1)].append(blocks[k])
            seen += len(blocks[k])
        joined: list[list[JetRange]] = []
        for window in found:
            if joined and min(_jets(joined[-1]), _jets(window)) < self.least:
                joined[-1].extend(window)
            elif window:
                joined.append(window)
        return joined


def _jets(blocks: list[JetRange]) -> int:
    return sum(len(block) for block in blocks)
