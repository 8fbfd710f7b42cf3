"""Energy flow: resolution of single particles, neutrals beside tracks, granularity."""

import numpy as np
import pytest

from examples.simulation.calorimeter import ECAL, HCAL, Calorimeter, energy_flow

N = 20_000


def flow(calorimeter: Calorimeter, energy, track=0.0, track_err=0.0, eta=0.0435, phi=0.0435, events=None):
    shape = (N,) if events is None else events.shape
    columns = [np.broadcast_to(np.asarray(x, dtype=float), shape) for x in (eta, phi, energy, track, track_err)]
    events = np.arange(N) if events is None else events
    return energy_flow(calorimeter, events, *columns, np.random.default_rng(3))


@pytest.mark.parametrize(
    ("calorimeter", "energy", "resolution"),
    [(ECAL, 50.0, 0.0068), (ECAL, 500.0, 0.0052), (HCAL, 50.0, 0.158), (HCAL, 500.0, 0.083)],
)
def test_resolution_of_single_neutrals(calorimeter: Calorimeter, energy: float, resolution: float) -> None:
    neutrals, _ = flow(calorimeter, energy)
    assert len(neutrals.energy) == N
    assert np.mean(neutrals.energy) == pytest.approx(energy, rel=0.005)
    assert np.std(neutrals.energy) / energy == pytest.approx(resolution, rel=0.05)
    assert np.abs(neutrals.eta - 0.0435).max() < 0.05


def test_a_track_of_the_right_momentum_leaves_few_neutrals() -> None:
    neutrals, scale = flow(HCAL, 20.0, track=20.0, track_err=0.2)
    assert len(neutrals.energy) == pytest.approx(0.159 * N, rel=0.1)  # one side of one standard deviation
    assert np.all(np.abs(scale - 1) < 0.01)  # the track is much the better measurement


def test_the_calorimeter_corrects_the_stiffest_tracks() -> None:
    energy = 1000.0
    track = energy / np.clip(1 + 0.25 * np.random.default_rng(4).standard_normal(N), 0.2, None)
    neutrals, scale = flow(HCAL, energy, track=track, track_err=0.25 * track)
    combined = np.ones(N, dtype=bool)
    combined[neutrals.event] = False
    assert np.std((track * scale)[combined]) < 0.6 * np.std(track[combined])


def test_a_neutral_beside_a_track_is_found_with_the_right_energy() -> None:
    events = np.repeat(np.arange(N), 2)
    energy, track = np.tile([20.0, 60.0], N), np.tile([20.0, 0.0], N)
    neutrals, _ = flow(HCAL, energy, track=track, track_err=0.01 * track, events=events)
    assert len(neutrals.energy) > 0.97 * N
    assert np.mean(neutrals.energy) == pytest.approx(60.0, rel=0.02)


def test_photons_of_one_crystal_merge_and_others_do_not() -> None:
    events, eta = np.repeat(np.arange(N), 2), np.tile([0.001, 0.002], N)
    merged, _ = flow(ECAL, 20.0, eta=eta, phi=0.001, events=events)
    apart, _ = flow(ECAL, 20.0, eta=5 * np.tile([0.001, 0.008], N), phi=0.001, events=events)
    assert len(merged.energy) == N
    assert len(apart.energy) == 2 * N
    assert np.sum(merged.energy) == pytest.approx(np.sum(apart.energy), rel=0.001)


def test_noise_alone_makes_no_candidate() -> None:
    neutrals, _ = flow(HCAL, 0.01)
    assert len(neutrals.energy) < 0.05 * N


def test_a_deposit_of_no_energy_has_a_place() -> None:
    neutrals, scale = flow(HCAL, 0.0)
    assert np.isfinite(neutrals.eta).all()
    assert np.isfinite(neutrals.phi).all()
    assert (scale == 1).all()
