"""Subjet numbers against a clustering jet by jet, and on particles whose subjets are plain to see."""

import fastjet
import numpy as np

from jepa_coffea.constituents.subjets import subjet_index


def massless(pt: list[float], eta: list[float], phi: list[float]) -> list[np.ndarray]:
    a, b, c = np.asarray(pt), np.asarray(eta), np.asarray(phi)
    return [a * np.cos(c), a * np.sin(c), a * np.sinh(b), a * np.cosh(b)]


def test_clumps() -> None:
    momenta = massless([5, 60, 1, 2, 20, 30], [0, 1, 0.05, 1.05, 0.0, 0], [0, 0, 0, 0, 0.1, 3])
    counts = np.asarray([5, 0, 1])
    assert subjet_index(*momenta, counts).tolist() == [1, 0, 1, 0, 1, 0]
    assert subjet_index(*momenta, counts, radius=0.01).tolist() == [2, 0, 4, 3, 1, 0]


def test_no_particles() -> None:
    nothing = np.empty(0)
    assert subjet_index(nothing, nothing, nothing, nothing, np.zeros(3, np.int64)).shape == (0,)


def test_one_clustering_at_a_time() -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 60, 40)
    total = counts.sum()
    momenta = massless(rng.exponential(20, total), rng.normal(0, 0.3, total), rng.normal(0, 0.3, total))
    found = np.split(subjet_index(*momenta, counts), np.cumsum(counts)[:-1])
    for jet, first in enumerate(np.cumsum(counts) - counts):
        particles = [fastjet.PseudoJet(*(float(p[i]) for p in momenta)) for i in range(first, first + counts[jet])]
        for number, particle in enumerate(particles):
            particle.set_user_index(number)
        definition = fastjet.JetDefinition(fastjet.cambridge_algorithm, 0.2)
        sequence = fastjet._swig.ClusterSequence(particles, definition)
        expected = np.empty(counts[jet], int)
        for rank, subjet in enumerate(fastjet.sorted_by_pt(sequence.inclusive_jets())):
            expected[[particle.user_index() for particle in subjet.constituents()]] = rank
        assert found[jet].tolist() == expected.tolist()
