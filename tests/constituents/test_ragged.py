"""Selecting and ordering particles in a flat table, against loops and sorting by two keys."""

import numpy as np

from jepa_coffea.constituents.ragged import hardest_first, particles_of


def test_hardest_first_is_sorting_by_jet_and_pt() -> None:
    rng = np.random.default_rng(1)
    values = np.array([0, 1, 1, 2.5, 1e-40, 3e38, np.inf, np.nan], dtype=np.float32)
    for size in (0, 1, 7, 300):
        jet, pt = np.sort(rng.integers(0, 20, size)), rng.choice(values, size)
        np.testing.assert_array_equal(hardest_first(jet, pt), np.lexsort((-pt, jet)))


def test_particles_of_some_jets_repeated_and_empty_ones_too() -> None:
    counts, jets = np.array([3, 0, 2, 4]), np.array([2, 1, 0, 2])
    index, sizes = particles_of(jets, counts)
    assert sizes.tolist() == [2, 0, 3, 2]
    assert index.tolist() == [3, 4, 0, 1, 2, 3, 4]
    none, _ = particles_of(np.array([], dtype=np.int64), counts)
    assert none.tolist() == []
