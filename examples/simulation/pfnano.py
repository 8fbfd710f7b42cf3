"""Events in the PFNano schema: names, types, units (cm) and sentinels as CMS writes them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import awkward as ak
import numpy as np
import uproot
from numpy.typing import NDArray

from examples.simulation.clustering import Jets
from examples.simulation.generate import EventRecord
from examples.simulation.observables import Substructure
from examples.simulation.processes import EventProcess
from examples.simulation.truth import HEAVY, Truth
from jepa_coffea.files import replacing

NO_TRACK = -1.0
CM_PER_MM = 0.1
HARD_PROCESS = (22, 23)
"""Pythia's status codes of intermediate resonances and outgoing partons."""
SEED_MAX = 2**24


def columns(record: EventRecord, jets: Jets, shapes: Substructure, truth: Truth) -> dict[str, ak.Array]:
    """``FatJet``, ``FatJetPFCands``, ``PFCands``, ``GenPart`` and ``genWeight`` of a batch of events.

    Only candidates in jets are written, jet by jet; jets are uncorrected (``rawFactor`` is 0), so that a jet is the sum
    of its candidates.

    Parameters
    ----------
    record
        What was generated.
    jets
        Jets of these events.
    shapes
        Substructure of the jets.
    truth
        What the jets hold.

    Returns
    -------
    dict of Array
    """
    particles = jets.particles
    sizes = ak.to_numpy(ak.num(particles))
    flat = ak.flatten(particles)
    per_event = np.bincount(jets.event, weights=sizes, minlength=len(jets.counts)).astype(np.int64)
    position = np.arange(len(jets)) - np.repeat(np.cumsum(jets.counts) - jets.counts, jets.counts)
    within = np.arange(len(flat)) - np.repeat(np.cumsum(per_event) - per_event, per_event)
    track = ak.to_numpy(flat.d0_err) > 0

    def _displacement(values: ak.Array) -> NDArray[np.float32]:
        return np.where(track, CM_PER_MM * ak.to_numpy(values), NO_TRACK).astype(np.float32)

    fat_jet = {
        **{name: getattr(jets, name).astype(np.float32) for name in ("pt", "eta", "phi", "mass")},
        "msoftdrop": shapes.soft_drop_mass.astype(np.float32),
        **{f"tau{n}": shapes.tau[:, n - 1].astype(np.float32) for n in range(1, 5)},
        "rawFactor": np.zeros(len(jets), np.float32),
        "nConstituents": np.minimum(sizes, 255).astype(np.uint8),
        "truthLabel": truth.label.astype(np.int32),
    }
    candidates = {
        **{name: ak.to_numpy(flat[name]).astype(np.float32) for name in ("pt", "eta", "phi", "mass")},
        "charge": ak.to_numpy(flat.charge).astype(np.int32),
        "pdgId": ak.to_numpy(flat.pdg_id).astype(np.int32),
        "d0": _displacement(flat.d0),
        "d0Err": _displacement(flat.d0_err),
        "dz": _displacement(flat.dz),
        "dzErr": _displacement(flat.dz_err),
        "puppiWeight": np.ones(len(flat), np.float32),
    }
    links = {
        "jetIdx": np.repeat(position, sizes).astype(np.int32),
        "pFCandsIdx": within.astype(np.int32),
        "pt": candidates["pt"],
    }
    return {
        "FatJet": ak.unflatten(ak.zip(fat_jet), jets.counts),
        "FatJetPFCands": ak.unflatten(ak.zip(links), per_event),
        "PFCands": ak.unflatten(ak.zip(candidates), per_event),
        "GenPart": _hard_process(record),
        "genWeight": ak.Array(record.weight.astype(np.float32)),
    }


def identity(process: EventProcess, *, seed: int, shard: int, events: int) -> dict[str, ak.Array]:
    """Run, luminosity block and event numbers, unique over processes, seeds and shards; and which process it was.

    The event number alone is unique: seed (24 bits), process (4), shard (20), position in the shard (12).

    Parameters
    ----------
    process
        What was generated.
    seed
        Of the sample.
    shard
        Number of the shard.
    events
        Events of the shard.

    Returns
    -------
    dict of Array
    """
    number = ((((seed << 4) | process.code) << 20 | shard) << 12) + np.arange(1, events + 1, dtype=np.uint64)
    return {
        "run": ak.Array(np.full(events, process.code, np.uint32)),
        "luminosityBlock": ak.Array(np.full(events, shard + 1, np.uint32)),
        "event": ak.Array(number.astype(np.uint64)),
        "truth_process": ak.Array(np.full(events, process.code, np.int32)),
        "truth_signal": ak.Array(np.full(events, process.signal, np.bool_)),
    }


def _hard_process(record: EventRecord) -> ak.Array:
    """Outgoing partons and resonances of the hard process, each once, with the resonance it came from."""
    outgoing = np.isin(record.status, HARD_PROCESS)
    rows = np.flatnonzero(outgoing)
    place = np.full(len(record.pdg_id), -1)
    counts = np.bincount(record.event[rows], minlength=len(record))
    place[rows] = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    mother = record.mother[rows]
    while True:  # from the copy that decays up to the one of the hard process
        above = np.where(mother >= 0, record.mother[mother], -1)
        copy = (mother >= 0) & (place[mother] < 0) & (record.pdg_id[above] == record.pdg_id[mother]) & (above >= 0)
        if not copy.any():
            break
        mother = np.where(copy, above, mother)
    heavy = (mother >= 0) & np.isin(np.abs(record.pdg_id[mother]), HEAVY)
    px, py, pz, energy = (getattr(record, name)[rows] for name in ("px", "py", "pz", "energy"))
    pt = np.hypot(px, py)
    particles = {
        "pt": pt.astype(np.float32),
        "eta": np.arcsinh(pz / np.maximum(pt, 1e-6)).astype(np.float32),
        "phi": np.arctan2(py, px).astype(np.float32),
        "mass": np.sqrt(np.maximum(energy**2 - px**2 - py**2 - pz**2, 0.0)).astype(np.float32),
        "pdgId": record.pdg_id[rows].astype(np.int32),
        "status": record.status[rows].astype(np.int32),
        "genPartIdxMother": np.where(heavy, place[mother], -1).astype(np.int32),
    }
    return ak.unflatten(ak.zip(particles), counts)


def write(path: Path, shards: Iterable[dict[str, ak.Array]]) -> None:
    """Write shards of events as they come to ``Events`` of one ROOT file that appears only when it is whole.

    Parameters
    ----------
    path
        ROOT file.
    shards
        Columns of events by name, shard by shard.
    """
    with replacing(path) as temporary, uproot.recreate(temporary) as file:
        tree = None
        for events in shards:
            if tree is None:
                tree = file.mktree("Events", {name: array.type.content for name, array in events.items()})
            tree.extend(events)
