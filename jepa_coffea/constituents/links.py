"""Joins jets and particles through a table of (jet, particle) pairs, as NanoAOD-like files hold them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from jepa_coffea.constituents.columns import Columns, counts_of, flat
from jepa_coffea.constituents.record import LayoutError

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Links:
    """Which particle belongs to which jet, with the pairs ordered by jet."""

    particle: Index
    """Position in the flattened particle collection, one a pair."""
    per_jet: Index
    """Number of particles of each jet, jets without any included."""
    per_event: Index
    """Number of jets of each event."""


def read_links(
    columns: Columns, *, table: str, jet_field: str, particle_field: str, jets: str, particles: str
) -> Links:
    """Read the pairs of ``table``; indices in it count within the event.

    Pairs whose jet index is negative belong to no stored jet and are left out.

    Raises
    ------
    LayoutError
        If an index points outside its collection.
    """
    jet_column = columns.get(table, jet_field)
    per_event = counts_of(columns.get(jets, "eta"))
    stored = counts_of(columns.get(particles, "pt"))
    event = np.repeat(np.arange(len(per_event)), counts_of(jet_column))
    jet, particle = flat(jet_column).astype(np.int64), flat(columns.get(table, particle_field)).astype(np.int64)
    kept = jet >= 0
    event, jet, particle = event[kept], jet[kept], particle[kept]
    for name, index, length in ((jet_field, jet, per_event), (particle_field, particle, stored)):
        outside = (index < 0) | (index >= length[event])
        if outside.any():
            first = int(np.argmax(outside))
            msg = (
                f"layout {columns.layout!r}: {table}.{name} is {index[first]} in entry {event[first]} of the chunk, "
                f"where {jets if name == jet_field else particles} has {length[event[first]]}. "
                f"Was the collection cut or reordered? Leave {jets} as it is in the file and pass jets=selection."
            )
            raise LayoutError(msg)
    jet += starts(per_event)[event]
    particle += starts(stored)[event]
    order = np.argsort(jet, kind="stable")
    return Links(particle[order], np.bincount(jet, minlength=int(per_event.sum())), per_event)


def starts(counts: Index) -> Index:
    """Position of the first entry of each list in the flattened array."""
    return np.cumsum(counts) - counts


def gather(columns: Columns, particles: str, field: str, links: Links) -> NDArray[Any]:
    """Values of a particle field, one a pair."""
    return flat(columns.get(particles, field))[links.particle]


def nested(values: ak.Array, links: Links) -> ak.Array:
    """Flat records, one a pair, as ``events * jets * particles``."""
    return ak.unflatten(ak.unflatten(values, links.per_jet), links.per_event)
