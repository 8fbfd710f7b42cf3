"""Small event files of every format, from the project's own simulation, with the traps of real files.

``python -m tests.support.miniatures`` writes them anew into ``tests/data``; it takes Pythia. Numbers in them are those
of one set of simulated dijet events, so that the formats can be held against one another:

- ``pfnano.root``: AK8 jets of PUPPI-weighted candidates and AK4 jets without (``Jet_puId``), energy corrections,
  sentinels of -1 where there is no track, forward-calorimeter codes 1 and 2, masses just below 0, and a jet without
  candidates;
- ``nano_v15.root`` and ``nano_v15_rntuple.root``: singular names, weights in the momenta, neither charge nor impact
  parameters, and ``FatJet_nConstituents`` that counts candidates of a jet whose candidates were not stored;
- ``nano_v12.root``: jets without candidates;
- ``delphes.root``: references to energy-flow objects by the lower bits of their numbers, and to generated particles;
  an RNTuple, as uproot writes no lists in lists into a tree.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import fastjet
import numpy as np
import uproot

FOLDER = Path(__file__).parents[1] / "data"
EVENTS = 12
WITHOUT = 3
"""Event whose last jet lost its candidates."""
PROCESS_BITS = 5 << 24
"""In a Delphes number; references do not have them."""

Columns = dict[str, ak.Array]


def simulated() -> Columns:
    """Dijet events in the schema of PFNano, uncorrected and unweighted."""
    from examples.simulation.events import EventsConfig, make_shard

    config = EventsConfig(process="qcd", events=EVENTS, seed=11, events_per_shard=EVENTS, mpi=False)
    return make_shard((config, 0), lambda accepted, generated: None)[0]


def small_jets(candidates: ak.Array) -> tuple[ak.Array, ak.Array]:
    """Anti-kT jets of R = 0.4, and their links to the candidates."""
    momenta = ak.zip(
        {
            "px": candidates.pt * np.cos(candidates.phi),
            "py": candidates.pt * np.sin(candidates.phi),
            "pz": candidates.pt * np.sinh(candidates.eta),
            "E": np.sqrt((candidates.pt * np.cosh(candidates.eta)) ** 2 + candidates.mass**2),
        },
        with_name="Momentum4D",
    )
    clusters = fastjet.ClusterSequence(momenta, fastjet.JetDefinition(fastjet.antikt_algorithm, 0.4))
    found, members = clusters.inclusive_jets(min_pt=20), clusters.constituent_index(min_pt=20)
    order = ak.argsort(found.px**2 + found.py**2, axis=1, ascending=False)
    found, members = found[order], members[order]
    pt = np.hypot(found.px, found.py)
    mass2 = found.E**2 - pt**2 - found.pz**2
    jets = {"pt": pt, "eta": np.arcsinh(found.pz / pt), "phi": np.arctan2(found.py, found.px)}
    jets |= {"mass": np.sqrt(np.maximum(mass2, 0)), "rawFactor": 0 * pt}
    table = ak.zip({name: ak.values_astype(column, np.float32) for name, column in jets.items()})
    table = ak.with_field(table, ak.values_astype(ak.zeros_like(pt) + 7, np.int32), "puId")
    links = {
        "jetIdx": ak.flatten(ak.broadcast_arrays(ak.local_index(members, axis=1), members)[0], axis=2),
        "pFCandsIdx": ak.flatten(members, axis=2),
    }
    return table, ak.zip({name: ak.values_astype(column, np.int32) for name, column in links.items()})


def pfnano(events: Columns) -> Columns:
    """The events with weights, corrections and sentinels."""
    rng = np.random.default_rng(2)
    candidates, fat, links = events["PFCands"], events["FatJet"], events["FatJetPFCands"]
    counts = ak.num(candidates)
    number = int(ak.sum(counts))
    neutral = ak.to_numpy(ak.flatten(candidates.charge)) == 0
    weight = np.where(neutral & (rng.uniform(size=number) < 0.3), rng.uniform(0.2, 1, number), 1).astype(np.float32)
    forward = np.flatnonzero(neutral)[::40]
    pdg = ak.to_numpy(ak.flatten(candidates.pdgId)).copy()
    pdg[forward] = 1 + np.arange(len(forward)) % 2
    mass = ak.to_numpy(ak.flatten(candidates.mass)).copy()
    mass[pdg == 22] = -0.0005
    changed = {"pt": ak.to_numpy(ak.flatten(candidates.pt)) / weight, "mass": mass, "pdgId": pdg, "puppiWeight": weight}
    for name, values in changed.items():
        column = ak.unflatten(values.astype(np.int32 if name == "pdgId" else np.float32), counts)
        candidates = ak.with_field(candidates, column, name)
    jet, jet_links = small_jets(candidates)
    corrected = {"pt": fat.pt * np.float32(1.04), "mass": fat.mass * np.float32(1.04)}
    corrected["rawFactor"] = fat.pt * 0 + np.float32(1 - 1 / 1.04)
    for name, column in corrected.items():
        fat = ak.with_field(fat, column, name)
    last = ak.num(fat)[WITHOUT] - 1
    kept = (ak.local_index(links, axis=0) != WITHOUT) | (links.jetIdx != last)
    return {
        **{name: events[name] for name in ("run", "luminosityBlock", "event", "genWeight")},
        "FatJet": fat[[name for name in fat.fields if name not in ("nConstituents", "truthLabel")]],
        "FatJetPFCands": links[["jetIdx", "pFCandsIdx"]][kept],
        "Jet": jet,
        "JetPFCands": jet_links,
        "PFCands": candidates,
    }


def nano_v15(events: Columns, made: Columns) -> Columns:
    """As central NanoAOD has it: candidates with the weight in their momentum."""
    candidates = made["PFCands"]
    weighted = ak.zip(
        {
            "pt": candidates.pt * candidates.puppiWeight,
            "eta": candidates.eta,
            "phi": candidates.phi,
            "mass": candidates.mass,
            "pdgId": candidates.pdgId,
        }
    )
    links = made["FatJetPFCands"]
    counted = ak.with_field(made["FatJet"], events["FatJet"].nConstituents, "nConstituents")
    return {
        **{name: made[name] for name in ("run", "luminosityBlock", "event", "genWeight")},
        "FatJet": counted,
        "FatJetPFCand": ak.zip({"jetIdx": links.jetIdx, "pfCandIdx": links.pFCandsIdx}),
        "Jet": made["Jet"],
        "PFCand": weighted,
    }


def delphes(events: Columns) -> Columns:
    """Energy-flow objects, jets that refer to them, and generated particles with jets of their own."""
    candidates, fat, links = events["PFCands"], events["FatJet"], events["FatJetPFCands"]
    place = ak.local_index(candidates, axis=1)
    identity = ak.values_astype(PROCESS_BITS + 1 + place, np.uint32)
    charged, photon = candidates.charge != 0, candidates.pdgId == 22
    tracked = candidates.d0Err > 0
    millimetres = {
        branch: ak.where(tracked, candidates[name] * np.float32(10), np.float32(0))
        for branch, name in {"D0": "d0", "ErrorD0": "d0Err", "DZ": "dz", "ErrorDZ": "dzErr"}.items()
    }
    track = {"fUniqueID": identity, "PT": candidates.pt, "Eta": candidates.eta, "Phi": candidates.phi}
    track |= {"Mass": candidates.mass, "PID": candidates.pdgId, "Charge": candidates.charge} | millimetres
    tower = {"fUniqueID": identity, "ET": candidates.pt, "Eta": candidates.eta, "Phi": candidates.phi}
    in_jet = ak.num(ak.unflatten(links.pFCandsIdx, ak.flatten(ak.run_lengths(links.jetIdx)), axis=1), axis=2)
    refs = ak.unflatten(ak.values_astype(1 + links.pFCandsIdx, np.uint32), ak.flatten(in_jet), axis=1)
    jet = {"PT": fat.pt, "Eta": fat.eta, "Phi": fat.phi, "Mass": fat.mass}
    constituents = ak.zip({"refs": refs}, depth_limit=2)
    jets = ak.zip(jet | {"Constituents": constituents}, depth_limit=2)
    particle = ak.zip(
        {"fUniqueID": identity, "PID": candidates.pdgId, "Charge": candidates.charge, "PT": candidates.pt}
        | {"Eta": candidates.eta, "Phi": candidates.phi, "Mass": candidates.mass}
    )
    return {
        "Jet": jets,
        "GenJet": jets,
        "EFlowTrack": ak.zip(track)[charged],
        "EFlowPhoton": ak.zip(tower)[photon],
        "EFlowNeutralHadron": ak.zip(tower)[~charged & ~photon],
        "Particle": ak.with_field(particle, particle.fUniqueID + (1 << 20), "fUniqueID"),
    }


def main() -> None:
    """Write all of them."""
    events = simulated()
    made = pfnano(events)
    v15 = nano_v15(events, made)
    v12 = {name: v15[name] for name in ("run", "luminosityBlock", "event", "genWeight", "FatJet", "Jet")}
    for name, columns in (("pfnano", made), ("nano_v15", v15), ("nano_v12", v12)):
        write_tree(FOLDER / f"{name}.root", columns)
    write_rntuple(FOLDER / "nano_v15_rntuple.root", "Events", flat(v15))
    simple = delphes(events)
    references = ak.with_field(simple["GenJet"].Constituents, simple["GenJet"].Constituents.refs + (1 << 20), "refs")
    simple["GenJet"] = ak.with_field(simple["GenJet"], references, "Constituents")
    write_rntuple(FOLDER / "delphes.root", "Delphes", simple)


def flat(columns: Columns) -> dict[str, Any]:
    """``Collection_field`` for each field, and the lengths of collections, as NanoAOD names them."""
    found: dict[str, Any] = {}
    for name, column in columns.items():
        if not column.fields:
            found[name] = column
            continue
        found[f"n{name}"] = ak.num(column)
        found |= {f"{name}_{field}": column[field] for field in column.fields}
    return found


def write_tree(path: Path, columns: Columns) -> None:
    """A file with the tree ``Events``, compressed with a fixed method so that it is the same every time."""
    with uproot.recreate(path, compression=uproot.ZLIB(9)) as file:
        file.mktree("Events", {name: column.type.content for name, column in columns.items()})
        file["Events"].extend(columns)


def write_rntuple(path: Path, name: str, columns: dict[str, Any]) -> None:
    """A file with an RNTuple."""
    with uproot.recreate(path) as file:
        file.mkrntuple(name, {key: ak.without_parameters(ak.to_packed(column)) for key, column in columns.items()})


if __name__ == "__main__":
    main()
