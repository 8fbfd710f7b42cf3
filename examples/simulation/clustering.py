"""AK8 jets: anti-kt with R = 0.8 on particle-flow candidates, by fastjet."""

from __future__ import annotations

from dataclasses import dataclass

import awkward as ak
import fastjet
import numpy as np
from numpy.typing import NDArray

# Its banner would come once per worker; the command line's description says what to cite instead.
fastjet._swig.ClusterSequence.set_fastjet_banner_stream(None)

RADIUS = 0.8
PT_MIN = 200.0
ETA_MAX = 2.5


@dataclass(frozen=True, kw_only=True)
class Jets:
    """Jets of a batch of events in descending pT within each event, flat; angles in rad, momenta in GeV."""

    counts: NDArray[np.int64]
    """Jets per event."""
    pt: NDArray[np.float64]
    eta: NDArray[np.float64]
    phi: NDArray[np.float64]
    mass: NDArray[np.float64]
    energy: NDArray[np.float64]
    particles: ak.Array
    """``jets * var * {...}``: the candidates of each jet in descending pT, with all their fields."""

    def __len__(self) -> int:
        return len(self.pt)

    @property
    def event(self) -> NDArray[np.int64]:
        """Which event of the batch a jet belongs to.

        Returns
        -------
        ndarray
            int64 [jet].
        """
        return np.repeat(np.arange(len(self.counts)), self.counts)

    def select(self, keep: NDArray[np.bool_]) -> Jets:
        """Some of the jets; events stay, with fewer jets.

        Parameters
        ----------
        keep
            bool [jet].

        Returns
        -------
        Jets
        """
        return Jets(
            counts=np.bincount(self.event[keep], minlength=len(self.counts)),
            pt=self.pt[keep],
            eta=self.eta[keep],
            phi=self.phi[keep],
            mass=self.mass[keep],
            energy=self.energy[keep],
            particles=self.particles[keep],
        )


def cluster(candidates: ak.Array, *, pt_min: float = PT_MIN, eta_max: float = ETA_MAX) -> Jets:
    """Cluster candidates to AK8 jets.

    Candidates further out than any such jet reaches are left out of the clustering.

    Parameters
    ----------
    candidates
        ``events * var`` candidates, as of :func:`~examples.simulation.detector.detect`.
    pt_min
        Smallest pT of a jet, GeV.
    eta_max
        Largest abs(eta) of a jet.

    Returns
    -------
    Jets
    """
    near = candidates[np.abs(candidates.eta) < eta_max + 2 * RADIUS]
    vectors = ak.zip({"px": near.px, "py": near.py, "pz": near.pz, "E": near.energy})
    definition = fastjet.JetDefinition(fastjet.antikt_algorithm, RADIUS)
    sequence = fastjet.ClusterSequence(ak.to_packed(vectors), definition)
    index = sequence.constituent_index(pt_min)  # events * jets * particles, positions within the event
    jets_per_event = ak.num(index, axis=1)
    starts = np.repeat(_starts(near), ak.to_numpy(jets_per_event))
    per_jet = ak.flatten(index, axis=1)
    flat = ak.flatten(near, axis=1)
    particles = ak.unflatten(flat[ak.flatten(per_jet + starts)], ak.num(per_jet))
    particles = particles[ak.argsort(particles.pt, ascending=False)]
    px, py, pz, energy = (ak.to_numpy(ak.sum(particles[axis], axis=1)) for axis in ("px", "py", "pz", "energy"))
    pt = np.hypot(px, py)
    jets = Jets(
        counts=ak.to_numpy(jets_per_event).astype(np.int64),
        pt=pt,
        eta=np.arcsinh(pz / pt),
        phi=np.arctan2(py, px),
        mass=np.sqrt(np.maximum(energy**2 - px**2 - py**2 - pz**2, 0.0)),
        energy=energy,
        particles=particles,
    )
    return _sorted(jets.select(np.abs(jets.eta) < eta_max))


def _starts(events: ak.Array) -> NDArray[np.int64]:
    counts = ak.to_numpy(ak.num(events, axis=1))
    return np.cumsum(counts) - counts


def _sorted(jets: Jets) -> Jets:
    order = np.lexsort((-jets.pt, jets.event))
    columns = {name: getattr(jets, name)[order] for name in ("pt", "eta", "phi", "mass", "energy", "particles")}
    return Jets(counts=jets.counts, **columns)
