"""Attention and blocks against their definitions, query by query, in float64: values and gradients."""

import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from training.models.attention import MASKED, Block, ClassBlock, explicit, fused, padding_bias

MASK = torch.tensor([[True] * 5, [True, True, True, False, False]])


def slow_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """Query by query and head by head."""
    b, h, n, c = q.shape
    out = torch.zeros_like(q)
    bias = bias.expand(b, h, n, k.shape[2])
    for jet in range(b):
        for head in range(h):
            for i in range(n):
                logits = [torch.dot(q[jet, head, i], key) / math.sqrt(c) for key in k[jet, head]]
                weights = torch.stack([(x + y).exp() for x, y in zip(logits, bias[jet, head, i], strict=True)])
                out[jet, head, i] = (weights / weights.sum()) @ v[jet, head]
    return out


@pytest.mark.parametrize("function", [explicit, fused])
def test_attention(function: object) -> None:
    rng = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 3, 5, 4, generator=rng, dtype=torch.float64).requires_grad_() for _ in range(3))
    bias = torch.randn(2, 3, 5, 5, generator=rng, dtype=torch.float64)
    bias = torch.where(MASK[:, None, None], bias, MASKED).requires_grad_()
    weights = torch.randn(2, 3, 5, 4, generator=rng, dtype=torch.float64)
    outputs, gradients = [], []
    for attend in (slow_attention, lambda *args: function(*args, 0.0)):
        output = attend(q, k, v, bias)
        outputs.append(output)
        gradients.append(torch.autograd.grad((output * weights).sum(), (q, k, v, bias)))
    torch.testing.assert_close(outputs[1], outputs[0])
    for mine, theirs in zip(gradients[1], gradients[0], strict=True):
        torch.testing.assert_close(mine, theirs)


def test_nothing_but_padding_stays_finite() -> None:
    q = torch.randn(1, 2, 3, 4, requires_grad=True)
    output = explicit(q, q, q, padding_bias(torch.zeros(1, 3, dtype=torch.bool)), 0.0)
    output.sum().backward()
    assert output.isfinite().all()
    assert q.grad is not None
    assert q.grad.isfinite().all()


def scrambled(module: nn.Module) -> nn.Module:
    rng = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        parameter.data.copy_(0.3 * torch.randn(parameter.shape, generator=rng) + (parameter.dim() == 1))
    return module.double()


def slow_feed_forward(ff: nn.Module, x: Tensor) -> Tensor:
    hidden = ff.fc1(ff.norm(x))
    hidden = ff.hidden_norm(0.5 * hidden * (1 + torch.erf(hidden / math.sqrt(2))))
    return ff.fc2(hidden) + x * ff.residual_scale


def split_heads(x: Tensor, heads: int) -> Tensor:
    return torch.stack(x.chunk(heads, dim=-1), dim=1)


def merge(block: nn.Module, heads: Tensor) -> Tensor:
    y = block.out(torch.cat(list(heads.unbind(1)), dim=-1))
    y = torch.cat([part * s for part, s in zip(y.chunk(block.heads, dim=-1), block.head_scale, strict=True)], dim=-1)
    return block.out_norm(y)


def slow_block(block: nn.Module, x: Tensor, bias: Tensor) -> Tensor:
    q, k, v = (split_heads(part, block.heads) for part in block.qkv(block.norm(x)).chunk(3, dim=-1))
    return slow_feed_forward(block.feed_forward, x + merge(block, slow_attention(q, k, v, bias)))


def slow_class_block(block: nn.Module, token: Tensor, x: Tensor, bias: Tensor) -> Tensor:
    """Class attention as usual: keys and values of every particle, then one query."""
    u = block.norm(torch.cat([token.unsqueeze(1), x], dim=1))
    parts = (block.q(token.unsqueeze(1)), block.k(u), block.v(u))
    q, k, v = (split_heads(part, block.heads) for part in parts)
    seen = slow_attention(q, k, v, F.pad(bias, (1, 0)))
    return slow_feed_forward(block.feed_forward, token + merge(block, seen).squeeze(1))


def compare(mine: Tensor, theirs: Tensor, module: nn.Module) -> None:
    torch.testing.assert_close(mine, theirs)
    weights = torch.randn(mine.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    parameters = dict(module.named_parameters())
    grads = [torch.autograd.grad((y * weights).sum(), list(parameters.values())) for y in (mine, theirs)]
    for name, a, b in zip(parameters, *grads, strict=True):
        torch.testing.assert_close(a, b, msg=lambda m, n=name: f"{n}: {m}")


def test_block() -> None:
    rng = torch.Generator().manual_seed(1)
    block = scrambled(Block(6, 3))
    x = torch.randn(2, 5, 6, generator=rng, dtype=torch.float64)
    bias = torch.where(MASK[:, None, None], torch.randn(2, 3, 5, 5, generator=rng, dtype=torch.float64), MASKED)
    compare(block(x, bias), slow_block(block, x, bias), block)


def test_class_block() -> None:
    rng = torch.Generator().manual_seed(1)
    block = scrambled(ClassBlock(6, 3))
    x = torch.randn(2, 5, 6, generator=rng, dtype=torch.float64)
    token = torch.randn(2, 6, generator=rng, dtype=torch.float64)
    bias = padding_bias(MASK).double()
    compare(block(token, x, bias), slow_class_block(block, token, x, bias), block)
