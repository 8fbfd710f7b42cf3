"""The detector on hand-made events: charges, classes, thresholds, what is not seen."""

import awkward as ak
import numpy as np
import pytest
import pythia8mc

from examples.simulation.detector import detect
from examples.simulation.generate import EventRecord
from examples.simulation.particles import charge_of


def record(pdg_id: list[int], pt: float, eta: float, events: int, vertex: tuple[float, float, float] = (0, 0, 0)):
    n = len(pdg_id) * events
    phi = np.tile(np.linspace(-3, 3, len(pdg_id)), events)
    px, py, pz = pt * np.cos(phi), pt * np.sin(phi), np.full(n, pt * np.sinh(eta))
    none = np.full(n, -1)
    return EventRecord(
        offsets=np.arange(events + 1) * len(pdg_id),
        event=np.repeat(np.arange(events), len(pdg_id)),
        pdg_id=np.tile(pdg_id, events),
        status=np.full(n, 91),
        final=np.ones(n, dtype=bool),
        mother=none,
        first_daughter=none,
        last_daughter=none,
        px=px,
        py=py,
        pz=pz,
        energy=np.sqrt(px**2 + py**2 + pz**2),
        vx=np.full(n, vertex[0]),
        vy=np.full(n, vertex[1]),
        vz=np.full(n, vertex[2]),
        weight=np.ones(events),
    )


def test_charges_agree_with_pythia() -> None:
    particles = pythia8mc.Pythia("", False).particleData
    stable = [11, 13, 22, 130, 211, 310, 321, 2112, 2212, 3112, 3122, 3222, 3312, 3322, 3334, 411, 421, 511, 521]
    ids = np.array([*stable, *(-i for i in stable)])
    np.testing.assert_allclose(charge_of(ids), [particles.charge(int(i)) for i in ids])


@pytest.mark.parametrize(
    ("pdg_id", "classes"),
    [(211, {211}), (-211, {-211}), (2212, {211}), (22, {22}), (130, {130}), (11, {11, 211, -211}), (-13, {-13, 211})],
)
def test_particles_get_the_class_of_particle_flow(pdg_id: int, classes: set[int]) -> None:
    seen = detect(record([pdg_id] * 4, 10.0, 0.5, 300), np.random.default_rng(1))
    found, counts = np.unique(ak.to_numpy(ak.flatten(seen.pdg_id)), return_counts=True)
    share = counts[np.isin(found, list(classes))].sum() / 1200
    assert share > 0.85
    assert abs(found[np.argmax(counts)]) == abs(min(classes, key=abs))


def test_neutrinos_and_what_is_beyond_the_calorimeters_are_not_seen() -> None:
    assert ak.sum(ak.num(detect(record([12, -14, 16], 50.0, 0.0, 50), np.random.default_rng(1)))) == 0
    assert ak.sum(ak.num(detect(record([22, 211], 50.0, 5.2, 50), np.random.default_rng(1)))) == 0


def test_particles_of_almost_no_energy_do_no_harm() -> None:
    assert ak.sum(ak.num(detect(record([22, 211, 130], 1e-300, 0.0, 50), np.random.default_rng(1)))) == 0


def test_forward_candidates_have_the_codes_of_the_forward_calorimeter() -> None:
    seen = detect(record([22, 211], 20.0, 3.9, 100), np.random.default_rng(1))
    assert set(np.unique(ak.to_numpy(ak.flatten(seen.pdg_id)))) == {1, 2}
    assert ak.all(seen.charge == 0)


def test_energy_is_conserved_on_average_and_events_stay_apart() -> None:
    events = record([211, -211, 22, 22, 130, 211, 22, 2112], 15.0, 0.3, 500)
    seen = detect(events, np.random.default_rng(5))
    assert len(seen) == 500
    # Upward fluctuations of a cell become neutrals, downward ones move its tracks little: a response of 1.02.
    assert ak.sum(seen.energy) / np.sum(events.energy) == pytest.approx(1.02, abs=0.015)
    totals = ak.to_numpy(ak.sum(seen.energy, axis=1)) / (np.sum(events.energy) / 500)
    assert np.std(totals) < 0.15


def test_displaced_tracks_are_displaced_and_neutrals_have_no_track() -> None:
    seen = ak.flatten(detect(record([211, 22], 5.0, 0.0, 400, vertex=(0.0, 3.0, 1.0)), np.random.default_rng(6)))
    track = seen.charge != 0
    assert np.median(abs(seen.d0[track])) > 1.0
    assert ak.all(seen.d0_err[track] > 0)
    for name in ("d0", "d0_err", "dz", "dz_err"):
        assert ak.all(seen[name][~track] == 0)
