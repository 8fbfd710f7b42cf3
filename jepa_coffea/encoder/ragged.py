"""What all encoders share: ragged jets in, checked and cut; micro-batches through a session; numpy out, in order."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jepa_coffea.encoder.batching import MicroBatch, keep_hardest
from jepa_coffea.encoder.engine import Metrics, run
from jepa_coffea.encoder.lanes import Inputs, Lane
from jepa_coffea.encoder.session import Model


class RaggedEncoder(ABC):
    """An open model that takes jets of any multiplicity.

    Parameters
    ----------
    model
        The open file.
    fields
        Meaning and order of the columns of the particles it is called with.
    longest, shortest
        Most particles of a jet that the model takes, and fewest slots.
    widths
        Outputs to fetch and their widths.
    threads
        Micro-batches in flight; None for the provider's default.
    loaded
        Whether the model was opened for this encoder.
    """

    def __init__(
        self,
        model: Model,
        *,
        fields: tuple[str, ...],
        longest: int,
        shortest: int,
        widths: dict[str, int],
        threads: int | None,
        loaded: bool,
    ) -> None:
        self.model = model
        self.fields = fields
        self.longest, self.shortest = longest, shortest
        self.widths = widths
        self.threads = threads
        self._counted = Metrics(loads=int(loaded))

    @abstractmethod
    def feed(self, batch: MicroBatch, lane: Lane, jets: Jets) -> Inputs:
        """The model's inputs for a micro-batch, in the buffers of the lane."""

    @property
    def provider(self) -> str:
        """The provider in use: ``cuda``, ``tensorrt`` or ``cpu``."""
        return self.model.options.provider

    def metrics(self) -> dict[str, Any]:
        """What this instance did; see :class:`jepa_coffea.encoder.engine.Metrics`."""
        return self._counted.as_dict() | {"provider": self.provider}

    def __call__(self, particles: ArrayLike, counts: ArrayLike, jets: ArrayLike) -> dict[str, NDArray[np.float32]]:
        """Embed jets; the result depends on nothing but the jet itself, beyond float rounding.

        Parameters
        ----------
        particles
            [sum(counts), field], all particles one jet after the other, in the order of ``fields``.
        counts
            Particles of each jet, [jet]. More than the model takes: the hardest are used.
        jets
            [jet, 4], px py pz energy in GeV.

        Returns
        -------
        dict
            ``embedding`` float32 [jet, dim] and, if the model has classes, ``logits`` float32 [jet, class]. A jet
            without particles or with a non-finite input has NaN.

        Raises
        ------
        TypeError
            If an array is not numeric, or ``counts`` not integer.
        ValueError
            If the shapes do not belong together.
        ProviderError
            If the device has no memory for a single jet.
        """
        begin = time.perf_counter()
        flat, number, axis = checked(particles, counts, jets, len(self.fields))
        good = finite_jets(flat, number, axis)
        usable = np.where(good, number, 0)
        starts = np.cumsum(number) - number
        truncated = usable > self.longest
        if truncated.any():
            keep, number = keep_hardest(self._hardness(flat), number, self.longest)
            flat = flat[keep]
            starts = np.cumsum(number) - number
            usable = np.where(good, number, 0)

        chunk = Jets(flat, starts, usable, axis)
        out = run(
            self.model,
            lambda batch, lane: self.feed(batch, lane, chunk),
            usable,
            self.widths,
            longest=self.longest,
            shortest=self.shortest,
            threads=self.threads,
            metrics=self._counted,
        )
        self._counted.add(
            jets=len(number),
            empty=int(np.count_nonzero(number == 0)),
            non_finite=int(np.count_nonzero(~good)),
            truncated=int(np.count_nonzero(truncated)),
            seconds=time.perf_counter() - begin,
        )
        return out

    def _hardness(self, flat: NDArray[np.float32]) -> NDArray[np.float32]:
        """Transverse momentum of each particle."""
        px, py = (flat[:, self.fields.index(name)] for name in ("px", "py"))
        return np.hypot(px, py)


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
