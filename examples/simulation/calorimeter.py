"""The calorimeters: cells, energy resolution, and energy flow (what is left of a cell after its tracks)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ETA_MAX = 5.0
FORWARD_ETA = 3.0


@dataclass(frozen=True, kw_only=True)
class Region:
    """One eta range of a calorimeter: sigma(E)^2 = (stochastic^2 E) + noise^2 + (constant E)^2, E in GeV."""

    eta_max: float
    cell: float
    """Size of a cell in eta and phi."""
    stochastic: float
    noise: float
    constant: float


@dataclass(frozen=True, kw_only=True)
class Calorimeter:
    """A calorimeter as a list of regions, from the centre outwards."""

    regions: tuple[Region, ...]
    threshold: float
    """Smallest transverse energy of a neutral candidate, GeV."""


# Crystals, hadron towers and the forward calorimeter, of CMS's sizes and test-beam resolutions (JINST 3 (2008) S08004).
ECAL = Calorimeter(
    regions=(
        Region(eta_max=1.479, cell=0.0174, stochastic=0.028, noise=0.12, constant=0.005),
        Region(eta_max=FORWARD_ETA, cell=0.03, stochastic=0.05, noise=0.30, constant=0.007),
        Region(eta_max=ETA_MAX, cell=0.175, stochastic=2.0, noise=0.0, constant=0.09),
    ),
    threshold=0.4,
)
HCAL = Calorimeter(
    regions=(
        Region(eta_max=1.74, cell=0.087, stochastic=1.0, noise=0.5, constant=0.07),
        Region(eta_max=FORWARD_ETA, cell=0.17, stochastic=1.0, noise=0.8, constant=0.07),
        Region(eta_max=ETA_MAX, cell=0.175, stochastic=2.0, noise=1.0, constant=0.09),
    ),
    threshold=0.9,
)


@dataclass(frozen=True, kw_only=True)
class Neutrals:
    """Neutral candidates: the event they belong to, direction and energy (GeV)."""

    event: Ints
    eta: Floats
    phi: Floats
    energy: Floats


def energy_flow(
    calorimeter: Calorimeter,
    event: Ints,
    eta: Floats,
    phi: Floats,
    energy: Floats,
    track: Floats,
    track_err: Floats,
    rng: np.random.Generator,
) -> tuple[Neutrals, Floats]:
    """Deposits to neutral candidates and to a correction of the tracks.

    A cell measures the sum of its deposits. Where it exceeds the momenta of the tracks that point to it by more than
    its own resolution, the excess is a neutral candidate; where it does not, cell and tracks measure the same energy
    and the tracks are scaled to the mean of both, weighted by inverse variance.

    Parameters
    ----------
    calorimeter
        What measures.
    event, eta, phi, energy
        deposits, one row each: where the particle enters the calorimeter and its energy in GeV.
    track, track_err
        measured momentum of the deposit's track and its uncertainty in GeV; 0 for a deposit without a track.
    rng
        Of the detector.

    Returns
    -------
    neutrals, scale
        ``scale`` is what to multiply the track momentum of each deposit with.
    """
    region = np.searchsorted([r.eta_max for r in calorimeter.regions[:-1]], np.abs(eta))
    size = np.array([r.cell for r in calorimeter.regions])[region]
    eta_cell, phi_cell = np.floor(eta / size).astype(np.int64), np.floor(phi / size).astype(np.int64)
    key = ((event * len(calorimeter.regions) + region) * 2048 + eta_cell + 1024) * 2048 + phi_cell + 1024
    _, first, cell = np.unique(key, return_index=True, return_inverse=True)
    cells = len(first)

    def _total(values: Floats) -> Floats:
        return np.bincount(cell, weights=values, minlength=cells).astype(np.float64, copy=False)

    deposited, pointed = _total(energy), _total(track)
    terms = [[r.stochastic, r.noise, r.constant] for r in calorimeter.regions]
    stochastic, noise, constant = np.array(terms)[region[first]].T
    resolution = np.sqrt(stochastic**2 * deposited + noise**2 + (constant * deposited) ** 2)
    measured = np.clip(deposited + resolution * rng.standard_normal(cells), 0.0, None)

    excess = measured - pointed
    above = excess > calorimeter.threshold * np.cosh(eta[first])
    neutral = above & (excess > np.where(pointed > 0, resolution, 0.0))
    track_variance = _total(track_err**2)
    combine = (pointed > 0) & ~neutral
    weight = track_variance / (track_variance + resolution**2)
    scale = np.where(combine, 1.0 + weight * excess / np.where(pointed > 0, pointed, 1.0), 1.0)

    # The shower's position: the energy-weighted centre of the deposits, known to a tenth of a cell.
    jitter = 0.1 * size[first]
    divisor = np.maximum(deposited, np.finfo(np.float64).tiny)  # deposits may be 0 GeV
    centre = [
        _total(energy * (angle - angle[first][cell])) / divisor + angle[first] + jitter * rng.standard_normal(cells)
        for angle in (eta, phi)
    ]
    neutrals = Neutrals(
        event=event[first][neutral], eta=centre[0][neutral], phi=centre[1][neutral], energy=excess[neutral]
    )
    return neutrals, scale[cell]
