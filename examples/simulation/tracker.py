"""The tracking detector: which charged particles leave a track, and what the track says.

Resolutions and efficiencies follow the shape of CMS's published tracker performance (JINST 9 (2014) P10009): per cent
momentum resolution, 10 um (transverse) and 20 um (longitudinal) impact-parameter resolution at high pT that multiple
scattering worsens as 1/pT, an efficiency of 0.85 to 0.95 for hadrons that falls with the displacement of their origin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FIELD_TESLA = 3.8
GEV_PER_TESLA_METRE = 0.299792458
ETA_MAX = 2.5
PT_MIN = 0.4
RADIUS_MAX = 600.0
"""Largest distance from the beam line, in mm, at which a particle may start and still leave a track."""
PIXEL_RADIUS = 40.0
"""Tracks born beyond the first pixel layers (mm) are extrapolated from further out."""


@dataclass(frozen=True, kw_only=True)
class Tracks:
    """Measured tracks, one row each: ``pt`` in GeV with relative uncertainty ``pt_err``; d0, dz and errors in mm."""

    pt: Floats
    pt_err: Floats
    d0: Floats
    d0_err: Floats
    dz: Floats
    dz_err: Floats


def efficiency(pt: Floats, eta: Floats, pdg_id: NDArray[np.int64], radius: Floats) -> Floats:
    """Probability that a charged particle leaves a track.

    Parameters
    ----------
    pt
        pT, GeV.
    eta
        Pseudorapidity.
    pdg_id
        PDG number.
    radius
        Distance of the production vertex from the beam line, mm.

    Returns
    -------
    ndarray
        Between 0 and 1.
    """
    edge = np.clip((np.abs(eta) - 0.9) / 1.6, 0.0, 1.0)
    plateau = np.select(
        [np.abs(pdg_id) == 13, np.abs(pdg_id) == 11],
        [0.99 - 0.01 * edge, 0.95 - 0.10 * edge],
        0.95 - 0.10 * edge,
    )
    turn_on = 1.0 - np.exp(-np.clip(pt - 0.2, 0.0, None) / 0.2)
    displacement = np.exp(-np.clip(radius - 20.0, 0.0, None) / 200.0)
    accepted = (pt > PT_MIN) & (np.abs(eta) < ETA_MAX) & (radius < RADIUS_MAX)
    return np.where(accepted, plateau * turn_on * displacement, 0.0)


def perigee(
    pt: Floats, eta: Floats, phi: Floats, charge: Floats, vx: Floats, vy: Floats, vz: Floats
) -> tuple[Floats, Floats]:
    """Impact parameters of a helix with respect to the origin.

    Parameters
    ----------
    pt, eta, phi, charge
        momentum (GeV) and charge at the production vertex.
    vx, vy, vz
        production vertex in mm.

    Returns
    -------
    d0, dz in mm
        d0 is signed as CMS's dxy, ``-x sin(phi) + y cos(phi)`` at the point of closest approach in the transverse
        plane; dz is the z of that point.

    Notes
    -----
    In a field along +z a charge q turns on a circle of radius R about ``c = v + q R (sin phi, -cos phi)``, so that
    ``d0 = q (R - |c|)``, written below without the cancellation of two large numbers.
    """
    bend = 1000.0 * pt / (GEV_PER_TESLA_METRE * FIELD_TESLA * np.abs(charge))
    sign = np.sign(charge)
    side = vx * np.sin(phi) - vy * np.cos(phi)
    centre_x = vx + sign * bend * np.sin(phi)
    centre_y = vy - sign * bend * np.cos(phi)
    distance = np.hypot(centre_x, centre_y)
    d0 = -(sign * (vx**2 + vy**2) + 2.0 * bend * side) / (bend + distance)
    phi_at_perigee = np.arctan2(sign * centre_x, -sign * centre_y)
    turned = np.remainder(phi - phi_at_perigee + np.pi, 2.0 * np.pi) - np.pi
    path = -sign * bend * turned
    return d0, vz - path * np.sinh(eta)


def measure(
    pt: Floats,
    eta: Floats,
    phi: Floats,
    charge: Floats,
    vertex: tuple[Floats, Floats, Floats],
    rng: np.random.Generator,
) -> Tracks:
    """Smeared tracks of particles that have one; the reported errors are those of the smearing: pulls are normal.

    Parameters
    ----------
    pt, eta, phi, charge
        True momentum (GeV) and charge (e).
    vertex
        x, y and z of the production vertex, mm.
    rng
        Of the detector.

    Returns
    -------
    Tracks
    """
    edge = (np.abs(eta) / ETA_MAX) ** 2
    pt_err = np.hypot(0.008 * (1.0 + edge), 2.5e-4 * (1.0 + 2.0 * edge) * pt)
    # The error depends on the hits a track happened to leave: 10 % from track to track; and on how far out it starts.
    spread = np.exp(0.1 * rng.standard_normal(len(pt)))
    lever = 1.0 + np.clip(np.hypot(vertex[0], vertex[1]) - PIXEL_RADIUS, 0.0, None) / PIXEL_RADIUS
    d0_err = np.hypot(0.010, 0.070 * (1.0 + 0.5 * edge) / pt) * spread * lever
    dz_err = np.hypot(0.020, 0.070 / pt) * (0.7 + 0.3 * np.cosh(eta)) * spread * lever
    d0, dz = perigee(pt, eta, phi, charge, *vertex)
    return Tracks(
        pt=pt / np.clip(1.0 + pt_err * rng.standard_normal(len(pt)), 0.2, None),  # the curvature is what is Gaussian
        pt_err=pt_err,
        d0=d0 + d0_err * rng.standard_normal(len(pt)),
        d0_err=d0_err,
        dz=dz + dz_err * rng.standard_normal(len(pt)),
        dz_err=dz_err,
    )


def phi_at_calorimeter(pt: Floats, phi: Floats, charge: Floats) -> Floats:
    """Azimuth at which a particle from the beam line reaches the calorimeter, 1.29 m away.

    Parameters
    ----------
    pt
        pT, GeV.
    phi
        Azimuth at the beam line.
    charge
        In units of e.

    Returns
    -------
    ndarray
    """
    half_turn = np.arcsin(np.clip(GEV_PER_TESLA_METRE * FIELD_TESLA * 1.29 * np.abs(charge) / (2.0 * pt), 0.0, 1.0))
    return phi - np.sign(charge) * half_turn
