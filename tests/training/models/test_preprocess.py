"""Features against their definitions in float64."""

import math

import numpy as np
import pytest
import torch

from training.models.preprocess import (
    DISPLACEMENT,
    FIELDS,
    IDENTITY,
    KINEMATICS,
    SUBJET,
    ParticleFeatures,
    feature_names,
)
from training.models.synthetic import synthetic_jets


def test_names_are_those_of_the_record() -> None:
    from jepa_coffea.constituents import record

    assert (record.FIELDS, record.KINEMATICS, record.SUBJET) == (FIELDS, KINEMATICS, SUBJET)
    assert (record.IDENTITY, record.DISPLACEMENT) == (IDENTITY, DISPLACEMENT)


@pytest.mark.parametrize("scaled", [True, False])
def test_features(scaled: bool) -> None:
    particles, mask, jets = synthetic_jets([6, 2], seed=2)
    particles[0, 0, 10:] = torch.tensor([40.0, 3.0, -0.2, 0.01])
    features, p4 = ParticleFeatures(FIELDS, scale_to_jet_pt=scaled)(particles, mask, jets)
    for b, n in enumerate([6, 2]):
        jx, jy, jz, je = jets[b].double().tolist()
        pt_jet = math.hypot(jx, jy)
        factor = 500 / pt_jet if scaled else 1.0
        for i in range(n):
            px, py, pz, e, *identity, d0, d0_err, dz, dz_err = particles[b, i].double().tolist()
            pt = math.hypot(px, py)
            deta = math.asinh(pz / pt) - math.asinh(jz / pt_jet)
            dphi = (math.atan2(py, px) - math.atan2(jy, jx) + math.pi) % (2 * math.pi) - math.pi
            expected = [
                (math.log(pt * factor) - 1.7) * 0.7,
                (math.log(e * factor) - 2.0) * 0.7,
                (math.log(pt / pt_jet) + 4.7) * 0.7,
                (math.log(e / je) + 4.7) * 0.7,
                (math.hypot(deta, dphi) - 0.2) * 4,
                deta if jz >= 0 else -deta,
                dphi,
                *identity,
                math.tanh(d0),
                min(d0_err, 1),
                math.tanh(dz),
                min(dz_err, 1),
            ]
            np.testing.assert_allclose(features[b, i], np.clip(expected, -5, 5), rtol=1e-4, atol=1e-4)
            np.testing.assert_allclose(p4[b, i], np.array([px, py, pz, e]) * factor, rtol=1e-5)
    assert (features[1, 2:] == 0).all()


def boosted(p4: torch.Tensor, rapidity: float) -> torch.Tensor:
    """Moved by a rapidity along the beam, in float64."""
    px, py, pz, energy, *others = p4.double().unbind(-1)
    cosh, sinh = math.cosh(rapidity), math.sinh(rapidity)
    return torch.stack([px, py, pz * cosh + energy * sinh, energy * cosh + pz * sinh, *others], dim=-1).float()


def test_a_boosted_jet_does_not_tell_how_far_forward_it_was() -> None:
    particles, mask, jets = synthetic_jets([12, 30, 5], seed=3)
    own = torch.atanh(jets[:, 2].double() / jets[:, 3].double())
    central = boosted(jets, 0.0)
    central[:, 2], central[:, 3] = 0, (jets[:, 3].double().square() - jets[:, 2].double().square()).sqrt().float()
    preprocess = ParticleFeatures(FIELDS, scale_to_jet_pt=True, boost_to_jet=True)
    usual = ParticleFeatures(FIELDS, scale_to_jet_pt=True)
    features, p4 = preprocess(particles, mask, jets)
    # What it makes of a jet is what the usual features are of the jet at rapidity 0.
    there = torch.stack([boosted(row, -float(y)) for row, y in zip(particles, own, strict=True)])
    expected = usual(there, mask, central)
    towards = torch.where(jets[:, 2] >= 0, 1.0, -1.0)[:, None, None]
    deta = preprocess.names.index("deta")
    columns = [i for i in range(len(preprocess.names)) if i != deta]
    torch.testing.assert_close(features[..., columns], expected.features[..., columns], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(features[..., [deta]], expected.features[..., [deta]] * towards, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(p4[mask], expected.p4[mask], rtol=1e-3, atol=1e-3)
    # Wherever the jet is, the same; and without the boost it is not.
    moved = boosted(particles, 1.2), mask, boosted(jets, 1.2)
    same_side = (moved[2][:, 2] >= 0) == (jets[:, 2] >= 0)
    assert same_side.any()
    torch.testing.assert_close(preprocess(*moved).features[same_side], features[same_side], rtol=1e-3, atol=1e-3)
    assert (usual(*moved).features - usual(particles, mask, jets).features).abs().max() > 0.5


@pytest.mark.parametrize("fields", [KINEMATICS, KINEMATICS + IDENTITY, KINEMATICS + DISPLACEMENT])
def test_fewer_fields_are_columns_of_all(fields: tuple[str, ...]) -> None:
    particles, mask, jets = synthetic_jets([5])
    full = ParticleFeatures(FIELDS, scale_to_jet_pt=True)
    expected = full(particles, mask, jets).features[..., [full.names.index(name) for name in feature_names(fields)]]
    fewer = ParticleFeatures(fields, scale_to_jet_pt=True)
    given = particles[..., [FIELDS.index(field) for field in fields]]
    assert torch.equal(fewer(given, mask, jets).features, expected)
    assert torch.equal(fewer(particles, mask, jets).features, expected)


def test_stays_in_fp32_under_autocast() -> None:
    preprocess, jets = ParticleFeatures(FIELDS, scale_to_jet_pt=True), synthetic_jets([9])
    with torch.autocast("cpu", torch.bfloat16):
        inside = preprocess(*jets)
    assert torch.equal(inside.features, preprocess(*jets).features)
