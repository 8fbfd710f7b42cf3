"""Jets of events as flat columns: how layouts read them, what encoders take, and how they nest again for a user.

Layouts read events through :class:`EventColumns` alone: nested or flat fields, checked, without option types, packed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from jepa_coffea.constituents.record import JET_FIELDS, LayoutError, UnreadableError
from jepa_coffea.errors import closest

Index = NDArray[np.int64]
Table = Mapping[str, NDArray[Any]]
"""Field name to its values, all of one length."""

_clock = threading.local()


def reading_seconds() -> float:
    """Seconds that this thread has spent getting columns into memory, which for virtual arrays is reading the file.

    Returns
    -------
    float
    """
    return float(getattr(_clock, "seconds", 0.0))


class EventColumns:
    """Columns of an array of events, by collection and field.

    Finds ``events[collection][field]`` (NanoEvents, nested records) and the flat names that ROOT files have
    (``collection_field``, ``collection.field``), so that what ``tree.arrays()`` gives works as well.
    Only what is asked for is read. Typetracers give empty columns and are told what was touched.

    Parameters
    ----------
    events
        Awkward record array of events (or of jets, for files that hold jets).
    layout
        Name of the layout that reads, for errors.
    """

    def __init__(self, events: ak.Array, layout: str = "any") -> None:
        self.events = events
        self.layout = layout
        self._known: dict[tuple[str, str], ak.Array] = {}

    def _find(self, collection: str, field: str) -> ak.Array | None:
        field, _, inner = field.partition(".")
        found = self._branch(collection, field)
        return found if found is None or not inner else found[inner]

    def _branch(self, collection: str, field: str) -> ak.Array | None:
        names = self.events.fields
        if collection in names and field in self.events[collection].fields:
            return self.events[collection, field]
        for flat in (f"{collection}_{field}", f"{collection}.{field}", f"{collection}/{collection}.{field}"):
            if flat in names:
                return self.events[flat]
        return None

    def has(self, collection: str, *fields: str) -> bool:
        """Whether the events have all of these fields; reads nothing.

        Parameters
        ----------
        collection
            Name of a collection.
        *fields
            Names of its fields.

        Returns
        -------
        bool
        """
        return all(self._find(collection, field) is not None for field in fields)

    def get(self, collection: str, *fields: str) -> ak.Array:
        """Column of the first of ``fields`` that exists, packed in memory and without option types.

        Parameters
        ----------
        collection
            Name of a collection.
        *fields
            Spellings of one field, tried in order; ``field.inner`` is the field ``inner`` of a branch of records.

        Returns
        -------
        ak.Array

        Raises
        ------
        LayoutError
            If none exists, or values are missing (None).
        """
        for name in fields:
            if (collection, name) in self._known:
                return self._known[collection, name]
            found = self._find(collection, name)
            if found is not None:
                self._known[collection, name] = self._concrete(found, f"{collection}.{name}")
                return self._known[collection, name]
        wanted = " or ".join(dict.fromkeys(f"{collection}.{name}" for name in fields))
        near = sorted({name for name in self.events.fields if name.startswith(collection)})
        where = "" if self.layout == "any" else f"layout {self.layout!r}: "
        hint = f"; fields that begin like it: {near}" if near else self._meant(collection)
        msg = f"{where}the events have no {wanted}{hint}"
        raise LayoutError(msg)

    def _meant(self, collection: str) -> str:
        """A hint for a collection that does not exist: which one was probably meant."""
        names = {name.partition("_")[0] for name in self.events.fields}
        meant = closest(collection, names)
        links = next((end for end in ("PFCands", "PFCand") if collection.endswith(end)), "")
        jets = collection.removesuffix(links)
        if links and jets not in names:
            meant = closest(jets, {name.removesuffix(links) for name in names if name.endswith(links)} - {""})
            return f"; there is no collection {jets!r}" + (f": did you mean {meant!r}?" if meant else "")
        if links:
            others = sorted(name.removesuffix(links) for name in names if name.endswith(links) and name != links)
            return f"; {jets} has no constituents in these events, {' and '.join(others) or 'no collection'} has"
        return f"; did you mean {meant!r}?" if meant else ""

    def top(self, field: str) -> ak.Array:
        """Column of the record itself, as in files with one jet per entry.

        Parameters
        ----------
        field
            Its name.

        Returns
        -------
        ak.Array

        Raises
        ------
        LayoutError
            If there is none.
        """
        if field not in self.events.fields:
            msg = f"layout {self.layout!r}: the entries have no field {field!r}; got {self.events.fields[:20]} ..."
            raise LayoutError(msg)
        return self._concrete(self.events[field], field)

    def _concrete(self, column: ak.Array, name: str) -> ak.Array:
        column = ak.typetracer.length_zero_if_typetracer(column)
        begin = time.perf_counter()
        try:
            column = ak.to_packed(ak.materialize(column))
        except Exception as error:
            msg = f"layout {self.layout!r}: cannot read {name} ({type(error).__name__}: {error})"
            raise UnreadableError(msg) from error
        _clock.seconds = reading_seconds() + time.perf_counter() - begin
        column = ak.without_parameters(column)
        if not _optional(column.layout):
            return column
        if any(ak.any(ak.is_none(column, axis=axis)) for axis in range(column.ndim)):
            msg = (
                f"layout {self.layout!r}: {name} has missing values (None); "
                "select events with events[mask], not with a masked array, and pass a selection of jets as jets="
            )
            raise LayoutError(msg)
        return ak.drop_none(column, axis=None)


def _optional(layout: Any) -> bool:
    """Whether values can be missing somewhere."""
    while layout.is_list or layout.is_indexed or layout.is_option:
        if layout.is_option:
            return True
        layout = layout.content
    return layout.is_record and any(_optional(content) for content in layout.contents)


def counts_of(column: ak.Array) -> NDArray[np.int64]:
    """Number of entries in each event.

    Parameters
    ----------
    column
        ``events * entries``, or deeper.

    Returns
    -------
    numpy.ndarray
        int64, [event].
    """
    return np.asarray(ak.num(column, axis=1), dtype=np.int64)


def flat(column: ak.Array) -> NDArray[Any]:
    """All values of a column, one after the other.

    Parameters
    ----------
    column
        Numbers, nested in any way.

    Returns
    -------
    numpy.ndarray
        One-dimensional.
    """
    return np.asarray(ak.to_numpy(ak.flatten(column, axis=None)))


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
            One row per jet that is there, of any type.

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
