"""Small files of dijet events in the PFNano schema."""

from pathlib import Path

import awkward as ak
import numpy as np
import uproot


def columns(
    rng: np.random.Generator, events: int, first: int = 1, *, jets: bool = True, weighted: bool = True
) -> dict[str, ak.Array]:
    """Back-to-back jets of about 1.3 TeV with 1 to 20 particles each, which add up to the jet."""
    n_jets = rng.integers(0, 4, events) if jets else np.zeros(events, np.int64)
    total = int(n_jets.sum())
    event = np.repeat(np.arange(events), n_jets)
    place = ak.flatten(ak.local_index(ak.unflatten(np.zeros(total), n_jets))).to_numpy()
    phi0, pt0 = rng.uniform(-np.pi, np.pi, events), rng.uniform(1000, 1700, events)
    pt = np.where(place < 2, pt0[event], 150) * rng.normal(1, 0.01, total)
    phi = np.mod(phi0[event] + np.pi * place + (place == 2) + np.pi, 2 * np.pi) - np.pi
    eta = rng.normal(0, 0.5, total)
    sizes = rng.integers(1, 21, total)
    jet = np.repeat(np.arange(total), sizes)
    number = len(jet)
    share = rng.exponential(1, number)
    share /= np.bincount(jet, share, minlength=total)[jet]
    charge = rng.integers(-1, 2, number)
    track = (charge != 0) & (rng.uniform(size=number) < 0.8)
    per_event = np.bincount(event, sizes, minlength=events).astype(np.int64)
    within = ak.flatten(ak.local_index(ak.unflatten(np.zeros(number), per_event))).to_numpy()
    candidates = {
        "pt": pt[jet] * share,
        "eta": eta[jet] + rng.normal(0, 0.1, number),
        "phi": phi[jet] + rng.normal(0, 0.1, number),
        "mass": np.where(charge != 0, 0.13957, 0),
        "puppiWeight": np.ones(number),
    }
    for name, width in (("d0", 0.01), ("dz", 0.02)):
        candidates[name] = np.where(track, rng.normal(0, width, number), -1)
        candidates[f"{name}Err"] = np.where(track, width, -1)
    candidates = {name: values.astype(np.float32) for name, values in candidates.items()}
    candidates |= {"charge": charge.astype(np.int32), "pdgId": np.where(charge, 211 * charge, 22).astype(np.int32)}
    fat = {
        "pt": pt,
        "eta": eta,
        "phi": phi,
        "mass": rng.uniform(20, 200, total),
        "msoftdrop": rng.uniform(0, 200, total),
        **{f"tau{n}": rng.uniform(0.01, 1 / n, total) for n in range(1, 5)},
    }
    links = {"jetIdx": np.repeat(place, sizes).astype(np.int32), "pFCandsIdx": within.astype(np.int32)}
    return {
        "run": ak.Array(np.ones(events, np.uint32)),
        "luminosityBlock": ak.Array(np.ones(events, np.uint32)),
        "event": ak.Array(np.arange(first, first + events, dtype=np.uint64)),
        "genWeight": ak.Array((rng.uniform(0.5, 1.5, events) if weighted else np.ones(events)).astype(np.float32)),
        "truth_signal": ak.Array(rng.integers(0, 2, events).astype(bool)),
        "truth_process": ak.Array(np.zeros(events, np.int32)),
        "FatJet": ak.unflatten(ak.zip({name: values.astype(np.float32) for name, values in fat.items()}), n_jets),
        "FatJetPFCands": ak.unflatten(ak.zip(links), per_event),
        "PFCands": ak.unflatten(ak.zip(candidates), per_event),
    }


def write_events(path: Path, events: int, *, seed: int = 1, first: int = 1, **options: bool) -> Path:
    """A file of ``events`` events, which may be none."""
    found = columns(np.random.default_rng(seed), max(events, 1), first, **options)
    with uproot.recreate(path) as file:
        file.mktree("Events", {name: array.type.content for name, array in found.items()})
        file["Events"].extend({name: array[:events] for name, array in found.items()})
    return path
