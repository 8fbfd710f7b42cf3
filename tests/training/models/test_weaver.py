"""Against an independent implementation: weaver-core's ParticleTransformer with the same weights."""

import pytest
import torch
from torch import Tensor, nn

from training.models.encoder import Encoder, EncoderConfig
from training.models.synthetic import synthetic_jets

weaver = pytest.importorskip("weaver.nn.model.ParticleTransformer", reason="weaver-core is a development dependency")

SIZE = EncoderConfig(
    embed_dims=(24, 32, 16), pair_dims=(8, 12), heads=4, blocks=3, class_blocks=2, scale_to_jet_pt=False
)


def scrambled(module: nn.Module) -> nn.Module:
    """Every parameter and every running statistic away from its special initial value."""
    rng = torch.Generator().manual_seed(0)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            noise = 0.3 * torch.randn(tensor.shape, generator=rng)
            tensor.copy_(tensor * 0.7 + (noise.abs() + 0.5 if "running_var" in name else noise))
    return module


def affine(norm: nn.BatchNorm1d) -> tuple[Tensor, Tensor]:
    """A batch norm in evaluation mode as scale and shift."""
    assert norm.running_var is not None
    assert norm.running_mean is not None
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    return scale, norm.bias - norm.running_mean * scale


def copy_linear(to: nn.Linear, weight: Tensor, bias: Tensor | None) -> None:
    to.weight.data.copy_(weight)
    if bias is not None and to.bias is not None:
        to.bias.data.copy_(bias)


def copy_feed_forward(to: nn.Module, block: nn.Module) -> None:
    to.norm.load_state_dict(block.pre_fc_norm.state_dict())
    to.fc1.load_state_dict(block.fc1.state_dict())
    to.hidden_norm.load_state_dict(block.post_fc_norm.state_dict())
    to.fc2.load_state_dict(block.fc2.state_dict())
    to.residual_scale.data.copy_(block.w_resid)


def copy_weights(encoder: Encoder, part: nn.Module) -> None:
    """What weaver-core's network has learned, batch norms folded into the layers beside them."""
    scale, shift = affine(part.embed.input_bn)
    encoder.embedding.scale.data.copy_(scale)
    encoder.embedding.shift.data.copy_(shift)
    layers = list(part.embed.embed)
    for i, (norm, layer) in enumerate(zip(encoder.embedding.norms, encoder.embedding.layers, strict=True)):
        norm.load_state_dict(layers[3 * i].state_dict())
        layer.load_state_dict(layers[3 * i + 1].state_dict())

    assert encoder.pairs is not None
    pairs = [layer for layer in part.pair_embed.embed if not isinstance(layer, nn.GELU)]
    # Our constants come first: x -> (x - subtract) * multiply; undo them, then the input norm.
    scale, shift = affine(pairs[0])
    before_scale = scale / encoder.pairs.multiply
    before_shift = shift + scale * encoder.pairs.subtract
    for layer, (conv, norm) in zip(
        [*encoder.pairs.layers, encoder.pairs.head], zip(pairs[1::2], pairs[2::2], strict=True), strict=True
    ):
        weight, bias = conv.weight[..., 0], conv.bias
        bias = bias + weight @ before_shift
        weight = weight * before_scale
        scale, shift = affine(norm)
        copy_linear(layer, scale[:, None] * weight, scale * bias + shift)
        before_scale, before_shift = torch.ones(len(weight)), torch.zeros(len(weight))

    for to, block in zip(encoder.blocks, part.blocks, strict=True):
        to.norm.load_state_dict(block.pre_attn_norm.state_dict())
        to.qkv.load_state_dict(block.attn.in_proj.state_dict())
        to.out.load_state_dict(block.attn.out_proj.state_dict())
        to.head_scale.data.copy_(block.c_attn)
        to.out_norm.load_state_dict(block.post_attn_norm.state_dict())
        copy_feed_forward(to.feed_forward, block)
    for to, block in zip(encoder.class_blocks, part.cls_blocks, strict=True):
        to.norm.load_state_dict(block.pre_attn_norm.state_dict())
        weights, biases = block.attn.in_proj.weight.chunk(3), block.attn.in_proj.bias.chunk(3)
        for name, weight, bias in zip("qkv", weights, biases, strict=True):
            copy_linear(getattr(to, name), weight, bias)
        to.out.load_state_dict(block.attn.out_proj.state_dict())
        to.head_scale.data.copy_(block.c_attn)
        to.out_norm.load_state_dict(block.post_attn_norm.state_dict())
        copy_feed_forward(to.feed_forward, block)
    encoder.class_token.data.copy_(part.cls_token.flatten())
    encoder.norm.load_state_dict(part.norm.state_dict())


def massless(particles: Tensor) -> Tensor:
    """Energy equal to momentum, as the pair features take it."""
    particles = particles.clone()
    particles[..., 3] = particles[..., :3].double().norm(dim=-1).float()
    return particles


@pytest.mark.parametrize("gradients", [False, True])
def test_same_network(gradients: bool) -> None:
    torch.manual_seed(0)
    part = weaver.ParticleTransformer(
        input_dim=17,
        num_classes=None,
        fc_params=None,
        embed_dims=SIZE.embed_dims,
        pair_embed_dims=SIZE.pair_dims,
        num_heads=SIZE.heads,
        num_layers=SIZE.blocks,
        trim=False,
        for_inference=True,
    ).eval()
    scrambled(part)
    encoder = Encoder(SIZE).eval()
    copy_weights(encoder, part)
    particles, mask, jets = synthetic_jets([20, 7, 2, 13])
    particles = massless(particles)
    features, p4 = encoder.preprocess(particles, mask, jets)
    # Self pairs hold nothing but rounding in fp32; float64 gives weaver-core the exact answer too.
    v = torch.where(mask.unsqueeze(1), p4.double().transpose(1, 2), 0.0)
    v[:, 3] = v[:, :3].norm(dim=1)
    part, features = part.double(), features.double().transpose(1, 2).requires_grad_()
    expected = part(features, v, mask.unsqueeze(1))
    mine = encoder(particles, mask, jets).jet
    torch.testing.assert_close(mine.double(), expected, rtol=1e-3, atol=1e-3)
    if gradients:
        weights = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1))
        (expected * weights).sum().backward()
        (mine * weights).sum().backward()
        pairs = [(encoder.embedding.layers[0].weight, part.embed.embed[1].weight.grad)]
        for to, block in zip(encoder.blocks, part.blocks, strict=True):
            pairs += [(to.qkv.weight, block.attn.in_proj.weight.grad), (to.head_scale, block.c_attn.grad)]
        for to, block in zip(encoder.class_blocks, part.cls_blocks, strict=True):
            grads = block.attn.in_proj.weight.grad.chunk(3)
            pairs += [(getattr(to, name).weight, grad) for name, grad in zip("qkv", grads, strict=True)]
        for weight, grad in pairs:
            assert weight.grad is not None
            assert (weight.grad - grad).norm() < 1e-2 * grad.norm()  # fp32 against float64
