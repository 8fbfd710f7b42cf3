"""Four-momenta in Cartesian components, as float64 columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


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
