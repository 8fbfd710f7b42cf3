"""ROOT files of events (PFNano, NanoAOD, Delphes, simulation): their jets, unlabelled, through the layouts."""

from __future__ import annotations

import re
import threading
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from jepa_coffea.constituents import Layout, LayoutError, Ragged, jets_of, layouts, ragged_of
from jepa_coffea.constituents.layout import find_layout
from jepa_coffea.constituents.ragged import EventColumns
from jepa_coffea.constituents.record import JET_FIELDS
from training.data.columns import GROUPS, OBSERVABLES, UNLABELLED, JetColumns, empty
from training.data.readers.base import EmptyFileError, JetFile, even_blocks, naming
from training.data.readers.trees import LazyTree, edges_of

STEP = 50_000
"""Events whose jets are counted at once."""

EXTRA = {"softdrop_mass": ("msoftdrop",)} | {f"tau{n}": (f"tau{n}",) for n in (1, 2, 3, 4)}
"""Observable to the fields of the jet collection that may hold it."""


class EventFile(JetFile):
    """One file of events; see :class:`JetFile`.

    Its jets are counted through all events, those without candidates included.

    Parameters
    ----------
    path
        The file.
    tree_name
        Its tree of events.
    collection
        Jet collection.
    layout
        Name of the layout; None finds out.
    """

    def __init__(self, path: str, tree_name: str, collection: str, layout: str | None) -> None:
        self.path = self.source = path
        self.collection = collection
        self._lock = threading.Lock()
        self._tree = LazyTree(path, tree_name)
        with naming(path):
            tree = self._tree.get()
            entries = int(tree.num_entries)
            if entries == 0:
                msg = f"{path}: tree {tree.name!r} has no events"
                raise EmptyFileError(msg)
            self._find_branches(tree, layout)
            self.fields = self.layout.fields
            per_event = [
                self._jets_per_event(tree, start, min(start + STEP, entries)) for start in range(0, entries, STEP)
            ]
            self._first = np.concatenate([[0], np.cumsum(np.concatenate(per_event))]).astype(np.int64)
            self.jets = int(self._first[-1])
            if self.jets == 0:
                msg = f"{path}: no jets in {collection} of {entries} events"
                raise EmptyFileError(msg)
            clusters = np.unique(np.append(self._first[edges_of(tree)], [0, self.jets]))
            self.boundaries = even_blocks(clusters)

    def _jets_per_event(self, tree: Any, start: int, stop: int) -> NDArray[np.int64]:
        if self.layout.single:
            return np.ones(stop - start, np.int64)
        jets = jets_of(self._events(tree, start, stop), self.collection, layout=self.layout)
        return np.asarray(ak.num(jets, axis=1), dtype=np.int64)

    def _find_branches(self, tree: Any, layout: str | None) -> None:
        """Which collections the layout reads: files have a thousand branches, and each one opened costs time."""
        # If the branches that the layouts name do not do, all are looked at, which may take half a minute.
        for pattern in ("|".join(known.branches for known in layouts().values()), ".*"):
            self._filter = re.compile(pattern)
            events = self._events(tree, 0, 1)
            try:
                self.layout: Layout = find_layout(events, layout)
                ragged_of(events, self.collection, layout=self.layout)
            except LayoutError:
                if pattern == ".*":
                    raise
                continue
            break
        used = [name for name in events.fields if events.layout.content(name).is_any_materialized]
        prefixes = {re.split(r"[_./]", name)[0] for name in used} | {self.collection}
        self._filter = re.compile(rf"({'|'.join(sorted(map(re.escape, prefixes)))})[_./].*")

    def _events(self, tree: Any, start: int, stop: int) -> ak.Array:
        """Events as records of columns that are read when they are touched."""
        return tree.arrays(virtual=True, filter_name=self._filter.match, entry_start=start, entry_stop=stop)

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
        first = int(np.searchsorted(self._first, start, side="right")) - 1
        last = int(np.searchsorted(self._first, stop, side="left"))
        with naming(self.path), self._lock:
            events = self._events(self._tree.get(), first, last)
            jets = ragged_of(events, self.collection, layout=self.layout)
            columns = from_ragged(jets, self._extra(events))
        before = int(self._first[first])
        return columns.slice(start - before, stop - before)

    def _extra(self, events: ak.Array) -> dict[str, NDArray[Any]]:
        columns = EventColumns(events, self.layout.name)
        found = {}
        for name, fields in EXTRA.items():
            if any(columns.has(self.collection, field) for field in fields):
                column = columns.get(self.collection, *fields)
                found[name] = np.asarray(ak.to_numpy(ak.flatten(column, axis=None)))
        return found

    def labels(self) -> NDArray[np.int16]:
        """As of every :class:`JetFile`: none.

        Returns
        -------
        ndarray
            int16 [jets].
        """
        return np.full(self.jets, UNLABELLED, np.int16)


def from_ragged(jets: Ragged, extra: dict[str, NDArray[Any]]) -> JetColumns:
    """Columns from jets with their particles; fields that the particles lack are 0.

    Parameters
    ----------
    jets
        Jets and particles.
    extra
        Observables [J] beside the usual ones.

    Returns
    -------
    JetColumns
    """
    counts = jets.counts
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    arrays = empty(len(counts), int(offsets[-1]))
    for group, (fields, _) in GROUPS.items():
        for column, name in enumerate(fields):
            arrays[group][:, column] = jets.particles.get(name, 0)
    for column, name in enumerate(JET_FIELDS):
        arrays["jets"][:, column] = jets.jets[name]
    px, py, pz, energy = arrays["jets"].astype(np.float64).T
    pt = np.hypot(px, py)
    usual = {
        "pt": pt,
        "eta": np.arcsinh(pz / np.maximum(pt, np.finfo(np.float64).tiny)),
        "mass": np.sqrt(np.maximum(energy**2 - pt**2 - pz**2, 0)),
        "n_particles": counts,
    }
    for name, values in (usual | extra).items():
        arrays["observables"][:, OBSERVABLES.index(name)] = values
    return JetColumns(offsets=offsets, **arrays)
