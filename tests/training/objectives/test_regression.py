"""Ridge regressions against scikit-learn's."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from training.objectives.regression import RIDGE, RunningRidge, explained_variance, r_squared, with_squares


def rows(seed: int, number: int = 400) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(number, 4, generator=rng)
    noise = torch.randn(number, 3, generator=rng)
    y = torch.stack([x[:, 0] * x[:, 1], x[:, 2] + 2, x[:, 3].square()], dim=1) + 0.5 * noise
    return x, y


def test_squares_are_those_of_sklearn() -> None:
    x, _ = rows(0, 5)
    expected = PolynomialFeatures(2, include_bias=False).fit_transform(x.numpy())
    np.testing.assert_allclose(with_squares(x), expected, rtol=1e-6)


def test_explained_variance_is_that_of_sklearn() -> None:
    x, y = rows(1)
    fit = torch.arange(400) % 2 == 0
    scaler = StandardScaler().fit(x[fit])
    ridge = Ridge(RIDGE * 200).fit(scaler.transform(x[fit]), y[fit])
    expected = r2_score(y[~fit], ridge.predict(scaler.transform(x[~fit])), multioutput="variance_weighted")
    assert explained_variance(x, y, fit) == pytest.approx(expected, abs=2e-4)
    assert explained_variance(with_squares(x), y, fit) > expected + 0.3


def test_r_squared() -> None:
    _, y = rows(2)
    assert r_squared(y, y) == 1
    assert r_squared(y.mean(0).expand_as(y), y) == pytest.approx(0, abs=1e-6)
    assert r_squared(-y, y) < 0


def test_running_ridge_is_the_weighted_ridge_of_all_batches() -> None:
    running = RunningRidge(4, 3, momentum=0.5)
    assert torch.equal(running.predict(rows(3)[0]), torch.zeros(400, 3))
    batches = [rows(seed, number) for seed, number in ((4, 300), (5, 500))]
    for x, y in batches:
        weights = torch.ones(len(x))
        weights[-50:] = 0
        running.update(x, y, weights)
    # Each batch counts once, the first half as much as the second; what has no weight does not count.
    x, y = (torch.cat([batch[part][:-50] for batch in batches]).double().numpy() for part in (0, 1))
    share = np.repeat([0.25 / 250, 0.5 / 450], [250, 450])
    share = share / share.sum()
    ridge = Ridge(RIDGE).fit(PolynomialFeatures(2, include_bias=False).fit_transform(x), y, sample_weight=share)
    new = rows(6)[0]
    expected = ridge.predict(PolynomialFeatures(2, include_bias=False).fit_transform(new.numpy()))
    np.testing.assert_allclose(running.predict(new), expected, rtol=1e-3, atol=1e-3)
