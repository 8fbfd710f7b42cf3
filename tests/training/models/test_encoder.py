"""The encoder as a whole: its size, its symmetries and its errors."""

import pytest
import torch
from pydantic import ValidationError

from training.models.encoder import Encoder, EncoderConfig
from training.models.synthetic import synthetic_jets

TINY = EncoderConfig(embed_dims=(32, 16), pair_dims=(8, 8), heads=2, blocks=2, class_blocks=2)


@pytest.fixture
def encoder() -> Encoder:
    torch.manual_seed(0)
    return Encoder(TINY).eval()


def test_published_size() -> None:
    with torch.device("meta"):
        encoder = Encoder(EncoderConfig(embed_dims=(512, 512, 512), blocks=16))
    assert 56.5e6 < sum(p.numel() for p in encoder.parameters()) < 57.9e6


def test_order_of_particles_does_not_matter(encoder: Encoder) -> None:
    particles, mask, jets = synthetic_jets([12, 12])
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    straight, shuffled = encoder(particles, mask, jets), encoder(particles[:, order], mask, jets)
    torch.testing.assert_close(shuffled.jet, straight.jet, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(shuffled.tokens, straight.tokens[:, order], rtol=1e-4, atol=1e-5)


def test_padding_does_not_matter(encoder: Encoder) -> None:
    particles, mask, jets = synthetic_jets([9, 1, 4], width=16)
    particles[~mask] = 7.0
    together = encoder(particles, mask, jets)
    for i, n in enumerate([9, 1, 4]):
        alone = encoder(particles[i : i + 1, :n], mask[i : i + 1, :n], jets[i : i + 1])
        torch.testing.assert_close(together.jet[i], alone.jet[0], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(together.tokens[i, :n], alone.tokens[0], rtol=1e-4, atol=1e-5)


def test_empty_jets_and_gradients_stay_finite(encoder: Encoder) -> None:
    particles, mask, jets = synthetic_jets([5, 0, 1], width=16)
    particles.requires_grad_()
    encoded = encoder(particles, mask, jets)
    encoded.jet.sum().backward()
    assert encoded.jet.isfinite().all()
    assert particles.grad is not None
    assert particles.grad.isfinite().all()
    assert (particles.grad[~mask] == 0).all()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_scaling_hides_the_jet_pt() -> None:
    particles, mask, jets = synthetic_jets([10])
    particles[..., 10:] = 0
    harder = particles.clone()
    harder[..., :4] *= 3
    torch.manual_seed(0)
    blind = Encoder(TINY).eval()
    seeing = Encoder(TINY.model_copy(update={"scale_to_jet_pt": False})).eval()
    torch.testing.assert_close(
        blind(harder, mask, 3 * jets).jet, blind(particles, mask, jets).jet, rtol=1e-4, atol=1e-5
    )
    assert (seeing(harder, mask, 3 * jets).jet - seeing(particles, mask, jets).jet).abs().max() > 0.01


def test_mean_of_last_blocks(encoder: Encoder) -> None:
    batch = synthetic_jets([6, 3])
    seen: list[torch.Tensor] = []
    for block in encoder.blocks:
        block.register_forward_hook(lambda module, args, output: seen.append(output))
    tokens = encoder(*batch, last=2).tokens
    normed = [(x - x.mean(-1, keepdim=True)) / (x.var(-1, correction=0, keepdim=True) + 1e-5).sqrt() for x in seen]
    torch.testing.assert_close(tokens, (normed[0] + normed[1]) / 2, rtol=1e-4, atol=1e-5)


def test_scale_as_an_input() -> None:
    torch.manual_seed(0)
    encoder = Encoder(TINY.model_copy(update={"scale_input": True})).eval()
    particles, mask, jets = synthetic_jets([10])
    harder = particles.clone()
    harder[..., :4] *= 3
    assert encoder.scale == "blind"
    blind = encoder(particles, mask, jets).jet
    torch.testing.assert_close(encoder(harder, mask, 3 * jets).jet, blind, rtol=1e-4, atol=1e-5)
    encoder.scale = "seen"
    seen = [encoder(particles, mask, jets).jet, encoder(harder, mask, 3 * jets).jet]
    assert (seen[0] - seen[1]).abs().max() > 0.01
    both = encoder(torch.cat([particles] * 2), mask.repeat(2, 1), jets.repeat(2, 1), seen=torch.tensor([True, False]))
    torch.testing.assert_close(both.jet, torch.cat([seen[0], blind]), rtol=1e-4, atol=1e-5)


def test_pooled_embedding_is_the_weighted_mean_beside_the_class_token(encoder: Encoder) -> None:
    pooled = Encoder(TINY.model_copy(update={"pooled": True})).eval()
    pooled.load_state_dict(encoder.state_dict(), strict=False)
    particles, mask, jets = synthetic_jets([7, 0, 3], width=8)
    alone, got = encoder(particles, mask, jets), pooled(particles, mask, jets)
    assert pooled.config.embedding_dim == got.jet.shape[1] == 32
    torch.testing.assert_close(got.jet[:, :16], alone.jet)
    pt = particles[0, :7, :2].norm(dim=1)
    mean = (alone.tokens[0, :7] * (pt / pt.sum()).unsqueeze(1)).sum(0)
    torch.testing.assert_close(got.jet[0, 16:], torch.layer_norm(mean, (16,)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"heads": 3}, "heads"),
        ({"fields": ("px", "py")}, "fields"),
        ({"embed_dims": ()}, "embed_dims"),
        ({"layers": 3}, "layers"),
        ({"blocks": 0}, "blocks"),
        ({"scale_input": True, "scale_to_jet_pt": False}, "scale_input"),
    ],
)
def test_impossible_sizes(change: dict[str, object], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        EncoderConfig.model_validate(TINY.model_dump() | change)
