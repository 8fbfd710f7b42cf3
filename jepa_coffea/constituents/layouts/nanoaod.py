"""NanoAOD v15 and later: candidates of AK8 jets in the central format, with singular names."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from jepa_coffea.constituents.columns import Columns
from jepa_coffea.constituents.layout import register
from jepa_coffea.constituents.links import gather, raw_pt, read_links
from jepa_coffea.constituents.ragged import Ragged
from jepa_coffea.constituents.record import IDENTITY, KINEMATICS, cartesian, charge_from_pdg, flags


def _is_nanoaod(columns: Columns) -> bool:
    return columns.has("FatJetPFCand", "pfCandIdx", "jetIdx") and columns.has("PFCand", "pt")


@register(
    "nanoaod",
    recognise=_is_nanoaod,
    fields=(*KINEMATICS, *IDENTITY),
    raw_pt=raw_pt,
    schema="coffea.nanoevents:NanoAODSchema",
    branches=r"((Fat|AK\d+)?Jet(PFCand)?|PFCand)_.*",
)
def _nanoaod(columns: Columns, collection: str, fields: Collection[str]) -> Ragged:
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
