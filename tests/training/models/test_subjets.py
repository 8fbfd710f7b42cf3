"""The subjet encoder: grouping against plain Python, symmetries, one file like every other encoder."""

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from training.exporting.onnx_graph import Exported, Session, measure_parity, to_onnx
from training.models.flops import encoder_macs
from training.models.subjets import SubjetConfig, SubjetEncoder
from training.models.synthetic import synthetic_jets

TINY = SubjetConfig(dim=16, heads=2, blocks=2, max_subjets=5, max_constituents=4)


@pytest.fixture(params=["flatten", "attention"])
def encoder(request: pytest.FixtureRequest) -> SubjetEncoder:
    torch.manual_seed(0)
    return SubjetEncoder(TINY.model_copy(update={"embedding": request.param})).eval()


def test_grouping_is_what_python_makes_of_it(encoder: SubjetEncoder) -> None:
    particles, mask, jets = synthetic_jets([30, 1, 12], subjets=True)
    particles[1, 0, -1] = 3
    particles[2, 2, -1] = -1
    features, p4 = encoder.preprocess(particles[..., :-1], mask, jets)
    subjets = encoder.group(particles, mask, jets)
    for b in range(3):
        groups: dict[int, list[int]] = {}
        for i in range(int(mask[b].sum())):
            groups.setdefault(int(particles[b, i, -1]), []).append(i)
        for s in range(5):
            members = groups.get(s, [])
            kept = members[:4]
            assert subjets.mask[b, s].tolist() == [c < len(kept) for c in range(4)]
            for c, i in enumerate(kept):
                assert torch.equal(subjets.features[b, s, c], features[b, i])
                assert subjets.position[b, i] == 4 * s + c
            assert (subjets.features[b, s, len(kept) :] == 0).all()
            if members:
                px, py, pz, _ = p4[b, members].double().sum(0).tolist()
                eta, phi = math.asinh(pz / math.hypot(px, py)), math.atan2(py, px)
                expected = [math.sin(eta), math.cos(eta), math.sin(phi), math.cos(phi)]
                np.testing.assert_allclose(subjets.directions[b, s], expected, atol=1e-5)
        without = [i for s, group in groups.items() for i in (group[4:] if 0 <= s < 5 else group)]
        assert all(subjets.position[b, i] == 20 for i in without)


def test_order_of_subjets_does_not_matter(encoder: SubjetEncoder) -> None:
    particles, mask, jets = synthetic_jets([20, 9], subjets=True)
    particles[..., -1] %= 4
    renamed = particles.clone()
    renamed[..., -1] = torch.tensor([2.0, 0.0, 3.0, 1.0])[particles[..., -1].long()]
    straight, shuffled = encoder(particles, mask, jets), encoder(renamed, mask, jets)
    torch.testing.assert_close(shuffled.jet, straight.jet, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(shuffled.tokens, straight.tokens, rtol=1e-4, atol=1e-5)


def test_slices_change_nothing(encoder: SubjetEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.models.subjets.CONSTITUENTS", 6)
    inputs = synthetic_jets([30, 1, 12, 0, 17], subjets=True)
    found = []
    for encoder.sliced in (True, False):
        encoder.zero_grad()
        encoded = encoder(*inputs)
        (encoded.jet.square().sum() + encoded.tokens.sin().sum()).backward()
        grads = {name: p.grad for name, p in encoder.named_parameters() if p.grad is not None}
        found.append((encoded.jet, encoded.tokens, grads))
    (jet, tokens, grads), (whole_jet, whole_tokens, whole_grads) = found
    torch.testing.assert_close(jet, whole_jet)
    torch.testing.assert_close(tokens, whole_tokens)
    assert grads.keys() == whole_grads.keys()
    for name, grad in grads.items():
        torch.testing.assert_close(grad, whole_grads[name], rtol=1e-3, atol=1e-4, msg=lambda m, n=name: f"{n}: {m}")


def test_particles_carry_their_subjet(encoder: SubjetEncoder) -> None:
    particles, mask, jets = synthetic_jets([6], subjets=True)
    particles[0, :, -1] = torch.tensor([0, 1, 0, 1, 7, 0])
    encoded = encoder(particles, mask, jets)
    assert torch.equal(encoded.tokens[0, 0], encoded.tokens[0, 2])
    assert not torch.equal(encoded.tokens[0, 0], encoded.tokens[0, 1])
    assert encoded.mask.tolist() == [[True, True, True, True, False, True]]


def test_exports_like_every_encoder() -> None:
    encoder = SubjetEncoder(TINY.model_copy(update={"blocks": 1}))
    module = Exported(encoder, None, particle_embedding=True).eval()
    model = to_onnx(module, TINY.fields)
    assert measure_parity(model, module, 64).max_relative < 1e-4
    outputs = Session(model)(synthetic_jets([], width=3, subjets=True))
    assert outputs["embedding"].shape == (0, 16)


def test_needs_the_subjets(encoder: SubjetEncoder) -> None:
    with pytest.raises(ValueError, match="subjet"):
        encoder(*synthetic_jets([3]))


def test_counted_operations_are_those_of_the_linear_layers() -> None:
    config = TINY.model_copy(update={"embedding": "flatten"})
    linear = 5 * (17 * 4 * 32 + 32 * 16)
    assert encoder_macs(config, 99) == linear + 2 * (5 * 12 * 16**2 + 2 * 5 * 5 * 16)


def test_impossible_size() -> None:
    with pytest.raises(ValidationError, match="heads"):
        SubjetConfig(dim=10, heads=4)
