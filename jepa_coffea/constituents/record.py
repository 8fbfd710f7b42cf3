"""The canonical constituent record: the fields of a particle, their units, and how they follow from what files have."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jepa_coffea.errors import JepaCoffeaError

Floats = NDArray[np.floating]

KINEMATICS = ("px", "py", "pz", "energy")
"""Four-momentum in GeV, in the detector frame."""

IDENTITY = ("charge", "is_charged_hadron", "is_neutral_hadron", "is_photon", "is_electron", "is_muon")
"""Charge in units of e, and five flags of which at most one is 1."""

DISPLACEMENT = ("d0", "d0_err", "dz", "dz_err")
"""Impact parameters and their uncertainties in mm; a particle without a track has 0 in all four."""

FIELDS = KINEMATICS + IDENTITY + DISPLACEMENT
"""Every field of a particle, in the order in which arrays hold them; all float32."""

SUBJET = "subjet"
"""Optional field: index of the particle's Cambridge/Aachen R = 0.2 subjet, in descending subjet pT."""

JET_FIELDS = ("px", "py", "pz", "energy")
"""Four-momentum of the jet in GeV, float32."""

UNITS = (
    dict.fromkeys(KINEMATICS, "GeV")
    | dict.fromkeys(IDENTITY, "1")
    | {"charge": "e"}
    | dict.fromkeys(DISPLACEMENT, "mm")
    | {SUBJET: "1"}
)
"""Unit of every field."""

HF_ELECTROMAGNETIC = 2
"""CMS particle flow writes 1 and 2 for hadronic and electromagnetic deposits in the forward calorimeter."""

NEUTRAL = (0, 1, HF_ELECTROMAGNETIC, 22, 111, 130, 310, 311, 2112, 3122)


class LayoutError(JepaCoffeaError, ValueError):
    """Events that cannot give what was asked of them; never an OSError, so that no reader may skip it."""


class UnreadableError(JepaCoffeaError, RuntimeError):
    """A column that exists and whose bytes cannot be read or decompressed: the file is damaged, or out of reach."""


def cartesian(pt: Floats, eta: Floats, phi: Floats, mass: Floats) -> dict[str, NDArray[np.float64]]:
    """Cartesian components from pT, eta, phi, mass.

    Files store masses in reduced precision, slightly negative ones included: those count as 0. Something without
    transverse momentum has no direction (Delphes writes eta = +-999.9) and gets no momentum at all.

    Parameters
    ----------
    pt, eta, phi, mass
        pT and mass in GeV, all of one shape.

    Returns
    -------
    dict of numpy.ndarray
        ``px py pz energy`` in GeV.
    """
    pt = np.asarray(pt, dtype=np.float64)
    phi = np.asarray(phi, dtype=np.float64)
    mass = np.maximum(np.asarray(mass, dtype=np.float64), 0.0)
    with np.errstate(over="ignore"):  # generators write eta = +-999.9 for beam remnants, too; no jet has any
        pz = pt * np.sinh(np.where(pt > 0, np.asarray(eta, dtype=np.float64), 0.0))
        energy = np.sqrt(pt**2 + pz**2 + mass**2)
    return {"px": pt * np.cos(phi), "py": pt * np.sin(phi), "pz": pz, "energy": energy}


def charge_from_pdg(pdg: NDArray[np.integer]) -> NDArray[np.float32]:
    """Charge of particle-flow candidates: leptons have the sign opposite to that of their code.

    Parameters
    ----------
    pdg
        PDG code of each candidate.

    Returns
    -------
    numpy.ndarray
        In units of e.
    """
    size = np.abs(pdg)
    sign = np.where((size == 11) | (size == 13), -np.sign(pdg), np.sign(pdg))
    return np.where(np.isin(size, NEUTRAL), 0, sign).astype(np.float32)


def flags(pdg: NDArray[np.integer], charge: NDArray[Any]) -> dict[str, NDArray[np.bool_]]:
    """The five ``is_*`` flags; whatever is neither lepton nor photon is a hadron, charged or neutral by its charge.

    Parameters
    ----------
    pdg
        PDG code of each candidate.
    charge
        Its charge in e.

    Returns
    -------
    dict of numpy.ndarray
    """
    size = np.abs(pdg)
    electron, muon = size == 11, size == 13
    photon = (size == 22) | (size == HF_ELECTROMAGNETIC)
    hadron = ~(electron | muon | photon)
    charged = np.asarray(charge) != 0
    return {
        "is_charged_hadron": hadron & charged,
        "is_neutral_hadron": hadron & ~charged,
        "is_photon": photon,
        "is_electron": electron,
        "is_muon": muon,
    }
