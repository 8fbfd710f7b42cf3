"""The form that is exported: the encoder's own numbers, with every weight and scale at work."""

import pytest
import torch

from training.exporting.inference_form import InferenceEncoder
from training.models.encoder import Encoder, EncoderConfig
from training.models.preprocess import KINEMATICS
from training.models.synthetic import synthetic_jets


def trained(config: EncoderConfig, seed: int) -> Encoder:
    """An encoder of which no scale is 1 and no bias 0."""
    torch.manual_seed(seed)
    encoder = Encoder(config).eval()
    for parameter in encoder.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    return encoder


@torch.no_grad()
@pytest.mark.parametrize("pair_dims", [(), (8,), (12, 8)])
@pytest.mark.parametrize("counts", [[1], [5, 1, 33, 20], [9, 0, 9], [48] * 3])
def test_same_numbers(pair_dims: tuple[int, ...], counts: list[int]) -> None:
    config = EncoderConfig(embed_dims=(24, 16), pair_dims=pair_dims, heads=4, blocks=3, max_particles=64)
    encoder = trained(config, seed=len(pair_dims))
    inputs = synthetic_jets(counts, seed=sum(counts), width=max(counts) + 2)
    got, expected = InferenceEncoder(encoder)(*inputs), encoder(*inputs)
    mask = expected.mask
    assert torch.equal(got.mask, mask)
    torch.testing.assert_close(got.tokens[mask], expected.tokens[mask], rtol=1e-4, atol=1e-4)
    some = mask.any(1)
    torch.testing.assert_close(got.jet[some], expected.jet[some], rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_the_encoder_stays_as_it_was() -> None:
    config = EncoderConfig(fields=KINEMATICS, embed_dims=(16,), pair_dims=(8,), heads=2, blocks=1, class_blocks=1)
    encoder = trained(config, seed=3)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    InferenceEncoder(encoder)
    after = encoder.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
