"""The functions as they are exported, against double precision."""

import math

import numpy as np
import pytest
import torch

from training.models.elementary import asinh, atan2


@pytest.fixture(autouse=True)
def _exporting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)


def test_asinh_keeps_the_precision_of_small_arguments() -> None:
    x = np.concatenate([[0.0], np.geomspace(1e-12, 1e4, 4001)])
    x = np.concatenate([-x[::-1], x]).astype(np.float32)
    expected = np.arcsinh(x.astype(np.float64))
    np.testing.assert_allclose(asinh(torch.from_numpy(x)).numpy(), expected, rtol=4e-7, atol=0)


def test_angles_all_around() -> None:
    phi = np.linspace(-math.pi, math.pi, 20_001)[1:]
    for length in (1e-6, 1.0, 1e4):
        x, y = (length * np.cos(phi)).astype(np.float32), (length * np.sin(phi)).astype(np.float32)
        expected = np.arctan2(y.astype(np.float64), x.astype(np.float64))
        np.testing.assert_allclose(atan2(torch.from_numpy(y), torch.from_numpy(x)).numpy(), expected, rtol=4e-7)


@pytest.mark.parametrize(("y", "x", "expected"), [(0, 0, 0), (0, 1, 0), (0, -1, math.pi), (1, 0, math.pi / 2)])
def test_axes(y: float, x: float, expected: float) -> None:
    assert float(atan2(torch.tensor(float(y)), torch.tensor(float(x)))) == pytest.approx(expected, rel=1e-7)
