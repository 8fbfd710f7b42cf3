"""Tracks: helices against stepping along them, pulls, efficiencies."""

import numpy as np
import pytest

from examples.simulation import tracker


def step_along_helix(pt, eta, phi, charge, vertex):
    """Closest approach to the beam line of a helix followed in small steps both ways, in mm."""
    radius = 1000.0 * pt / (0.299792458 * 3.8)
    turns = np.linspace(-2.5, 2.5, 500_001)  # rad
    direction = phi - charge * turns
    x = vertex[0] - charge * radius * (np.sin(direction) - np.sin(phi))
    y = vertex[1] + charge * radius * (np.cos(direction) - np.cos(phi))
    nearest = np.argmin(np.hypot(x, y))
    d0 = -x[nearest] * np.sin(direction[nearest]) + y[nearest] * np.cos(direction[nearest])
    return d0, vertex[2] + radius * turns[nearest] * np.sinh(eta)


def test_perigee_is_where_the_helix_comes_closest() -> None:
    rng = np.random.default_rng(1)
    for _ in range(10):
        pt, eta, phi = rng.uniform(0.5, 20), rng.uniform(-2.5, 2.5), rng.uniform(-np.pi, np.pi)
        charge = rng.choice([-1.0, 1.0])
        flight, angle = rng.exponential(20.0), phi + rng.normal(0, 0.3)
        vertex = (flight * np.cos(angle), flight * np.sin(angle), rng.normal(0, 30))
        d0, dz = tracker.perigee(*(np.array([v]) for v in (pt, eta, phi, charge, *vertex)))
        expected = step_along_helix(pt, eta, phi, charge, vertex)
        step = 1000.0 * pt / 1.14 * 5 / 5e5 * np.cosh(eta)
        assert d0[0] == pytest.approx(expected[0], abs=0.01)
        assert dz[0] == pytest.approx(expected[1], abs=2 * step + 0.01)


def test_a_track_from_the_origin_has_no_impact_parameter() -> None:
    pt, eta, phi = np.geomspace(0.4, 2000, 50), np.linspace(-2.5, 2.5, 50), np.linspace(-3, 3, 50)
    charge = np.where(np.arange(50) % 2, 1.0, -1.0)
    d0, dz = tracker.perigee(pt, eta, phi, charge, *np.zeros((3, 50)))
    np.testing.assert_allclose(d0, 0, atol=1e-9)
    np.testing.assert_allclose(dz, 0, atol=1e-6)


def test_pulls_are_normal_and_resolutions_those_of_a_silicon_tracker() -> None:
    n, rng = 40_000, np.random.default_rng(2)
    zero, phi = np.zeros(n), rng.uniform(-np.pi, np.pi, n)
    for pt, relative, d0_um in ((1.0, 0.008, 71.0), (100.0, 0.026, 10.0)):
        tracks = tracker.measure(np.full(n, pt), zero, phi, np.ones(n), (zero, zero, zero), rng)
        assert np.std(tracks.d0 / tracks.d0_err) == pytest.approx(1, abs=0.02)
        assert np.std(tracks.dz / tracks.dz_err) == pytest.approx(1, abs=0.02)
        assert np.std(pt / tracks.pt) == pytest.approx(relative, rel=0.05)
        assert 1000 * np.median(tracks.d0_err) == pytest.approx(d0_um, rel=0.03)


def test_efficiency_falls_with_eta_displacement_and_stops_at_the_edges() -> None:
    pion = np.array([211])

    def efficiency(pt: float, eta: float, radius: float) -> float:
        return float(tracker.efficiency(np.array([pt]), np.array([eta]), pion, np.array([radius]))[0])

    assert 0.9 < efficiency(10, 0, 0) < 1
    assert efficiency(10, 0, 0) > efficiency(10, 2.2, 0) > 0.8
    assert efficiency(10, 0, 100) < 0.8 * efficiency(10, 0, 0)
    assert efficiency(0.3, 0, 0) == efficiency(10, 2.6, 0) == efficiency(10, 0, 700) == 0


def test_particles_bend_on_their_way_to_the_calorimeter() -> None:
    phi = tracker.phi_at_calorimeter(np.array([1000.0, 2.0, 2.0]), np.zeros(3), np.array([1.0, 1.0, -1.0]))
    assert abs(phi[0]) < 1e-3
    # A chord of 1.29 m in a circle of radius pT / (0.3 B).
    assert phi[1] == pytest.approx(-np.arcsin(1.29 / 2 / (2.0 / (0.299792458 * 3.8))))
    assert phi[2] == -phi[1]
