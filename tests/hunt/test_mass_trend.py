import numpy as np
import pytest

from jepa_coffea.hunt.mass_trend import column_of, mass_trend, trend_of


def features(curvature, count=16, events=4000, seed=0):
    """Correlated features; the first is curved in log(mass), by so much a unit of (log(mass) / .25)^2."""
    rng = np.random.default_rng(seed)
    mass = 2200 * np.exp(rng.uniform(0, 0.5, events))
    X = rng.normal(size=(events, count)) + 0.5 * rng.normal(size=(events, 1))
    X[:, 0] += curvature * (np.log(mass / 2800) / 0.25) ** 2
    return X, mass


def squared_pulls(trend, X, mass):
    """All curvatures together in units of their errors, squared: what a classifier can find of them."""
    design = np.stack([np.ones_like(mass), np.log(mass / 1000), np.log(mass / 1000) ** 2], axis=1)
    residuals = X - design @ np.linalg.lstsq(design, X, rcond=None)[0]
    variance = np.linalg.inv(design.T @ design)[2, 2] * np.cov(residuals, rowvar=False)
    return float(trend[1] @ np.linalg.solve(variance, trend[1]))


def test_curvature_that_is_noise_is_not_put_into_the_features():
    found = [squared_pulls(trend_of(X, mass), X, mass) for X, mass in (features(0, seed=s) for s in range(60))]
    # Sixteen as fitted; what is left of their fluctuation about 16, std sqrt(32), is its positive part.
    assert np.median(found) < 1
    assert np.mean(found) == pytest.approx(np.sqrt(32 / (2 * np.pi)), abs=1.5)


@pytest.mark.parametrize("curvature", [0.2, 1.0])
def test_true_curvature_stays(curvature):
    true = np.zeros((2, 16))
    true[1, 0] = curvature / 0.25**2
    samples = [features(curvature, seed=s) for s in range(60)]
    found = np.mean([squared_pulls(trend_of(X, mass), X, mass) for X, mass in samples])
    expected = np.mean([squared_pulls(true, X, mass) for X, mass in samples])
    assert expected > 10
    # What stands out by three errors is kept with its noise: rather too much curvature than too little.
    assert 0.95 * expected < found < 1.1 * expected + 5
    one = np.mean([trend_of(X, mass)[1, 0] for X, mass in samples])
    assert one == pytest.approx(true[1, 0], rel=0.5 if curvature < 1 else 0.05)


def test_the_trend_does_not_depend_on_units_and_stands_constant_and_repeated_features():
    X, mass = features(0.3)
    X = np.concatenate([X, np.full((len(X), 1), 7.0), X[:, :1]], axis=1)
    units = np.geomspace(1e-3, 1e3, X.shape[1])
    np.testing.assert_allclose(trend_of(X * units, mass), trend_of(X, mass) * units, rtol=1e-6, atol=1e-9)
    assert np.abs(trend_of(X, mass)[:, -2]).max() < 1e-9


def carried(x, mass, there, seed=0):
    trend = mass_trend(x[:, None], mass)
    return trend.carried(x[:, None], mass, np.full(len(x), there), np.random.default_rng(seed))[:, 0]


def test_kinds_of_features():
    rng = np.random.default_rng(0)
    normal, integer = rng.normal(size=2000), rng.poisson(50, 2000).astype(float)
    assert column_of(normal).values is None
    assert column_of(integer).values is not None
    assert not column_of(integer).is_class
    assert column_of(np.log(integer)).values is not None
    assert column_of(rng.integers(0, 3, 2000).astype(float)).is_class
    assert list(column_of(np.where(rng.random(2000) < 0.6, -1, normal)).special) == [-1]
    assert list(column_of(np.where(rng.random(2000) < 0.1, -999, integer)).special) == [-999]
    assert column_of(np.full(2000, 7.0)).is_class


def test_the_mean_of_an_integer_moves_as_its_trend_says():
    rng = np.random.default_rng(1)
    mass = rng.uniform(2000, 4000, 40_000)
    x = rng.poisson(50 + 10 * np.log(mass / 2800)).astype(float)
    for there in (2200.0, 3600.0):
        made = carried(x, mass, there)
        assert (made == np.round(made)).all()
        assert made.mean() == pytest.approx(50 + 10 * np.log(there / 2800), abs=0.3)
        assert made.var() == pytest.approx(made.mean(), rel=0.06)


def test_probabilities_of_few_values_have_the_trend():
    rng = np.random.default_rng(2)
    mass = rng.uniform(2000, 4000, 40_000)
    x = rng.binomial(2, 0.15 + 0.2 * np.log(mass / 2000)).astype(float)
    for there in (2200.0, 3600.0):
        p = 0.15 + 0.2 * np.log(there / 2000)
        shares = [np.mean(carried(x, mass, there) == k) for k in range(3)]
        assert shares == pytest.approx([(1 - p) ** 2, 2 * p * (1 - p), p**2], abs=0.02)


def test_bounded_features_stay_within_their_bounds_and_at_their_own_mass_events_stay_what_they_are():
    rng = np.random.default_rng(3)
    mass = rng.uniform(2000, 4000, 5000)
    x = rng.beta(2, 2, 5000) * 0.5 + 0.5 * (mass - 2000) / 2000
    made = carried(x, mass, 4000.0)
    assert x.min() <= made.min() < made.max() <= x.max()
    trend = mass_trend(x[:, None], mass)
    np.testing.assert_allclose(trend.carried(x[:, None], mass, mass, rng)[:, 0], x)
