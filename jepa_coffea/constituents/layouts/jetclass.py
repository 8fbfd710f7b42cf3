"""JetClass and JetClass-II: one jet an entry, its particles in the branches ``part_*``."""

from __future__ import annotations

from collections.abc import Collection

import awkward as ak
import numpy as np

from jepa_coffea.constituents.columns import Columns, counts_of, flat
from jepa_coffea.constituents.kinematics import cartesian
from jepa_coffea.constituents.layout import register
from jepa_coffea.constituents.nesting import nest, record
from jepa_coffea.constituents.record import FIELDS

BRANCHES = {
    "px": "part_px",
    "py": "part_py",
    "pz": "part_pz",
    "energy": "part_energy",
    "charge": "part_charge",
    "is_charged_hadron": "part_isChargedHadron",
    "is_neutral_hadron": "part_isNeutralHadron",
    "is_photon": "part_isPhoton",
    "is_electron": "part_isElectron",
    "is_muon": "part_isMuon",
    "d0": "part_d0val",
    "d0_err": "part_d0err",
    "dz": "part_dzval",
    "dz_err": "part_dzerr",
}
"""Canonical field to branch; JetClass has impact parameters in mm already, and 0 where there is no track."""


def jetclass_jets(columns: Columns, collection: str) -> ak.Array:  # noqa: ARG001  a file of jets has one collection
    """Jets from pT, eta, phi and energy."""
    pt, eta, phi, energy = (flat(columns.top(f"jet_{name}")) for name in ("pt", "eta", "phi", "energy"))
    momentum = cartesian(pt, eta, phi, np.zeros_like(pt))
    return record(momentum | {"energy": energy})


@register(
    "jetclass",
    recognise=lambda columns: {"part_px", "jet_pt"} <= set(columns.events.fields),
    jets=jetclass_jets,
    depth=2,
)
def jetclass(columns: Columns, collection: str, fields: Collection[str]) -> ak.Array:  # noqa: ARG001
    """JetClass and JetClass-II (ROOT or parquet): ``jets * particles``; ``collection`` has no meaning."""
    wanted = [name for name in FIELDS if name in fields]
    read = {name: columns.top(BRANCHES[name]) for name in wanted}
    return nest({name: flat(column) for name, column in read.items()}, counts_of(read[wanted[0]]))
