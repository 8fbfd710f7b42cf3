"""A parametric CMS-like detector: generated particles to particle-flow candidates.

Charged particles within |eta| < 2.5 leave tracks (:mod:`tracker`), electrons and photons fill the electromagnetic,
hadrons the hadronic calorimeter (:mod:`calorimeter`), and energy flow joins them. Not modelled: pile-up, photon
conversions, bremsstrahlung, nuclear interactions beyond their cost in efficiency, tracks merging in dense cores.
"""

from __future__ import annotations

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from examples.simulation import calorimeter, tracker
from examples.simulation.generate import EventRecord
from examples.simulation.particles import NEUTRINOS, charge_of

PT_FLOOR = 0.01
"""Particles below this pT (GeV) reach no threshold, not even together."""
PION_MASS = 0.13957
LEPTON_MASS = {11: 0.000511, 13: 0.105658}
ELECTRON_PT_MIN, ELECTRON_EFFICIENCY = 2.0, 0.85
MUON_PT_MIN, MUON_EFFICIENCY = 3.0, 0.95


def detect(record: EventRecord, rng: np.random.Generator) -> ak.Array:
    """Particle-flow candidates of a batch of events.

    Parameters
    ----------
    record
        What was generated.
    rng
        Of the detector.

    Returns
    -------
    ``events * var * {px, py, pz, energy, pt, eta, phi, mass, charge, pdg_id, d0, d0_err, dz, dz_err}``
        GeV and mm; a candidate without a track has 0 in the last four. ``pdg_id`` is CMS's: +-211, 130, 22, +-11, +-13,
        and 1 (hadronic) and 2 (electromagnetic) beyond |eta| = 3.
    """
    visible = record.final & ~np.isin(np.abs(record.pdg_id), NEUTRINOS)
    rows = np.flatnonzero(visible)
    px, py, pz, energy = (getattr(record, name)[rows] for name in ("px", "py", "pz", "energy"))
    pt = np.hypot(px, py)
    eta = np.arcsinh(pz / np.maximum(pt, PT_FLOOR))
    keep = (pt > PT_FLOOR) & (np.abs(eta) < calorimeter.ETA_MAX)
    rows, pt, eta, energy = rows[keep], pt[keep], eta[keep], energy[keep]
    phi = np.arctan2(py[keep], px[keep])
    event, pdg_id = record.event[rows], record.pdg_id[rows]
    charge = charge_of(pdg_id)
    kind = np.abs(pdg_id)
    vertex = (record.vx[rows], record.vy[rows], record.vz[rows])

    tracked = (charge != 0) & (
        rng.random(len(rows)) < tracker.efficiency(pt, eta, pdg_id, np.hypot(vertex[0], vertex[1]))
    )
    t = np.flatnonzero(tracked)
    tracks = tracker.measure(pt[t], eta[t], phi[t], charge[t], (vertex[0][t], vertex[1][t], vertex[2][t]), rng)
    momentum = np.zeros(len(rows))
    momentum[t] = tracks.pt * np.cosh(eta[t])
    error = np.zeros(len(rows))
    error[t] = tracks.pt_err * momentum[t]

    phi_entry = np.where(charge != 0, tracker.phi_at_calorimeter(pt, phi, np.where(charge != 0, charge, 1.0)), phi)
    phi_entry = np.remainder(phi_entry + np.pi, 2.0 * np.pi) - np.pi
    electromagnetic = (kind == 22) | (kind == 11)
    # Untracked charged particles below 0.75 GeV curl up inside the tracker of the barrel.
    curls = (charge != 0) & (pt < 0.75) & (np.abs(eta) < 1.5)
    neutrals = []
    scale = np.ones(len(rows))
    for detector, deposits in (
        (calorimeter.ECAL, electromagnetic & ~curls),
        (calorimeter.HCAL, ~electromagnetic & (kind != 13) & ~curls),
    ):
        d = np.flatnonzero(deposits)
        neutral, scale[d] = calorimeter.energy_flow(
            detector, event[d], eta[d], phi_entry[d], energy[d], momentum[d], error[d], rng
        )
        neutrals.append(neutral)

    chance = rng.random(len(t))
    electron = (kind[t] == 11) & (pt[t] > ELECTRON_PT_MIN) & (chance < ELECTRON_EFFICIENCY)
    muon = (kind[t] == 13) & (pt[t] > MUON_PT_MIN) & (chance < MUON_EFFICIENCY)
    track_id = np.sign(charge[t]).astype(np.int64) * np.select([electron, muon], [-11, -13], 211)
    track_mass = np.select([electron, muon], [LEPTON_MASS[11], LEPTON_MASS[13]], PION_MASS)

    columns: dict[str, list[NDArray[np.generic]]] = {
        "event": [event[t]],
        "pt": [tracks.pt * scale[t]],
        "eta": [eta[t]],
        "phi": [phi[t]],
        "mass": [track_mass],
        "charge": [np.sign(charge[t])],
        "pdg_id": [track_id],
        "d0": [tracks.d0],
        "d0_err": [tracks.d0_err],
        "dz": [tracks.dz],
        "dz_err": [tracks.dz_err],
    }
    for neutral, (central, forward) in zip(neutrals, ((22, 2), (130, 1)), strict=True):
        n = len(neutral.event)
        columns["event"].append(neutral.event)
        columns["pt"].append(neutral.energy / np.cosh(neutral.eta))
        columns["eta"].append(neutral.eta)
        columns["phi"].append(np.remainder(neutral.phi + np.pi, 2.0 * np.pi) - np.pi)
        columns["pdg_id"].append(np.where(np.abs(neutral.eta) < calorimeter.FORWARD_ETA, central, forward))
        for name in ("mass", "charge", "d0", "d0_err", "dz", "dz_err"):
            columns[name].append(np.zeros(n))
    flat = {name: np.concatenate(parts) for name, parts in columns.items()}
    return _by_event(flat, len(record))


def _by_event(flat: dict[str, NDArray[np.generic]], events: int) -> ak.Array:
    event = flat.pop("event").astype(np.int64)
    order = np.argsort(event, kind="stable")
    flat = {name: column[order] for name, column in flat.items()}
    px, py = flat["pt"] * np.cos(flat["phi"]), flat["pt"] * np.sin(flat["phi"])
    pz = flat["pt"] * np.sinh(flat["eta"])
    energy = np.sqrt(px**2 + py**2 + pz**2 + flat["mass"] ** 2)
    fields = {"px": px, "py": py, "pz": pz, "energy": energy, **flat}
    return ak.unflatten(ak.zip(fields), np.bincount(event, minlength=events))
