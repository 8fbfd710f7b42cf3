"""The optional field ``subjet``: which of its jet's Cambridge/Aachen subjets a particle is in."""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

RADIUS = 0.2
"""Distance of the clustering, as in J-JEPA (arXiv:2412.05333)."""

MOST = 127
"""Subjets from this one on share its number."""


def subjet_index(
    px: NDArray[Any],
    py: NDArray[Any],
    pz: NDArray[Any],
    energy: NDArray[Any],
    counts: NDArray[np.int64],
    radius: float = RADIUS,
) -> NDArray[np.int8]:
    """Number of each particle's subjet within its jet, 0 for the one of highest pT.

    Parameters
    ----------
    px, py, pz, energy
        Particles of all jets one after the other, GeV.
    counts
        Particles of each jet.
    radius
        Distance parameter of the inclusive Cambridge/Aachen clustering.

    Returns
    -------
    numpy.ndarray
        int8, one number per particle.
    """
    import fastjet

    if not len(px):
        return np.empty(0, np.int8)
    momenta = {"px": px, "py": py, "pz": pz, "E": energy}
    columns = {name: np.asarray(values, np.float64) for name, values in momenta.items()}
    filled = counts > 0  # fastjet takes no empty list
    particles = ak.unflatten(ak.zip(columns, with_name="Momentum4D"), counts[filled])
    clustering = fastjet.ClusterSequence(particles, fastjet.JetDefinition(fastjet.cambridge_algorithm, radius))
    members = clustering.constituent_index(min_pt=0)

    start = np.cumsum(counts[filled]) - counts[filled]
    jet = np.repeat(np.arange(len(start)), np.asarray(ak.num(members, axis=1)))
    sizes = np.asarray(ak.flatten(ak.num(members, axis=2), axis=None))
    subjet = np.repeat(np.arange(len(sizes)), sizes)
    particle = np.asarray(ak.flatten(members, axis=None)) + start[jet[subjet]]
    total = [np.bincount(subjet, columns[name][particle], minlength=len(sizes)) for name in ("px", "py")]
    order = np.lexsort((-np.hypot(*total), jet))
    rank = np.empty(len(sizes), np.int64)
    rank[order] = np.arange(len(sizes)) - np.searchsorted(jet, jet)[order]
    found = np.zeros(len(px), np.int8)
    found[particle] = np.minimum(rank, MOST)[subjet]
    return found
