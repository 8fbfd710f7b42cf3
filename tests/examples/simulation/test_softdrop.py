"""Soft drop against fastjet's, N-subjettiness against its definition, jets of few particles."""

import awkward as ak
import fastjet
import numpy as np

from examples.simulation.clustering import RADIUS, Jets, cluster
from examples.simulation.observables import substructure


def random_jets(rng: np.random.Generator, sizes: list[int]) -> Jets:
    """Jets of two or three clumps of massless particles."""
    parts = []
    for n in sizes:
        axes = rng.normal(0, 0.3, (3, 2))
        which = rng.integers(0, 3, n)
        eta, phi = (axes[which] + rng.normal(0, 0.08, (n, 2))).T
        pt = np.sort(rng.exponential(10.0, n) + 0.5)[::-1]
        momentum = {
            "px": pt * np.cos(phi),
            "py": pt * np.sin(phi),
            "pz": pt * np.sinh(eta),
            "energy": pt * np.cosh(eta),
        }
        parts.append(momentum | {"pt": pt, "eta": eta, "phi": phi})
    particles = ak.unflatten(ak.zip({k: np.concatenate([p[k] for p in parts]) for k in parts[0]}), sizes)
    total = {k: ak.to_numpy(ak.sum(particles[k], axis=1)) for k in ("px", "py", "pz", "energy")}
    pt = np.hypot(total["px"], total["py"])
    return Jets(
        counts=np.array([len(sizes)]),
        pt=pt,
        eta=np.arcsinh(total["pz"] / pt),
        phi=np.arctan2(total["py"], total["px"]),
        mass=np.zeros(len(sizes)),
        energy=total["energy"],
        particles=particles,
    )


def test_soft_drop_is_that_of_fastjet() -> None:
    rng = np.random.default_rng(1)
    jets = random_jets(rng, [*rng.integers(2, 120, 60), 1, 2, 3])
    p = jets.particles
    vectors = ak.zip({"px": p.px, "py": p.py, "pz": p.pz, "E": p.energy})
    sequence = fastjet.ClusterSequence(vectors, fastjet.JetDefinition(fastjet.cambridge_algorithm, 10.0))
    expected = sequence.exclusive_jets_softdrop_grooming(1, beta=0.0, symmetry_cut=0.1, R0=RADIUS).msoftdrop
    np.testing.assert_allclose(substructure(jets).soft_drop_mass, np.maximum(expected, 0), atol=1e-4)


def test_tau_of_the_jet_axis_and_order() -> None:
    jets = random_jets(np.random.default_rng(2), [40] * 30)
    tau = substructure(jets).tau
    assert np.all(tau[:, :-1] >= tau[:, 1:] - 1e-9)
    p = jets.particles
    # The axis of tau1 is minimised, so it is at most what the jet axis gives.
    distance = np.hypot(p.eta - jets.eta, p.phi - jets.phi)
    of_jet_axis = ak.sum(p.pt * distance, axis=1) / (RADIUS * ak.sum(p.pt, axis=1))
    assert np.all(tau[:, 0] < 1.02 * of_jet_axis)
    assert np.all(tau[:, 0] > 0.5 * of_jet_axis)


def test_jets_with_fewer_particles_than_axes() -> None:
    shapes = substructure(random_jets(np.random.default_rng(3), [1, 2, 3]))
    assert np.all(np.isfinite(shapes.tau))
    for n in (1, 2, 3):
        np.testing.assert_allclose(shapes.tau[n - 1, n - 1 :], 0, atol=1e-6)
    assert substructure(random_jets(np.random.default_rng(3), [5]).select(np.zeros(1, bool))).tau.shape == (0, 4)


def test_clustering_finds_back_to_back_jets_and_keeps_empty_events() -> None:
    rng = np.random.default_rng(4)
    clump = rng.normal(0, 0.1, (20, 2))
    eta, phi = np.concatenate([clump, clump + np.array([0.5, np.pi])]).T
    phi = np.remainder(phi + np.pi, 2 * np.pi) - np.pi
    pt = np.concatenate([np.full(20, 30.0), np.full(20, 28.0)])
    fields = {"px": pt * np.cos(phi), "py": pt * np.sin(phi), "pz": pt * np.sinh(eta), "energy": pt * np.cosh(eta)}
    event = ak.zip(fields | {"pt": pt, "eta": eta, "phi": phi})
    jets = cluster(ak.unflatten(event, [0, 40, 0]))
    assert jets.counts.tolist() == [0, 2, 0]
    assert jets.event.tolist() == [1, 1]
    assert ak.num(jets.particles).tolist() == [20, 20]
    assert jets.pt[0] > jets.pt[1] > 500
    assert ak.all(jets.particles.pt[0] == 30.0)
