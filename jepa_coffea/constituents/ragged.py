"""Jets of events as flat columns: what layouts give and encoders take; nested only where a user sees them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from jepa_coffea.constituents.columns import counts_of, flat
from jepa_coffea.constituents.record import JET_FIELDS

Index = NDArray[np.int64]
Table = Mapping[str, NDArray[Any]]
"""Field name to its values, all of one length."""


@dataclass(frozen=True)
class Nesting:
    """How jets lie in events: a list of jets per event or one jet per entry, with None where a mask left a gap."""

    per_event: Index
    """Jets of each event, gaps included; [event]."""
    single: bool = False
    """One jet per entry instead of a list; ``per_event`` is then 1 everywhere."""
    gaps: NDArray[np.bool_] | None = None
    """Which jets are None, [jet, gaps included]; None for jets without an option type."""

    @classmethod
    def one_each(cls, entries: int) -> Nesting:
        """One jet per entry.

        Parameters
        ----------
        entries
            How many.

        Returns
        -------
        Nesting
        """
        return cls(np.ones(entries, np.int64), single=True)

    @property
    def event(self) -> Index:
        """Event of each jet that is there, [jet].

        Returns
        -------
        numpy.ndarray
        """
        event = np.repeat(np.arange(len(self.per_event)), self.per_event)
        return event if self.gaps is None else event[~self.gaps]

    def nest(self, rows: ak.Array) -> ak.Array:
        """Rows of jets in the structure of their events.

        Parameters
        ----------
        rows
            One row a jet that is there, of any type.

        Returns
        -------
        ak.Array
            ``events * jets`` or ``entries`` of such rows, None in the gaps.
        """
        if self.gaps is not None:
            rows = rows[ak.mask(np.cumsum(~self.gaps) - 1, ~self.gaps)]
        return rows if self.single else ak.unflatten(rows, self.per_event)


@dataclass(frozen=True)
class Ragged:
    """Jets with their particles, as flat columns.

    Examples
    --------
    Two events, of which the second has no jet; the jets of the first have two particles and none:

    >>> import numpy as np
    >>> from jepa_coffea.constituents import Ragged
    >>> jets = Ragged({"px": np.array([3.0, 4.0])}, counts=np.array([2, 0]), nesting=Nesting(np.array([2, 0])))
    >>> jets.nest(["px"]).px.to_list()
    [[[3.0, 4.0], []], []]
    """

    particles: Table
    """Field to values, [particle], the particles of one jet after those of the other."""
    counts: Index
    """Particles of each jet, [jet]; jets without any included."""
    nesting: Nesting
    """How the jets lie in events."""
    jets: Table = field(default_factory=dict)
    """``px py pz energy`` of the jets in GeV, [jet]; layouts leave this to their own reader of jets."""

    @classmethod
    def of(cls, particles: Mapping[str, ak.Array]) -> Ragged:
        """From columns that are nested already.

        Parameters
        ----------
        particles
            Field to ``events * jets * particles``, or to ``jets * particles`` for files with one jet per entry.

        Returns
        -------
        Ragged
        """
        like = next(iter(particles.values()))
        columns = {name: flat(column) for name, column in particles.items()}
        if like.ndim == 2:
            return cls(columns, counts_of(like), Nesting.one_each(len(like)))
        return cls(columns, counts_of(ak.flatten(like, axis=1)), Nesting(counts_of(like)))

    @property
    def jet(self) -> Index:
        """Jet of each particle, [particle].

        Returns
        -------
        numpy.ndarray
        """
        return np.repeat(np.arange(len(self.counts)), self.counts)

    def take(self, jets: Index, nesting: Nesting) -> Ragged:
        """Some of the jets, in any order, without their four-momenta.

        Parameters
        ----------
        jets
            Their positions, [jet].
        nesting
            How they lie in events.

        Returns
        -------
        Ragged
        """
        index, counts = particles_of(jets, self.counts)
        return Ragged({name: values[index] for name, values in self.particles.items()}, counts, nesting)

    def hardest_first(self) -> Ragged:
        """The same with the particles of each jet in descending pT, those of equal pT in descending pz and px.

        So a cut to the hardest particles does not depend on their order in the file.

        Returns
        -------
        Ragged
        """
        jet, pt = self.jet, np.hypot(self.particles["px"], self.particles["py"])
        order = hardest_first(jet, pt)
        tied = np.flatnonzero((jet[order][1:] == jet[order][:-1]) & (pt[order][1:] == pt[order][:-1]))
        if len(tied):
            rows = np.union1d(tied, tied + 1)  # places of particles that share their pT with a neighbour
            again = order[rows]
            keys = (-self.particles["px"][again], -self.particles["pz"][again], -pt[again], jet[again])
            order[rows] = again[np.lexsort(keys)]
        return replace(self, particles={name: values[order] for name, values in self.particles.items()})

    def nest(self, fields: Collection[str]) -> ak.Array:
        """Particles as a user sees them.

        Parameters
        ----------
        fields
            Which, in this order.

        Returns
        -------
        ak.Array
            ``events * jets * particles`` (or ``entries * particles``) of float32 records.
        """
        return self.nesting.nest(ak.unflatten(record({name: self.particles[name] for name in fields}), self.counts))


def record(columns: Table) -> ak.Array:
    """Flat columns as records.

    Parameters
    ----------
    columns
        Field to values, all of one length.

    Returns
    -------
    ak.Array
        Records with float32 fields.
    """
    return ak.zip({name: np.asarray(values, dtype=np.float32) for name, values in columns.items()})


def starts(counts: Index) -> Index:
    """Position of the first entry of each list in the flattened array.

    Parameters
    ----------
    counts
        Entries of each list.

    Returns
    -------
    numpy.ndarray
        One position a list.
    """
    return np.cumsum(counts) - counts


def particles_of(jets: Index, counts: Index) -> tuple[Index, Index]:
    """Positions of the particles of some jets, one jet after the other.

    Parameters
    ----------
    jets
        Positions among all jets.
    counts
        Particles of each of all jets.

    Returns
    -------
    tuple of numpy.ndarray
        Positions of the particles, and how many each of ``jets`` has.
    """
    sizes = counts[jets]
    start = starts(counts)[jets] - starts(sizes)
    return np.repeat(start, sizes) + np.arange(sizes.sum()), sizes


def hardest_first(jet: Index, pt: NDArray[np.float32]) -> Index:
    """Order of particles by jet, then by descending pT; equal ones stay as they are, and NaN come last.

    Floats that are not negative are ordered as their bits are, so that both go into one integer: eight times faster
    than sorting by two keys.

    Parameters
    ----------
    jet
        Jet of each particle, ascending.
    pt
        Transverse momentum of each particle, GeV.

    Returns
    -------
    numpy.ndarray
        Positions of the particles in their new order.
    """
    bits = np.where(np.isnan(pt), np.float32(0), pt).astype(np.float32).view(np.uint32)
    last = np.uint32(2**32 - 1)
    key = (jet.astype(np.uint64) << np.uint64(32)) | np.where(np.isnan(pt), last, last - 1 - bits).astype(np.uint64)
    return np.argsort(key, kind="stable")


class JetArrays(NamedTuple):
    """The arguments of an encoder."""

    particles: NDArray[np.float32]
    """[sum(counts), field]"""
    counts: NDArray[np.int64]
    """Particles of each jet."""
    axes: NDArray[np.float32]
    """[jet, 4], px py pz energy in GeV."""


def arrays_of(jets: Ragged, fields: tuple[str, ...]) -> JetArrays:
    """Columns side by side.

    Parameters
    ----------
    jets
        Jets with their particles and four-momenta.
    fields
        Of a particle, in the order in which the encoder takes them; those that the particles lack are 0.

    Returns
    -------
    JetArrays
    """
    particles = np.zeros((int(jets.counts.sum()), len(fields)), dtype=np.float32)
    for position, name in enumerate(fields):
        if name in jets.particles:
            particles[:, position] = jets.particles[name]
    axes = np.stack([np.asarray(jets.jets[name], np.float32) for name in JET_FIELDS], axis=1)
    return JetArrays(particles, jets.counts, axes)
