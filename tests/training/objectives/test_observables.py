"""Observables against loops over particles."""

import itertools
import math

import numpy as np
import pytest
import torch

from training.models.preprocess import FIELDS, KINEMATICS
from training.models.synthetic import synthetic_jets
from training.objectives.observables import COMPUTED, CONTENT, SCALE, TRACKS, jet_observables, observable_names


def by_hand(p: np.ndarray, jet: np.ndarray) -> dict[str, float]:
    """The definitions, particle by particle."""
    pt = np.hypot(p[:, 0], p[:, 1])
    eta, phi = np.arcsinh(p[:, 2] / pt), np.arctan2(p[:, 1], p[:, 0])
    z = pt / pt.sum()

    def distance(deta: float, dphi: float) -> float:
        return math.hypot(deta, (dphi + math.pi) % (2 * math.pi) - math.pi)

    axis = math.asinh(jet[2] / math.hypot(jet[0], jet[1])), math.atan2(jet[1], jet[0])
    far = [distance(a - axis[0], b - axis[1]) for a, b in zip(eta, phi, strict=True)]
    r = [[distance(eta[i] - eta[j], phi[i] - phi[j]) for j in range(len(p))] for i in range(len(p))]
    e2 = sum(z[i] * z[j] * r[i][j] for i, j in itertools.combinations(range(len(p)), 2))
    triples = itertools.combinations(range(len(p)), 3)
    e3 = sum(z[i] * z[j] * z[k] * r[i][j] * r[j][k] * r[i][k] for i, j, k in triples)
    total = p[:, :4].sum(0)
    mass = math.sqrt(total[3] ** 2 - (total[:3] ** 2).sum())
    return {
        "log_mass": math.log(mass / pt.sum()),
        "log_n": math.log(len(p)),
        "ptd": math.sqrt((z**2).sum()),
        "width": float(sum(z * far)),
        "lha": float(sum(z * np.sqrt(far))),
        "log_e2": math.log(e2) if e2 else math.nan,
        "log_e3": math.log(e3) if e3 else math.nan,
        "log_d2": math.log(e3 / e2**3) if e3 else math.nan,
    }


@pytest.mark.parametrize("scale", [1.0, 0.3])
def test_are_those_of_the_definitions_at_any_scale(scale: float) -> None:
    particles, mask, jets = synthetic_jets([12, 3, 2], seed=4)
    particles[..., :4] *= scale
    got = jet_observables(particles, mask, scale * jets, None, (), KINEMATICS)
    for b, n in enumerate([12, 3, 2]):
        expected = by_hand(particles[b, :n].double().numpy(), jets[b].double().numpy())
        # fp32: e3 of two particles is not exactly 0, its logarithm means nothing.
        names = [name for name in COMPUTED if not (n == 2 and ("e3" in name or "d2" in name))]
        for name in names:
            assert got[b, COMPUTED.index(name)].item() == pytest.approx(expected[name], rel=2e-3, abs=2e-3), (n, name)


def test_stored_ones_are_used_where_they_exist() -> None:
    particles, mask, jets = synthetic_jets([5, 5, 5])
    names = ("mass", "tau2", "tau1", "softdrop_mass")
    stored = torch.tensor([[9.0, 0.2, 0.4, 50.0], [9.0, torch.nan, 0.4, 0.0], [9.0, 0.2, 0.0, -1.0]])
    assert observable_names(names, KINEMATICS, scale=False) == (*COMPUTED, "tau21", "log_softdrop_mass")
    got = jet_observables(particles, mask, jets, stored, names, KINEMATICS)[:, len(COMPUTED) :]
    pt = jets[0, :2].norm().item()
    assert got[0].tolist() == pytest.approx([0.5, math.log(50 / pt)], rel=1e-5)
    assert got[1:].isnan().all()
    assert jet_observables(particles, mask, jets, None, names, KINEMATICS)[:, len(COMPUTED) :].isnan().all()


def test_lonely_and_absent_particles() -> None:
    particles, mask, jets = synthetic_jets([1, 0], width=4)
    got = jet_observables(particles, mask, jets, None, (), FIELDS)
    assert got[0, COMPUTED.index("log_n")] == 0
    assert got[0, COMPUTED.index("log_e2")].isnan()
    assert got[1, COMPUTED.index("log_n")].isnan()


def test_content_and_tracks() -> None:
    particles, mask, jets = synthetic_jets([14, 6], seed=7)
    particles[0, :3, 10] = torch.tensor([5.0, -2.0, 1.0])
    particles[0, :3, 11] = 0.1
    shown = torch.tensor([True, False])
    names = observable_names((), FIELDS, scale=True)
    assert names == (*COMPUTED, *CONTENT, *TRACKS, *SCALE)
    got = jet_observables(particles, mask, jets, None, (), FIELDS, shown)
    for jet, n in enumerate([14, 6]):
        column = dict(zip(names, got[jet].tolist(), strict=True))
        p = particles[jet, :n].double().numpy()
        pt = np.hypot(p[:, 0], p[:, 1])
        z = pt / pt.sum()
        for place, name in enumerate(CONTENT[:5], 5):
            assert column[name] == pytest.approx(float((z * p[:, place]).sum()), rel=1e-4, abs=1e-6)
        assert column["log_n_charged"] == pytest.approx(math.log(1 + np.sum(p[:, 4] != 0)), rel=1e-5)
        assert column["jet_charge"] == pytest.approx(float((np.sqrt(z) * p[:, 4]).sum()), rel=1e-4, abs=1e-6)
        track = (p[:, 11] > 0) & (pt > 1)
        significance = np.where(track, np.abs(p[:, 10]) / np.where(track, p[:, 11], 1), 0)
        largest = [*np.sort(significance)[::-1], 0, 0][:3]
        far = significance > 3
        momentum = p[far, :4].sum(0)
        mass = math.sqrt(max(momentum[3] ** 2 - (momentum[:3] ** 2).sum(), 0))
        assert [column[name] for name in TRACKS[:3]] == pytest.approx([math.log1p(s) for s in largest], rel=1e-4)
        assert column["log_n_displaced"] == pytest.approx(math.log1p(far.sum()), rel=1e-5)
        assert column["displaced_share"] == pytest.approx(float(z[far].sum()), rel=1e-4, abs=1e-6)
        assert column["log_mass_displaced"] == pytest.approx(math.log1p(mass), rel=1e-2, abs=1e-2)
    assert got[0, names.index("log_pt_gev")].item() == pytest.approx(math.log(jets[0, :2].norm().item()), rel=1e-5)
    assert got[1, [names.index(name) for name in SCALE]].isnan().all()


def test_what_is_not_known_is_missing() -> None:
    particles, mask, jets = synthetic_jets([5])
    particles[..., 4:] = 0
    got = jet_observables(particles, mask, jets, None, (), FIELDS)
    assert got[:, len(COMPUTED) :].isnan().all()
