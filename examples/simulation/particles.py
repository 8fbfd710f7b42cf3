"""What PDG numbers say of particles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NEUTRINOS = (12, 14, 16)


def charge_of(pdg_id: NDArray[np.int64]) -> NDArray[np.float64]:
    """Charge of the particles that reach a detector: leptons, photons, mesons, baryons; not light nuclei.

    Parameters
    ----------
    pdg_id
        PDG numbers.

    Returns
    -------
    ndarray
        In units of e.
    """
    kind = np.abs(pdg_id)
    # Three times the charge of d u s c b, then of hadrons from the quark digits n_q1 n_q2 n_q3 of the numbering scheme.
    quark = np.array([0, -1, 2, -1, 2, -1, 2, 0, 0, 0])
    q1, q2, q3 = (kind // 1000) % 10, (kind // 100) % 10, (kind // 10) % 10
    # A meson's first quark digit is the antiquark if it is down-type (odd), so that pi+ = 211 comes out positive.
    meson = np.where(q2 % 2 == 0, quark[q2] - quark[q3], quark[q3] - quark[q2])
    thirds = np.where(q1 > 0, quark[q1] + quark[q2] + quark[q3], meson)
    lepton = np.isin(kind, (11, 13, 15))
    thirds = np.where(kind > 100, thirds, np.where(lepton, -3, 0))
    return np.sign(pdg_id) * thirds / 3.0
