"""Which jets of the file a selection holds, and how to give results the selection's own structure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from jepa_coffea.constituents.columns import Columns
from jepa_coffea.constituents.record import LayoutError

ETA, PHI = ("eta", "Eta"), ("phi", "Phi")


@dataclass(frozen=True)
class Structure:
    """Shape of a selection of jets: a list an event or one jet an event, with None where a mask left a gap."""

    like: ak.Array
    """A column of the selection."""

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Gaps, one entry a jet of the flattened selection."""
        return np.asarray(ak.to_numpy(ak.is_none(self._flat(self.like))))

    @property
    def event(self) -> NDArray[np.int64]:
        """Event of each jet that is there."""
        counts = np.ones(len(self.like), np.int64) if self.like.ndim == 1 else np.asarray(ak.num(self.like, axis=1))
        return np.repeat(np.arange(len(self.like)), counts)[~self.missing]

    def values(self, column: ak.Array) -> ak.Array:
        """Another column of the same selection, flat and without the gaps."""
        return ak.drop_none(self._flat(column))

    def restore(self, rows: ak.Array) -> ak.Array:
        """One row a jet that is there, in the structure of the selection; None in the gaps."""
        missing = self.missing
        layout = self.like.layout if self.like.ndim == 1 else self.like.layout.to_ListOffsetArray64(True).content
        if layout.is_option:
            rows = rows[ak.mask(np.cumsum(~missing) - 1, ~missing)]
        return rows if self.like.ndim == 1 else ak.unflatten(rows, ak.num(self.like, axis=1))

    @staticmethod
    def _flat(column: ak.Array) -> ak.Array:
        return column if column.ndim == 1 else ak.flatten(column, axis=1)


class SelectedJets(Columns):
    """The jets of a selection, read as a layout reads the collection of a file: flat, without the gaps.

    Raises
    ------
    LayoutError
        If ``jets`` is no array of jets, has another number of events, or whole events are masked.
    """

    def __init__(self, jets: ak.Array, events: ak.Array, layout: str) -> None:
        super().__init__(jets, layout)
        name = next((name for name in ETA if name in jets.fields), None)
        if name is None:
            msg = f"jets=: expected an array of jets with eta and phi, got fields {jets.fields or 'none'}"
            raise LayoutError(msg)
        like = self._memory(jets[name])
        if like.ndim not in (1, 2) or (like.ndim == 2 and ak.any(ak.is_none(like, axis=0))):
            msg = f"jets=: expected one list of jets, or one jet, for every event; got {ak.type(like)}"
            raise LayoutError(msg)
        if ak.backend(events) != "typetracer" and len(like) != len(events):
            msg = f"jets=: a selection of {len(like)} events for {len(events)} events; select jets and events alike"
            raise LayoutError(msg)
        self.structure = Structure(like)

    @staticmethod
    def _memory(column: ak.Array) -> ak.Array:
        return ak.without_parameters(ak.to_packed(ak.materialize(ak.typetracer.length_zero_if_typetracer(column))))

    def _find(self, collection: str, field: str) -> ak.Array | None:  # noqa: ARG002  there is one collection
        return self.events[field] if field in self.events.fields else None

    def _concrete(self, column: ak.Array, name: str) -> ak.Array:  # noqa: ARG002
        return self.structure.values(self._memory(column))


class Directions(NamedTuple):
    """What identifies jets: their event, eta and phi, one entry a jet."""

    event: NDArray[np.int64]
    eta: NDArray[np.float32]
    phi: NDArray[np.float32]

    def code(self) -> NDArray[np.uint64]:
        """Both angles as one number, bit by bit; adding 0 makes -0.0 and 0.0 the same."""
        eta, phi = ((angle.astype(np.float32) + np.float32(0)).view(np.uint32) for angle in (self.eta, self.phi))
        return (eta.astype(np.uint64) << np.uint64(32)) | phi


def match(selected: Directions, stored: Directions, collection: str) -> NDArray[np.int64]:
    """Position of each selected jet among the stored ones.

    The direction within the event identifies a jet: energy corrections, smearing and sorting leave it as it is.

    Raises
    ------
    LayoutError
        If a jet has no counterpart, or more than one.
    """
    names, code = np.unique(np.concatenate([stored.code(), selected.code()]), return_inverse=True)
    key = np.concatenate([stored.event, selected.event]) * max(len(names), 1) + code
    stored_key, selected_key = np.split(key, [len(stored.event)])
    order = np.argsort(stored_key, kind="stable")
    first = np.searchsorted(stored_key[order], selected_key, side="left")
    found = np.searchsorted(stored_key[order], selected_key, side="right") - first
    for bad, what in ((found == 0, "none"), (found > 1, "more than one")):
        if bad.any():
            jet = int(np.argmax(bad))
            msg = (
                f"jets=: {int(bad.sum())} of {len(bad)} jets cannot be traced to their constituents. The first, in "
                f"entry {selected.event[jet]} with eta {selected.eta[jet]:.6f} and phi {selected.phi[jet]:.6f}, has "
                f"the direction of {what} of the stored jets of {collection}. A selection may change pT, mass and "
                "order, not eta and phi."
            )
            raise LayoutError(msg)
    return order[first]
