"""A chunk of ragged jets: what comes in, checked; what goes out, in order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jepa_coffea.encoder.batching import MicroBatch, gather_index
from jepa_coffea.encoder.bindings import Outputs


@dataclass(frozen=True)
class Jets:
    """A chunk of checked jets."""

    particles: NDArray[np.float32]
    """[particle, field]"""
    starts: NDArray[np.int64]
    """Row of the first particle of each jet."""
    counts: NDArray[np.int64]
    """Particles of each jet to use; 0 for those that cannot be used."""
    axes: NDArray[np.float32]
    """[jet, 4], px py pz energy in GeV."""

    def index(self, batch: MicroBatch) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Row of the particle in each slot of a micro-batch, [jet, slot], and which slots have one."""
        return gather_index(self.starts[batch.jets], self.counts[batch.jets], batch.length)


class Results:
    """Outputs of a chunk, NaN for what did not run.

    Parameters
    ----------
    jets
        The chunk.
    widths
        Names of the outputs and their width.
    per_particle
        Those with a row a particle instead of a row a jet.
    """

    def __init__(self, jets: Jets, widths: dict[str, int], per_particle: tuple[str, ...]) -> None:
        self.jets = jets
        self.per_particle = per_particle
        rows = {name: len(jets.particles if name in per_particle else jets.counts) for name in widths}
        self.values = {name: np.full((rows[name], widths[name]), np.nan, dtype=np.float32) for name in widths}

    def store(self, batch: MicroBatch, outputs: Outputs) -> None:
        """Put the outputs of a micro-batch, [jet, width] or [jet, slot, width], in their places."""
        for name, values in outputs.items():
            if name in self.per_particle:
                index, mask = self.jets.index(batch)
                self.values[name][index[mask]] = values[mask]
            else:
                self.values[name][batch.jets] = values


def checked(
    particles: ArrayLike, counts: ArrayLike, jets: ArrayLike, width: int
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
    """The three arrays as contiguous float32, int64, float32, or a TypeError or ValueError that names what is wrong."""
    flat, number, axis = np.asarray(particles), np.asarray(counts), np.asarray(jets)
    for name, array in (("particles", flat), ("jets", axis)):
        if array.dtype.kind not in "fiu":
            msg = f"{name}: expected real numbers, got dtype {array.dtype}"
            raise TypeError(msg)
    if number.dtype.kind not in "iu" and number.size:
        msg = f"counts: expected integers, got dtype {number.dtype}"
        raise TypeError(msg)
    if number.ndim != 1 or (number < 0).any():
        msg = f"counts: expected one number >= 0 per jet, got shape {number.shape}, minimum {number.min(initial=0)}"
        raise ValueError(msg)
    total = int(number.sum())
    if flat.shape != (total, width):
        msg = f"particles: expected shape (sum(counts), fields) = {(total, width)}, got {flat.shape}"
        raise ValueError(msg)
    if axis.shape != (len(number), 4):
        msg = f"jets: expected shape (jets, 4) = {(len(number), 4)}, got {axis.shape}"
        raise ValueError(msg)
    with np.errstate(over="ignore"):  # beyond float32 is infinite, which is found and counted
        return (
            np.ascontiguousarray(flat, dtype=np.float32),
            number.astype(np.int64),
            np.ascontiguousarray(axis, dtype=np.float32),
        )


def finite_jets(flat: NDArray[np.float32], counts: NDArray[np.int64], jets: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which jets have only finite inputs, their own four-momentum included."""
    good: NDArray[np.bool_] = np.all(np.isfinite(jets), axis=1)
    bad_rows = np.flatnonzero(~np.isfinite(flat).all(axis=1))
    good[np.searchsorted(np.cumsum(counts), bad_rows, side="right")] = False
    return good
