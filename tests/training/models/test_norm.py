"""Layer norms in half precision, as they are on a GPU."""

import pytest
import torch
from torch import nn

from training.models.norm import LayerNorm


def test_half_precision_stays_and_is_as_good(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    ours, reference = LayerNorm(64), nn.LayerNorm(64)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.uniform_(0.5, 1.5)
    reference.load_state_dict(ours.state_dict())
    exact = (3 * torch.randn(32, 64) + 5).bfloat16().requires_grad_()
    half = exact.detach().clone().requires_grad_()
    expected = reference(exact.float())
    monkeypatch.setattr(torch.Tensor, "is_cuda", True)
    got = ours(half)
    assert got.dtype == torch.bfloat16
    torch.testing.assert_close(got.float(), expected, rtol=1e-2, atol=1e-2)
    got.float().square().sum().backward()
    expected.square().sum().backward()
    for mine, theirs in zip(ours.parameters(), reference.parameters(), strict=True):
        assert mine.grad is not None
        assert theirs.grad is not None
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=2e-2, atol=2e-2)
    assert ours(half.detach().float()).dtype == torch.float32
