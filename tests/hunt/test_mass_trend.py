import numpy as np
import pytest
from scipy import stats

from jepa_coffea.hunt.feature_kinds import column_of
from jepa_coffea.hunt.mass_trend import mass_trend, trend_of


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


def test_neither_is_that_of_many_features_of_few_events():
    """Hundreds of numbers of an embedding and a thousand events: the covariance behind the errors is poorly known."""
    found = []
    for seed in range(12):
        X, mass = features(0, count=300, events=1000, seed=seed)
        design = np.stack([np.ones_like(mass), np.log(mass / 1000), np.log(mass / 1000) ** 2], axis=1)
        true = np.linalg.inv(design.T @ design)[2, 2] * (np.eye(300) + 0.25)  # the covariance of the curvatures
        curvature = trend_of(X, mass)[1]
        found.append(float(curvature @ np.linalg.solve(true, curvature)))
    # 300 as fitted. Hotelling's T^2 of 300 and 697 has a mean of 528 and a standard deviation of 57: the positive part
    # that is left is .4 * 57 / 528 of 300 on average.
    assert np.mean(found) == pytest.approx(0.4 * 57 / 528 * 300, abs=12)


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


def test_integers_next_to_a_wall_are_scaled():
    rng = np.random.default_rng(4)
    mass = rng.uniform(2000, 4000, 40_000)
    x = 200 + np.floor(rng.exponential(300 * (1 + 0.5 * np.log(mass / 2800))))
    assert list(column_of(x).walls) == [199.5]
    assert not column_of(rng.poisson(50, 40_000).astype(float)).walls.size
    for there in (2200.0, 3600.0):
        mean = 300 * (1 + 0.5 * np.log(there / 2800))
        made = carried(x, mass, there) - 200
        assert (made == np.round(made)).all()
        assert made.mean() == pytest.approx(mean, rel=0.03)
        for end in (20, 100, 300):
            assert np.mean(made < end) == pytest.approx(1 - np.exp(-end / mean), abs=0.01)


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


@pytest.mark.parametrize("decimals", [0, 9])
def test_what_scales_with_the_mass_keeps_its_distribution_in_units_of_it(decimals):
    """Like a jet's mass in GeV: its width goes with its mean, and few values lie next to zero."""
    rng = np.random.default_rng(6)
    mass = rng.uniform(2000, 4000, 40_000)
    x = np.round(rng.gamma(2, mass / 140), decimals)
    assert mass_trend(x[:, None], mass).spread == pytest.approx(1, abs=0.05)
    for there in (2200.0, 3600.0):
        made = carried(x, mass, there) / (there / 140)
        assert stats.kstest(made, stats.gamma(2).cdf).statistic < (0.01 if decimals else 0.03)


def test_a_width_that_does_not_depend_on_the_mass_is_left_alone():
    rng = np.random.default_rng(7)
    mass = rng.uniform(2000, 4000, 1000)
    found = [mass_trend(rng.standard_t(5, (1000, 50)), mass) for _ in range(10)]
    assert np.count_nonzero([trend.spread for trend in found]) <= 5
    assert sum(shape is not None for trend in found for shape in trend.shapes) <= 7


@pytest.mark.parametrize("special", [False, True])
def test_two_peaks_keep_their_places_and_change_their_sizes(special):
    """Like a tagger's score."""
    rng = np.random.default_rng(8)
    mass = rng.uniform(2000, 4000, 40_000)
    signal_like = rng.random(len(mass)) < 0.2 + 0.3 * np.log(mass / 2800)
    x = np.where(signal_like, rng.beta(40, 4, len(mass)), rng.beta(2, 20, len(mass)))
    if special:
        x = np.where(rng.random(len(mass)) < 0.1 + 0.2 * np.log(mass / 2000), -1, x)
    (shape,) = mass_trend(x[:, None], mass).shapes
    assert shape is not None
    for there in (2200.0, 3600.0):
        made = carried(x, mass, there)
        missing = 0.1 + 0.2 * np.log(there / 2000) if special else 0
        assert np.mean(made == -1) == pytest.approx(missing, abs=0.015)
        measured = made[made != -1]
        assert np.mean((measured > 0.5) & (measured < 0.6)) < 0.01
        assert np.mean(measured > 0.55) == pytest.approx(0.2 + 0.3 * np.log(there / 2800), abs=0.02)


def test_steps_stay_steps_where_the_shape_changes():
    rng = np.random.default_rng(9)
    mass = rng.uniform(2000, 4000, 20_000)
    high = rng.random(len(mass)) < 0.3 + 0.5 * np.log(mass / 2800)
    x = np.where(high, rng.poisson(120, len(mass)), rng.poisson(40, len(mass))).astype(float)
    assert mass_trend(x[:, None], mass).shapes[0] is not None
    made = carried(x, mass, 3600.0)
    assert np.isin(made, x).all()
    assert np.mean(made > 80) == pytest.approx(0.3 + 0.5 * np.log(3600 / 2800), abs=0.02)


def test_far_values_and_what_never_varies_make_no_width():
    rng = np.random.default_rng(10)
    mass = rng.uniform(2000, 4000, 2000)
    X = np.stack([rng.normal(size=2000), rng.standard_cauchy(2000) ** 3, np.full(2000, 0.1) + (mass > 3999)], axis=1)
    X[7, 0] = 1e6
    trend = mass_trend(X, mass)
    assert (trend.spread == 0).all()
    assert np.isfinite(trend.carried(X, mass, mass[::-1], rng)).all()
    everywhere = mass_trend(X, np.full(2000, 2500.0))
    assert (everywhere.spread == 0).all()


def test_a_pt_keeps_its_correlation_with_the_mass():
    """Shares between quantiles that change slowly would take it away."""
    rng = np.random.default_rng(11)
    mass, there = (1500 * (1 - rng.random(20_000) * (1 - 4.0**-5)) ** (-1 / 5) for _ in range(2))
    x = mass / np.cosh(0.65 * rng.random(20_000)) / 2 * (1 + 0.02 * np.abs(rng.normal(size=20_000)))
    made = mass_trend(x[:, None], mass).carried(x[:, None], mass, there, rng)[:, 0]
    assert np.std(made / there) == pytest.approx(np.std(x / mass), rel=0.05)
