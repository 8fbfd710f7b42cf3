"""Jets as flat columns: the form in which they are read, stored, shuffled and packed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jepa_coffea.constituents.record import DISPLACEMENT, FIELDS, IDENTITY, JET_FIELDS, KINEMATICS
from training.data import kernels

GROUPS: dict[str, tuple[tuple[str, ...], str]] = {
    "kinematics": (KINEMATICS, "<f4"),
    "identity": (IDENTITY, "|i1"),
    "displacement": (DISPLACEMENT, "<f4"),
}
"""Particle fields that are stored side by side, and how: all without loss, as charge and flags are small integers."""

OBSERVABLES = ("pt", "eta", "mass", "softdrop_mass", "tau1", "tau2", "tau3", "tau4", "n_particles")
"""Label-free observables kept with each jet, GeV where they have a unit; NaN where a source does not give one."""

UNLABELLED = -1
"""Label of a jet whose class is not known."""

assert sum((fields for fields, _ in GROUPS.values()), ()) == FIELDS


@dataclass(frozen=True, kw_only=True)
class JetColumns:
    """Some jets. Particle columns hold all jets one after the other, in descending pT within a jet."""

    offsets: NDArray[np.int64]
    """[J + 1]; particles of jet j are rows ``offsets[j]:offsets[j + 1]`` of the particle columns."""
    kinematics: NDArray[np.float32]
    """[P, 4], see GROUPS."""
    identity: NDArray[np.int8]
    """[P, 6]."""
    displacement: NDArray[np.float32]
    """[P, 4]."""
    jets: NDArray[np.float32]
    """[J, 4], px py pz energy in GeV."""
    labels: NDArray[np.int16]
    """[J], index into the class names of the file, or UNLABELLED."""
    observables: NDArray[np.float32]
    """[J, K], see OBSERVABLES."""
    subjet: NDArray[np.int8] | None = None
    """[P], index of the particle's Cambridge/Aachen subjet, when asked for."""

    def __len__(self) -> int:
        return len(self.jets)

    @property
    def counts(self) -> NDArray[np.int64]:
        """Particles of each jet.

        Returns
        -------
        ndarray
            int64 [J].
        """
        return np.diff(self.offsets)

    @property
    def nbytes(self) -> int:
        """Memory that the columns take.

        Returns
        -------
        int
            Bytes.
        """
        return sum(array.nbytes for array in self.arrays().values())

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The columns by name.

        Returns
        -------
        dict
            Name to array, without ``subjet`` when there is none.
        """
        found = {name: getattr(self, name) for name in (*PARTICLE_COLUMNS, *JET_COLUMNS, "offsets", "subjet")}
        return {name: array for name, array in found.items() if array is not None}

    def slice(self, start: int, stop: int) -> JetColumns:
        """Some neighbouring jets, without copying particles.

        Parameters
        ----------
        start, stop
            Positions of the first jet, and one past the last.

        Returns
        -------
        JetColumns
        """
        first, last = self.offsets[start], self.offsets[stop]
        cut = {name: getattr(self, name)[first:last] for name in PARTICLE_COLUMNS}
        cut |= {name: getattr(self, name)[start:stop] for name in JET_COLUMNS}
        subjet = None if self.subjet is None else self.subjet[first:last]
        return JetColumns(offsets=self.offsets[start : stop + 1] - first, subjet=subjet, **cut)

    def take(self, rows: NDArray[np.int64]) -> JetColumns:
        """Some jets, copied.

        Parameters
        ----------
        rows
            Positions of the jets, in the wanted order.

        Returns
        -------
        JetColumns
        """
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(self.offsets[rows + 1] - self.offsets[rows], out=offsets[1:])
        taken = {}
        for name in (*PARTICLE_COLUMNS, "subjet"):
            column = getattr(self, name)
            if column is not None:
                taken[name] = np.empty((offsets[-1], *column.shape[1:]), column.dtype)
                kernels.gather(rows, self.offsets, _as_rows(column), offsets, _as_rows(taken[name]))
        return JetColumns(offsets=offsets, **taken, **{name: getattr(self, name)[rows] for name in JET_COLUMNS})

    def with_labels(self, table: NDArray[np.int16]) -> JetColumns:
        """The same jets with other numbers for their classes.

        Parameters
        ----------
        table
            New number of each class; unlabelled jets stay so.

        Returns
        -------
        JetColumns
        """
        labels = np.where(self.labels == UNLABELLED, UNLABELLED, table[self.labels]).astype(np.int16)
        return replace(self, labels=labels)


PARTICLE_COLUMNS = tuple(GROUPS)
"""Columns with one row per particle, beside the optional ``subjet``."""

JET_COLUMNS = ("jets", "labels", "observables")
"""Columns with one row per jet."""


def _as_rows(column: NDArray[Any]) -> NDArray[Any]:
    """[P] as [P, 1], so that one kernel serves all columns."""
    return column if column.ndim == 2 else column[:, None]


def concatenate(parts: Sequence[JetColumns]) -> JetColumns:
    """All jets of several columns, one after the other, copied.

    Parameters
    ----------
    parts
        At least one; ``subjet`` is kept if all have it.

    Returns
    -------
    JetColumns
    """
    merged = {name: np.concatenate([getattr(part, name) for part in parts]) for name in PARTICLE_COLUMNS + JET_COLUMNS}
    starts = np.cumsum([0, *(int(part.offsets[-1]) for part in parts)])
    offsets = np.concatenate([np.zeros(1, np.int64), *(p.offsets[1:] + s for p, s in zip(parts, starts, strict=False))])
    subjets = [part.subjet for part in parts if part.subjet is not None]
    subjet = np.concatenate(subjets) if len(subjets) == len(parts) else None
    return JetColumns(offsets=offsets, subjet=subjet, **merged)


def empty(jets: int, particles: int) -> dict[str, NDArray[Any]]:
    """Uninitialised arrays for :class:`JetColumns`, with no labels and NaN observables.

    Parameters
    ----------
    jets, particles
        How many.

    Returns
    -------
    dict
        Arrays by name, without ``offsets``.
    """
    arrays: dict[str, NDArray[Any]] = {
        name: np.empty((particles, len(fields)), kind) for name, (fields, kind) in GROUPS.items()
    }
    arrays["jets"] = np.empty((jets, len(JET_FIELDS)), np.float32)
    arrays["labels"] = np.full(jets, UNLABELLED, np.int16)
    arrays["observables"] = np.full((jets, len(OBSERVABLES)), np.nan, np.float32)
    return arrays


REASONS = {
    kernels.NO_PARTICLES: "no particles",
    kernels.NOT_FINITE: "a value that is not finite",
    kernels.NO_LABEL: "not exactly one label",
}
"""Why a jet cannot be used."""


def faults(columns: JetColumns) -> NDArray[np.uint8]:
    """What is wrong with each jet.

    Parameters
    ----------
    columns
        Jets.

    Returns
    -------
    ndarray
        uint8 [J]: 0 for nothing, else a key of ``REASONS``.
    """
    return kernels.inspect(columns.offsets, columns.kinematics, columns.displacement, columns.jets)


def order_by_pt(columns: JetColumns) -> None:
    """Put the particles of each jet in descending pT, in place; a stable sort, and no work where they already are.

    Parameters
    ----------
    columns
        Jets; their particle columns are changed.
    """
    subjet = columns.subjet if columns.subjet is not None else np.empty(0, np.int8)
    kernels.order(columns.offsets, columns.kinematics, columns.identity, columns.displacement, subjet)
