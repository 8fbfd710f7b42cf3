"""The one door through which layouts read events: nested or flat fields, checked, option-free, packed."""

from __future__ import annotations

import threading
import time
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from jepa_coffea.constituents.record import LayoutError, UnreadableError
from jepa_coffea.documents import closest

_clock = threading.local()


def reading_seconds() -> float:
    """Seconds that this thread has spent getting columns into memory, which for virtual arrays is reading the file.

    Returns
    -------
    float
    """
    return float(getattr(_clock, "seconds", 0.0))


class Columns:
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
        for field in fields:
            if (collection, field) in self._known:
                return self._known[collection, field]
            found = self._find(collection, field)
            if found is not None:
                self._known[collection, field] = self._concrete(found, f"{collection}.{field}")
                return self._known[collection, field]
        wanted = " or ".join(f"{collection}.{field}" for field in fields)
        near = sorted({name for name in self.events.fields if name.startswith(collection)})
        msg = f"layout {self.layout!r}: the events have no {wanted}; fields that begin like it: {near or 'none'}"
        if not near:
            msg += self._meant(collection)
        raise LayoutError(msg)

    def _meant(self, collection: str) -> str:
        """The collection of jets that was meant by one that is not there, whether or not as part of a longer name."""
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
