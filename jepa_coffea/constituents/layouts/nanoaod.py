"""NanoAOD v15 and later: candidates of AK8 jets in the central format, with singular names."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import awkward as ak

from jepa_coffea.constituents.columns import Columns
from jepa_coffea.constituents.identity import charge_from_pdg, flags
from jepa_coffea.constituents.kinematics import cartesian
from jepa_coffea.constituents.layout import register
from jepa_coffea.constituents.links import gather, nested, read_links
from jepa_coffea.constituents.nesting import record
from jepa_coffea.constituents.record import IDENTITY, KINEMATICS


@register(
    "nanoaod",
    recognise=lambda columns: columns.has("FatJetPFCand", "pfCandIdx", "jetIdx") and columns.has("PFCand", "pt"),
    fields=(*KINEMATICS, *IDENTITY),
)
def nanoaod(columns: Columns, collection: str, fields: Collection[str]) -> ak.Array:
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
    return nested(record(found), links)
