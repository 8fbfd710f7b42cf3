"""Joins jets and particles through a table of (jet, particle) pairs, as NanoAOD-like files hold them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jepa_coffea.constituents.columns import Columns, counts_of, flat
from jepa_coffea.constituents.ragged import Index, Nesting, Ragged, Table, starts
from jepa_coffea.constituents.record import LayoutError


@dataclass(frozen=True)
class Links:
    """Which particle belongs to which jet, with the pairs ordered by jet."""

    particle: Index
    """Position in the flattened particle collection, one for each pair."""
    per_jet: Index
    """Number of particles of each jet, jets without any included."""
    per_event: Index
    """Number of jets of each event."""

    def ragged(self, particles: Table) -> Ragged:
        """Columns of particles as jets of events.

        Parameters
        ----------
        particles
            Field to values, one for each pair.

        Returns
        -------
        Ragged
        """
        return Ragged(particles, self.per_jet, Nesting(self.per_event))


def read_links(
    columns: Columns, *, table: str, jet_field: str, particle_field: str, jets: str, particles: str
) -> Links:
    """Read the pairs of ``table``; indices in it count within the event.

    Pairs whose jet index is negative belong to no stored jet and are left out.

    Parameters
    ----------
    columns
        The events.
    table
        Collection of the pairs.
    jet_field, particle_field
        Its fields with the position of the jet and of the particle.
    jets, particles
        Collections that these positions are in.

    Returns
    -------
    Links

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


def raw_pt(columns: Columns, jets: str) -> NDArray[Any] | None:
    """Transverse momenta of jets before energy corrections, as NanoAOD-like files hold them.

    Parameters
    ----------
    columns
        The events.
    jets
        Collection of jets.

    Returns
    -------
    numpy.ndarray or None
        GeV, [jet]; None in files without ``rawFactor``.
    """
    if not columns.has(jets, "rawFactor"):
        return None
    return flat(columns.get(jets, "pt")) * (1 - flat(columns.get(jets, "rawFactor")))


def gather(columns: Columns, particles: str, field: str, links: Links) -> NDArray[Any]:
    """Values of a particle field, one for each pair.

    Parameters
    ----------
    columns
        The events.
    particles, field
        Collection of particles, and which of its fields.
    links
        The pairs.

    Returns
    -------
    numpy.ndarray
    """
    return flat(columns.get(particles, field))[links.particle]
