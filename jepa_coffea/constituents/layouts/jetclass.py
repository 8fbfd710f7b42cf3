"""JetClass and JetClass-II: one jet per entry, its particles in the branches ``part_*``."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from jepa_coffea.constituents.layout import register
from jepa_coffea.constituents.ragged import EventColumns, Nesting, Ragged, Table, counts_of, flat
from jepa_coffea.constituents.record import FIELDS, cartesian

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


def _is_jetclass(columns: EventColumns) -> bool:
    return {"part_px", "jet_pt"} <= set(columns.events.fields)


def _jets(columns: EventColumns, collection: str) -> Table:  # noqa: ARG001  a file of jets has one collection
    """Jets from pT, eta, phi and energy."""
    pt, eta, phi, energy = (flat(columns.top(f"jet_{name}")) for name in ("pt", "eta", "phi", "energy"))
    return cartesian(pt, eta, phi, np.zeros_like(pt)) | {"energy": energy}


@register(
    "jetclass",
    recognise=_is_jetclass,
    jets=_jets,
    single=True,
    tree="tree",
    schema="coffea.nanoevents:BaseSchema",
    branches="(part|jet)_.*",
)
def _jetclass(columns: EventColumns, collection: str, fields: Collection[str]) -> Ragged:  # noqa: ARG001
    """JetClass and JetClass-II (ROOT or parquet): ``jets * particles``; ``collection`` has no meaning."""
    read = {name: columns.top(BRANCHES[name]) for name in FIELDS if name in fields}
    counts = counts_of(next(iter(read.values())))
    return Ragged({name: flat(column) for name, column in read.items()}, counts, Nesting.one_each(len(counts)))
