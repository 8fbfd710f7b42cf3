"""The selection of dijet events once more, event by event, with the vector library."""

import awkward as ak
import numpy as np
import uproot
import vector


def by_hand(path: str, scale: float = 1.0) -> tuple[ak.Array, np.ndarray, np.ndarray]:
    """The selected events of a file, their masses by the vector library, and positions of their two jets."""
    with uproot.open(path) as file:
        events = file["Events"].arrays()
    jets = ak.zip({name: events[f"FatJet_{name}"] for name in ("pt", "eta", "phi", "mass")}, with_name="Momentum4D")
    chosen, masses, places = [], [], []
    for number, event in enumerate(jets):
        good = [i for i, jet in enumerate(event) if jet.pt * scale > 200 and abs(jet.eta) < 2.5]
        good = sorted(good, key=lambda i: -event[i].pt)[:2]
        if len(good) < 2:
            continue
        mass = (
            sum(
                (vector.obj(**{k: float(event[i][k]) for k in ("pt", "eta", "phi", "mass")}) for i in good),
                vector.obj(pt=0, eta=0, phi=0, mass=0),
            ).mass
            * scale
        )
        if mass > 2000:
            chosen.append(number)
            masses.append(mass)
            places.append(good)
    return events[chosen], np.array(masses), np.array(places)
