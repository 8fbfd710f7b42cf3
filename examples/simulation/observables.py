"""Substructure of jets: soft-drop mass, and N-subjettiness by fastjet."""

from __future__ import annotations

from dataclasses import dataclass

import awkward as ak
import fastjet
import numpy as np
from numpy.typing import NDArray

from examples.simulation.clustering import RADIUS, Jets
from examples.simulation.softdrop import soft_drop_mass

Z_CUT = 0.1


@dataclass(frozen=True, kw_only=True)
class Substructure:
    """One row per jet: ``soft_drop_mass`` in GeV, ``tau`` with columns tau1 to tau4."""

    soft_drop_mass: NDArray[np.float64]
    tau: NDArray[np.float64]


def substructure(jets: Jets) -> Substructure:
    """Soft drop (JHEP 05 (2014) 146, beta = 0, zcut = 0.1) and N-subjettiness (JHEP 03 (2011) 015, beta = 1).

    N-subjettiness is normalised to sum(pT) R0 with R0 = 0.8; its axes are exclusive-kt axes, minimised in one pass.

    Parameters
    ----------
    jets
        Jets with their particles.

    Returns
    -------
    Substructure
    """
    if len(jets) == 0:
        return Substructure(soft_drop_mass=np.zeros(0), tau=np.zeros((0, 4)))
    p = ak.to_packed(jets.particles[["px", "py", "pz", "energy"]])
    offsets = np.concatenate([[0], np.cumsum(ak.to_numpy(ak.num(p)))])
    momenta = [ak.to_numpy(ak.flatten(p[axis])) for axis in ("px", "py", "pz", "energy")]
    vectors = ak.zip({"px": p.px, "py": p.py, "pz": p.pz, "E": p.energy})
    # A radius that no jet exceeds: every jet becomes one Cambridge/Aachen tree.
    sequence = fastjet.ClusterSequence(vectors, fastjet.JetDefinition(fastjet.cambridge_algorithm, 10.0))
    tau = sequence.njettiness(
        measure_definition="NormalizedMeasure", axes_definition="OnePass_KT_Axes", beta=1.0, R0=RADIUS
    )
    return Substructure(
        soft_drop_mass=soft_drop_mass(*momenta, offsets, Z_CUT),
        tau=ak.to_numpy(tau).reshape(len(jets), 4),
    )
