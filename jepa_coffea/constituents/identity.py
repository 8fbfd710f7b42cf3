"""Charge and particle flags from PDG codes as particle-flow algorithms write them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

HF_ELECTROMAGNETIC = 2
"""CMS particle flow writes 1 and 2 for hadronic and electromagnetic deposits in the forward calorimeter."""

NEUTRAL = (0, 1, HF_ELECTROMAGNETIC, 22, 111, 130, 310, 311, 2112, 3122)


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
