"""CMS NanoAOD with particle-flow candidates, joined to jets through a table of (jet, particle) pairs.

Two formats have such tables: NanoAOD v15 and later (``nanoaod``), and PFNano of Run 2 and Run 3 (``pfnano``).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jepa_coffea.constituents.layout import register
from jepa_coffea.constituents.ragged import EventColumns, Index, Nesting, Ragged, Table, counts_of, flat, starts
from jepa_coffea.constituents.record import (
    DISPLACEMENT,
    IDENTITY,
    KINEMATICS,
    LayoutError,
    cartesian,
    charge_from_pdg,
    flags,
)

MM_PER_CM = 10.0
TRACK_FIELDS = {"d0": "d0", "d0_err": "d0Err", "dz": "dz", "dz_err": "dzErr"}


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
    columns: EventColumns, *, table: str, jet_field: str, particle_field: str, jets: str, particles: str
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


def raw_pt(columns: EventColumns, jets: str) -> NDArray[Any] | None:
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


def gather(columns: EventColumns, particles: str, field: str, links: Links) -> NDArray[Any]:
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


def _is_nanoaod(columns: EventColumns) -> bool:
    return columns.has("FatJetPFCand", "pfCandIdx", "jetIdx") and columns.has("PFCand", "pt")


@register(
    "nanoaod",
    recognise=_is_nanoaod,
    fields=(*KINEMATICS, *IDENTITY),
    raw_pt=raw_pt,
    schema="coffea.nanoevents:NanoAODSchema",
    branches=r"((Fat|AK\d+)?Jet(PFCand)?|PFCand)_.*",
)
def _nanoaod(columns: EventColumns, collection: str, fields: Collection[str]) -> Ragged:
    """NanoAOD v15: PFCand joined by FatJetPFCand; momenta are PUPPI-weighted in the file; no displacement.

    Charges come from the PDG codes. The tables are the truth, not ``FatJet_nConstituents``, which disagrees for jets
    whose candidates were not stored.
    """
    links = read_links(
        columns,
        table=f"{collection}PFCand",
        jet_field="jetIdx",
        particle_field="pfCandIdx",
        jets=collection,
        particles="PFCand",
    )
    found: dict[str, Any] = {}
    if set(fields) & set(KINEMATICS):
        pt, eta, phi, mass = (gather(columns, "PFCand", name, links) for name in ("pt", "eta", "phi", "mass"))
        found |= cartesian(pt, eta, phi, mass)
    if set(fields) & set(IDENTITY):
        pdg = gather(columns, "PFCand", "pdgId", links)
        found["charge"] = charge_from_pdg(pdg)
        found |= flags(pdg, found["charge"])
    return links.ragged(found)


def _is_pfnano(columns: EventColumns) -> bool:
    """PFNano has plural tables, with a capital in ``pFCandsIdx``."""
    return columns.has("PFCands", "pt", "pdgId") and any(
        columns.has(f"{jets}PFCands", "pFCandsIdx", "jetIdx") for jets in ("FatJet", "Jet")
    )


def _puppi_weighted(columns: EventColumns, collection: str) -> bool:
    """Whether the collection was clustered from PUPPI-weighted candidates.

    AK8 jets always were. AK4 jets were until Run 3 clustered with charged-hadron subtraction instead, and only
    those carry a pile-up identification, ``Jet_puId``.
    """
    return not columns.has(collection, "puId")


@register(
    "pfnano",
    recognise=_is_pfnano,
    raw_pt=raw_pt,
    schema="coffea.nanoevents:PFNanoAODSchema",
    branches=r"((Fat|AK\d+)?Jet(PFCands)?|PFCands)_.*",
)
def _pfnano(columns: EventColumns, collection: str, fields: Collection[str]) -> Ragged:
    """PFNano: PFCands joined to jets by <collection>PFCands; momenta times PUPPI weight; cm to mm."""
    table = f"{collection}PFCands"
    links = read_links(
        columns, table=table, jet_field="jetIdx", particle_field="pFCandsIdx", jets=collection, particles="PFCands"
    )

    def read(name: str) -> NDArray[Any]:
        return gather(columns, "PFCands", name, links)

    found: dict[str, NDArray[Any]] = {}
    if set(fields) & set(KINEMATICS):
        found |= cartesian(read("pt"), read("eta"), read("phi"), read("mass"))
        if _puppi_weighted(columns, collection):
            weight = read("puppiWeight")
            found |= {name: found[name] * weight for name in KINEMATICS}
    if set(fields) & set(IDENTITY):
        found["charge"] = read("charge")
        found |= flags(read("pdgId"), found["charge"])
    if set(fields) & set(DISPLACEMENT):
        # -1 in the uncertainty means that no track parameters were stored; the values beside it mean nothing.
        track = read("d0Err") >= 0
        found |= {name: np.where(track, read(branch) * MM_PER_CM, 0) for name, branch in TRACK_FIELDS.items()}
    return links.ragged(found)
