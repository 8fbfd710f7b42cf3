"""Delphes: jets that refer to their constituents by unique numbers, in whichever collections those are."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from jepa_coffea.constituents.layout import register
from jepa_coffea.constituents.ragged import EventColumns, Nesting, Ragged, counts_of, flat
from jepa_coffea.constituents.record import DISPLACEMENT, FIELDS, IDENTITY, KINEMATICS, LayoutError, cartesian, flags

NUMBER = 0xFFFFFF
"""The bits of ``fUniqueID`` that references hold; the others say which process wrote the object."""

TRACK_FIELDS = {"d0": "D0", "d0_err": "ErrorD0", "dz": "DZ", "dz_err": "ErrorDZ"}
"""Canonical field to branch; Delphes has impact parameters in mm."""

Values = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Source:
    """A collection whose objects jets may consist of."""

    name: str
    kinematics: tuple[str, str, str, str | None]
    """Branches of pT, eta, phi and mass; no mass means 0."""
    pdg: Callable[[EventColumns, str], NDArray[np.int64]]
    tracks: bool


def _stored(columns: EventColumns, name: str) -> NDArray[np.int64]:
    return flat(columns.get(name, "PID")).astype(np.int64)


def _always(pdg: int) -> Callable[[EventColumns, str], NDArray[np.int64]]:
    return lambda columns, name: np.full(len(flat(columns.get(name, "Eta"))), pdg)


def _towers(columns: EventColumns, name: str) -> NDArray[np.int64]:
    electromagnetic = flat(columns.get(name, "Eem")) >= flat(columns.get(name, "Ehad"))
    return np.where(electromagnetic, 22, 130)


TRACK_LIKE = ("PT", "Eta", "Phi", "Mass")
TOWER_LIKE = ("ET", "Eta", "Phi", None)

SOURCES = (
    Source("ParticleFlowCandidate", TRACK_LIKE, _stored, tracks=True),
    Source("EFlowTrack", TRACK_LIKE, _stored, tracks=True),
    Source("EFlowPhoton", TOWER_LIKE, _always(22), tracks=False),
    Source("EFlowNeutralHadron", TOWER_LIKE, _always(130), tracks=False),
    Source("Track", TRACK_LIKE, _stored, tracks=True),
    Source("Tower", TOWER_LIKE, _towers, tracks=False),
    Source("Particle", TRACK_LIKE, _stored, tracks=False),
)
"""Where a reference is looked for, in this order; energy flow, particle flow with PUPPI, their raw
ingredients, and generated particles (of ``GenJet``)."""


def _with_constituents(columns: EventColumns) -> Iterator[str]:
    """Collections that refer to constituents; cards call their jets as they like (``JetPUPPIAK8``)."""
    names = dict.fromkeys(re.split(r"[./]", field)[0] for field in ("Jet", "FatJet", *columns.events.fields))
    return (name for name in names if "Jet" in name and columns.has(name, "Constituents", "PT"))


def _is_delphes(columns: EventColumns) -> bool:
    """Some collection has references to constituents."""
    return any(_with_constituents(columns))


@register(
    "delphes",
    recognise=_is_delphes,
    tree="Delphes",
    schema="coffea.nanoevents:DelphesSchema",
    jet_spelling={"pt": "PT", "eta": "Eta", "phi": "Phi", "mass": "Mass"},
    branches=r"(\w*Jet\w*|EFlow\w*|ParticleFlowCandidate|Track|Tower|Particle)[./].*",
)
def _delphes(columns: EventColumns, collection: str, fields: Collection[str]) -> Ragged:
    """Delphes: references of any jet collection resolved to energy-flow, particle-flow (PUPPI) or raw objects."""
    if not columns.has(collection, "Constituents", "PT"):
        others = sorted(_with_constituents(columns))
        msg = f"layout {columns.layout!r}: the events have no {collection} with constituents; those that do: {others}"
        raise LayoutError(msg)
    references = columns.get(collection, "Constituents.refs")
    per_event, per_jet = counts_of(references), counts_of(ak.flatten(references, axis=1))
    event = np.repeat(np.repeat(np.arange(len(per_event)), per_event), per_jet)
    wanted = _key(event, flat(references))
    values: Values = {name: np.zeros(len(wanted), np.float64) for name in FIELDS if name in fields}
    found = np.zeros(len(wanted), dtype=bool)
    for source in SOURCES:
        if found.all() or not columns.has(source.name, "fUniqueID"):
            continue
        identity = columns.get(source.name, "fUniqueID")
        known = _key(np.repeat(np.arange(len(identity)), counts_of(identity)), flat(identity))
        order = np.argsort(known)
        place = np.minimum(np.searchsorted(known[order], wanted), max(len(known) - 1, 0))
        here = ~found & (known[order][place] == wanted) if len(known) else np.zeros_like(found)
        if here.any():
            rows = order[place[here]]
            for name, column in _read(columns, source, fields).items():
                if name in values:
                    values[name][here] = column[rows]
            found |= here
    if not found.all():
        looked = [source.name for source in SOURCES if columns.has(source.name, "fUniqueID")]
        msg = (
            f"layout {columns.layout!r}: {int((~found).sum())} of {len(found)} references of {collection}.Constituents "
            f"lead to no object of {looked}; the file lacks the collection that {collection} was clustered from"
        )
        raise LayoutError(msg)
    return Ragged(values, per_jet, Nesting(per_event))


def _key(event: NDArray[np.int64], number: NDArray[Any]) -> NDArray[np.int64]:
    """One number for an object of an event."""
    return event * (NUMBER + 1) + (number.astype(np.int64) & NUMBER)


def _read(columns: EventColumns, source: Source, fields: Collection[str]) -> Values:
    """Canonical columns of all objects of a collection, flat."""
    found: Values = {}
    if set(fields) & set(KINEMATICS):
        pt, eta, phi = (flat(columns.get(source.name, name)) for name in source.kinematics[:3])
        mass = flat(columns.get(source.name, source.kinematics[3])) if source.kinematics[3] else np.zeros_like(pt)
        found |= cartesian(pt, eta, phi, mass)
    if set(fields) & set(IDENTITY):
        pdg = source.pdg(columns, source.name)
        has_charge = columns.has(source.name, "Charge")
        found["charge"] = flat(columns.get(source.name, "Charge")) if has_charge else np.zeros(len(pdg))
        found |= flags(pdg, found["charge"])
    if set(fields) & set(DISPLACEMENT) and source.tracks:
        charged = flat(columns.get(source.name, "Charge")) != 0
        found |= {name: flat(columns.get(source.name, branch)) * charged for name, branch in TRACK_FIELDS.items()}
    return found
