"""Pair features and pair bias against loops over pairs in float64."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from training.models.attention import MASKED
from training.models.pairs import EPSILON, STANDARDISE, PairBias, pair_features, pair_indices, triangle
from training.models.synthetic import synthetic_jets


def by_hand(a: list[float], b: list[float]) -> list[float]:
    """ln kT, ln z, ln Delta, ln m^2 of two massless particles, from the definitions."""
    (pt_a, eta_a, phi_a), (pt_b, eta_b, phi_b) = (
        (math.hypot(x, y), math.asinh(z / math.hypot(x, y)), math.atan2(y, x)) for x, y, z, _ in (a, b)
    )
    dphi = abs(phi_a - phi_b)
    dphi = min(dphi, 2 * math.pi - dphi)
    delta = max(math.hypot(eta_a - eta_b, dphi), EPSILON)
    soft = min(pt_a, pt_b)
    mass2 = 2 * pt_a * pt_b * (math.cosh(eta_a - eta_b) - math.cos(dphi))
    values = [soft * delta, soft / (pt_a + pt_b), delta, mass2]
    return [math.log(max(value, EPSILON)) for value in values]


def test_features_are_those_of_the_definitions() -> None:
    p4 = synthetic_jets([9, 9, 9], seed=3)[0][..., :4]
    # Across phi = pi, back to back in phi, collinear to 1e-3, and far forward.
    p4[0, 0], p4[0, 1] = torch.tensor([-30.0, 0.01, 5, 31]), torch.tensor([-20.0, -0.3, 5, 21])
    p4[0, 2], p4[0, 3] = torch.tensor([400.0, 0.0, 80, 408]), torch.tensor([399.0, 0.4, 80.1, 407])
    p4[0, 4], p4[0, 5] = torch.tensor([1.0, 1.0, 30.0, 30.1]), torch.tensor([1.0, 0.9, 29.0, 29.1])
    row, column = triangle(9, p4.device)
    got = pair_features(p4, row, column)
    for b in range(3):
        for k, (i, j) in enumerate(zip(row.tolist(), column.tolist(), strict=True)):
            if i == j:
                pt = math.hypot(*p4[b, i, :2].tolist())
                floor = math.log(EPSILON)
                expected = [max(math.log(pt) + floor, floor), math.log(0.5), floor, floor]
            else:
                expected = by_hand(p4[b, i].tolist(), p4[b, j].tolist())
            np.testing.assert_allclose(got[b, k], expected, atol=3e-3)


@pytest.mark.parametrize("n", [1, 2, 16, 128, 400])
def test_triangle_is_numpys(n: int) -> None:
    row, column = triangle(n, torch.device("cpu"))
    expected = np.tril_indices(n)
    assert np.array_equal(row, expected[0])
    assert np.array_equal(column, expected[1])


def slow(module: PairBias, p4: Tensor, mask: Tensor) -> Tensor:
    """The bias of every ordered pair, one by one, in the precision of ``module``."""
    b, n = mask.shape
    bias = torch.full((b, module.head.out_features, n, n), MASKED, dtype=torch.float64)
    constants = torch.tensor(STANDARDISE, dtype=torch.float64)
    for jet in range(b):
        for i in range(n):
            for j in range(n):
                if mask[jet, j]:
                    one = torch.tensor([0])
                    x = pair_features(p4[jet : jet + 1, [i, j]], one + 1, one)[0, 0].double()
                    x = (x - constants[:, 0]) * constants[:, 1]
                    for layer in module.layers:
                        x = torch.matmul(layer.weight, x) + layer.bias
                        x = x * 0.5 * (1 + torch.erf(x / 2**0.5))
                    bias[jet, :, i, j] = torch.matmul(module.head.weight, x) + module.head.bias
    return bias


@pytest.mark.parametrize("recompute", [False, True])
def test_bias_and_its_gradients(recompute: bool) -> None:
    torch.manual_seed(0)
    fast = PairBias((6, 5), 3, recompute=recompute).train()
    reference = PairBias((6, 5), 3)
    reference.load_state_dict(fast.state_dict())
    reference.double()
    particles, mask, _ = synthetic_jets([5, 2], seed=1)
    p4 = torch.where(mask.unsqueeze(-1), particles[..., :4], torch.tensor([1.0, 0.0, 0.0, 1.0]))
    got, expected = fast(p4, mask), slow(reference, p4, mask)
    torch.testing.assert_close(got.double(), expected, rtol=1e-4, atol=1e-4)
    # A weight of its own for each ordered pair, so that a gradient that forgets (j, i) shows.
    weights = torch.randn(got.shape, generator=torch.Generator().manual_seed(2))
    (got * weights).sum().backward()
    (expected * weights).sum().backward()
    for (name, mine), theirs in zip(fast.named_parameters(), reference.parameters(), strict=True):
        assert mine.grad is not None
        assert theirs.grad is not None
        torch.testing.assert_close(
            mine.grad.double(), theirs.grad, rtol=1e-3, atol=1e-3, msg=lambda m, n=name: f"{n}: {m}"
        )


def test_bias_is_symmetric_and_masks_keys() -> None:
    torch.manual_seed(0)
    particles, mask, _ = synthetic_jets([7, 3])
    bias = PairBias((4,), 2)(torch.where(mask.unsqueeze(-1), particles[..., :4], 1.0), mask)
    assert torch.equal(bias[0], bias[0].mT)
    assert torch.equal(bias[1, :, :3, :3], bias[1, :, :3, :3].mT)
    assert (bias[1, :, :, 3:] == MASKED).all()


def test_indices_are_built_once_a_length_and_serve_training_after_inference() -> None:
    pair_indices.cache_clear()
    bias = PairBias((8,), 2)
    particles, mask, _ = synthetic_jets([5, 3], width=16)
    with torch.inference_mode():
        bias(particles[..., :4], mask)
    bias(particles[..., :4], mask).sum().backward()
    assert pair_indices.cache_info().misses == 1
    row, column, square = pair_indices(16, torch.device("cpu"))
    expected = torch.tril_indices(16, 16)
    torch.testing.assert_close(torch.stack([row, column]), expected)
    assert (square[row, column] == torch.arange(len(row))).all()
    assert (square == square.T).all()
