"""Which jets of the file a selection of jets holds, and how the selection is nested."""

from __future__ import annotations

from typing import NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from jepa_coffea.constituents.ragged import EventColumns, Nesting
from jepa_coffea.constituents.record import LayoutError

ETA, PHI = ("eta", "Eta"), ("phi", "Phi")
"""How files spell the angles of a jet."""


class SelectedJets(EventColumns):
    """The jets of a selection, read as a layout reads the collection of a file: flat, without the gaps.

    Parameters
    ----------
    jets
        The selection: ``events * jets``, or one jet per event, with eta and phi; None where a mask left a gap.
    events
        The events that they are of.
    layout
        Name of the layout, for errors.

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
        self.nesting = _nesting(like)

    @staticmethod
    def _memory(column: ak.Array) -> ak.Array:
        return ak.without_parameters(ak.to_packed(ak.materialize(ak.typetracer.length_zero_if_typetracer(column))))

    def _find(self, collection: str, field: str) -> ak.Array | None:  # noqa: ARG002  there is one collection
        return self.events[field] if field in self.events.fields else None

    def _concrete(self, column: ak.Array, name: str) -> ak.Array:  # noqa: ARG002
        column = self._memory(column)
        return ak.drop_none(column if column.ndim == 1 else ak.flatten(column, axis=1))


def _nesting(like: ak.Array) -> Nesting:
    """How a selection is nested, from one of its columns."""
    single = like.ndim == 1
    jets = like if single else ak.flatten(like, axis=1)
    layout = like.layout if single else like.layout.to_ListOffsetArray64(True).content
    gaps = np.asarray(ak.to_numpy(ak.is_none(jets))) if layout.is_option else None
    per_event = np.ones(len(like), np.int64) if single else np.asarray(ak.num(like, axis=1), np.int64)
    return Nesting(per_event, single, gaps)


class Directions(NamedTuple):
    """What identifies jets: their event, eta and phi, one entry per jet."""

    event: NDArray[np.int64]
    eta: NDArray[np.float32]
    phi: NDArray[np.float32]

    def code(self) -> NDArray[np.uint64]:
        """Both angles as one number, bit by bit; adding 0 makes -0.0 and 0.0 the same.

        Returns
        -------
        numpy.ndarray
            One number per jet.
        """
        eta, phi = ((angle.astype(np.float32) + np.float32(0)).view(np.uint32) for angle in (self.eta, self.phi))
        return (eta.astype(np.uint64) << np.uint64(32)) | phi


def match(selected: Directions, stored: Directions, collection: str) -> NDArray[np.int64]:
    """Position of each selected jet among the stored ones.

    The direction within the event identifies a jet: energy corrections, smearing and sorting leave it as it is.

    Parameters
    ----------
    selected, stored
        Directions of the jets of the selection, and of all jets of the collection.
    collection
        Name of the collection, for errors.

    Returns
    -------
    numpy.ndarray
        One position a selected jet.

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
                "order, not eta and phi; jets of another collection than FatJet need its name, as in collection='Jet'."
            )
            raise LayoutError(msg)
    return order[first]
