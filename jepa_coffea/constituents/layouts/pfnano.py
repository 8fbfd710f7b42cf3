"""PFNano: NanoAOD with the particle-flow candidates of its jets (CMS, Run 2 and Run 3)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jepa_coffea.constituents.columns import Columns
from jepa_coffea.constituents.layout import register
from jepa_coffea.constituents.links import gather, raw_pt, read_links
from jepa_coffea.constituents.ragged import Ragged
from jepa_coffea.constituents.record import DISPLACEMENT, IDENTITY, KINEMATICS, cartesian, flags

MM_PER_CM = 10.0
TRACK_FIELDS = {"d0": "d0", "d0_err": "d0Err", "dz": "dz", "dz_err": "dzErr"}


def _is_pfnano(columns: Columns) -> bool:
    """PFNano has plural tables, with a capital in ``pFCandsIdx``."""
    return columns.has("PFCands", "pt", "pdgId") and any(
        columns.has(f"{jets}PFCands", "pFCandsIdx", "jetIdx") for jets in ("FatJet", "Jet")
    )


def _puppi_weighted(columns: Columns, collection: str) -> bool:
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
def _pfnano(columns: Columns, collection: str, fields: Collection[str]) -> Ragged:
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
