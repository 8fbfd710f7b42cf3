import numpy as np
import pytest
from scipy import stats
from sklearn.ensemble import HistGradientBoostingClassifier

from jepa_coffea.cwola import Folds, Recipe, Windows
from jepa_coffea.cwola.classifiers import gradient_boosting
from jepa_coffea.cwola.merits import auc
from jepa_coffea.cwola.sample import make_sample
from jepa_coffea.hunt.calibration import null_significances
from jepa_coffea.hunt.config import HuntError, StatisticsConfig
from jepa_coffea.hunt.experiment import Method
from jepa_coffea.hunt.pseudo import column_of, has_step, make_pseudo_data, mass_trend, trend_of
from jepa_coffea.hunt.selections import ESTIMATES, FUNCTION, SIDEBAND_EFFICIENCY
from tests.cwola.toy import dijets

WINDOWS = Windows.single(2600, 3000, sidebands=(2200, 3600), fit_range=(2000, 5000), bins=25)
STATISTICS = StatisticsConfig(sqrt_s=13000, function="dijet2")


def sample(events=20_000, *, signal=0, trend=0.0, seed=0):
    X, mass, ids, _ = dijets(events, signal=signal, seed=seed)
    X[:, 3] += trend * (mass - 2800) / 500
    return make_sample(X, mass, ids)


def test_counts_fluctuate_as_poisson_about_the_smooth_spectrum():
    pseudo = make_pseudo_data(sample(3000), WINDOWS, STATISTICS)
    counts = np.array([WINDOWS.histogram(pseudo.draw(seed).mass) for seed in range(300)])
    chi2 = ((counts.mean(axis=0) - pseudo.expected) ** 2 / (pseudo.expected / 300)).sum()
    assert stats.chi2.sf(chi2, len(pseudo.expected)) > 0.001
    assert (counts.var(axis=0) / pseudo.expected).mean() == pytest.approx(1, abs=0.06)


def test_a_signal_in_the_window_does_not_enter():
    with_signal, without = sample(signal=1000), sample()
    pseudo = make_pseudo_data(with_signal, WINDOWS, STATISTICS)
    assert not np.isin(pseudo.donors.hashes, with_signal.hashes[WINDOWS.windows[0].region(with_signal.mass) == 0]).any()
    clean = make_pseudo_data(without, WINDOWS, STATISTICS)
    inside = WINDOWS.bins_of(WINDOWS.windows[0])
    assert pseudo.expected[inside].sum() == pytest.approx(clean.expected[inside].sum(), rel=0.03)


def test_with_several_windows_the_fit_of_the_whole_spectrum_is_judged():
    both = Windows.overlapping([2000, 2300, 2600, 3000, 5000], bins=25)
    statistics = STATISTICS.model_copy(update={"goodness_toys": 100})
    data = sample(3000)
    assert make_pseudo_data(data, both, statistics).fit_p > 0.01
    assert make_pseudo_data(data, WINDOWS, statistics).fit_p is None  # that of the window is shown already
    mass = np.append(data.mass, np.random.default_rng(0).normal(2800, 60, 400))
    bump = make_sample(np.zeros((len(mass), 4)), mass, np.arange(len(mass)))
    assert make_pseudo_data(bump, both, statistics).fit_p < 0.01


def test_a_slow_trend_goes_on_through_the_window():
    data = sample(trend=1.0)
    pseudo = make_pseudo_data(data, WINDOWS, STATISTICS)
    draws = [pseudo.draw(seed) for seed in range(20)]
    mass, x = np.concatenate([d.mass for d in draws]), np.concatenate([d.X[:, 3] for d in draws])
    for low in range(2000, 3600, 200):
        drawn, real = ((m >= low) & (m < low + 200) for m in (mass, data.mass))
        error = np.sqrt(1 / drawn.sum() + 1 / real.sum())
        assert x[drawn].mean() == pytest.approx(data.X[real, 3].mean(), abs=0.05 + 3 * error)
        assert x[drawn].std() == pytest.approx(1, abs=0.1)


def test_matched_variables_follow_their_own_trend():
    X, mass, ids, _ = dijets(5000)
    rng = np.random.default_rng(3)
    data = make_sample(X, mass, ids, match=(mass / 2 + rng.normal(0, 30, 5000))[:, None])
    draw = make_pseudo_data(data, WINDOWS, STATISTICS).draw(0)
    assert draw.match is not None
    assert (draw.match[:, 0] - draw.mass / 2).std() == pytest.approx(30, rel=0.15)


def test_background_events_of_their_own_are_the_donors():
    data, background = sample(2000, seed=1), sample(20_000, trend=1.0, seed=2)
    pseudo = make_pseudo_data(data, WINDOWS, STATISTICS, background).draw(0)
    assert np.isin(pseudo.hashes, background.hashes).all()
    assert np.corrcoef(pseudo.mass, pseudo.X[:, 3])[0, 1] > 0.3


def truth(events, seed):
    """Features of every kind, all with a trend in the mass: integers, few values, bounded, with missing values."""
    X, mass, ids, _ = dijets(events, seed=seed)
    rng, far = np.random.default_rng(seed + 50), np.log(mass / 2800)
    integers = rng.poisson(50 * np.exp(0.3 * far))
    tags = rng.binomial(2, 0.2 + 0.1 * far)
    share = 1 / (1 + np.exp(-rng.normal(0.2 * far, 1.5)))
    missing = np.where(rng.random(events) < 0.1, -1.0, rng.gamma(3, np.exp(0.2 * far)))
    X = np.column_stack([X[:, 0], X[:, 1] + 0.3 * far, integers, tags, share, missing, np.full(events, 4.0)])
    return make_sample(X.astype(np.float32), mass, ids)


def test_trees_do_not_tell_pseudo_data_from_fresh_data():
    donors, fresh = truth(16_000, 1), truth(16_000, 2)
    drawn = make_pseudo_data(donors, WINDOWS, STATISTICS, donors).draw(3)
    assert (drawn.X[:, 2] == np.round(drawn.X[:, 2])).all()
    assert set(np.unique(drawn.X[:, 3])) == {0, 1, 2}
    assert 0 < drawn.X[:, 4].min() < drawn.X[:, 4].max() < 1
    assert np.mean(drawn.X[:, 5] == -1) == pytest.approx(0.1, abs=0.01)
    assert (drawn.X[:, 6] == 4).all()
    value, error = told_apart(drawn, fresh)
    assert value == pytest.approx(0.5, abs=3 * error)
    assert error < 0.01
    drawn.X[:, 2] += 0.3  # what was done to integers before
    assert told_apart(drawn, fresh)[0] > 0.9


def told_apart(drawn, fresh):
    """AUC of trees that are trained to tell pseudo-data from fresh data, and its error."""
    # The masses of both come from one spectrum, so that only features and their trends can differ.
    both = drawn.joined(fresh.take(WINDOWS.inside(fresh.mass)))
    made = np.arange(len(both.mass)) < len(drawn.mass)
    X = np.column_stack([both.X, np.log(both.mass)])
    train = both.hashes % np.uint64(2) == 0  # copies of an event are on one side
    trees = HistGradientBoostingClassifier(max_iter=40, max_leaf_nodes=15, random_state=0).fit(X[train], made[train])
    return auc(trees.predict_proba(X[~train])[:, 1], made[~train], ~made[~train])


def steps(events, seed):
    """Features with so many values that few come twice, or with a wall, or with a spike; all with a trend in the mass.

    An energy in whole GeV above a cut, missing energy in whole GeV, integers up to five times the number of events,
    such integers and -1 for most events, tenths and halves, an angle in towers, a count and zeros.
    """
    X, mass, ids, _ = dijets(events, features=1, seed=seed)
    rng, far = np.random.default_rng(seed + 50), np.log(mass / 2800)
    columns = [
        1000 + np.round(rng.exponential(3000 * (1 + 0.3 * far))),
        np.round(rng.exponential(40 * (1 + 0.3 * far))),
        np.floor(5 * events * rng.beta(2 + 0.3 * far, 2)),
        np.where(rng.random(events) < 0.6, -1, np.round(rng.gamma(3, events * np.exp(0.2 * far)))),
        np.round(rng.gamma(3, 500 * np.exp(0.2 * far)), 1),
        np.round(2 * rng.normal(1000 + 300 * far, 4000)) / 2,
        np.round(rng.normal(0.3 * far, 300) / 0.0873) * 0.0873,
        np.where(rng.random(events) < 0.4, 0, rng.poisson(50 * np.exp(0.2 * far))),
        X[:, 0],
    ]
    return make_sample(np.stack(columns, axis=1).astype(np.float32), mass, ids)


def test_features_with_many_values_stay_on_their_steps():
    donors, fresh = steps(16_000, 1), steps(16_000, 2)
    drawn = make_pseudo_data(donors, WINDOWS, STATISTICS, donors).draw(3)
    for feature in range(8):
        assert np.isin(drawn.X[:, feature], donors.X[:, feature]).all(), feature
        assert len(np.unique(drawn.X[:, feature])) > 30
    assert np.mean(drawn.X[:, 3] == -1) == pytest.approx(0.6, abs=0.02)
    assert np.mean(drawn.X[:, 7] == 0) == pytest.approx(0.4, abs=0.02)
    assert np.isin(drawn.X[:, 8], donors.X[:, 8]).mean() < 0.01
    value, error = told_apart(drawn, fresh)
    assert value == pytest.approx(0.5, abs=3 * error)
    assert error < 0.01


@pytest.mark.parametrize("decimals", [0, 9])
def test_trees_find_no_window_in_pseudo_data_above_a_cut(decimals):
    """Integers and others above a cut: all of them moved alike would leave a gap there, at every mass another."""
    windows = Windows.single(2600, 3000, sidebands=(2200, 3600), fit_range=(2200, 3600), bins=14)
    X, mass, ids, _ = dijets(8000, features=3, seed=0, low=2200.0, high=3600.0)
    rng, far = np.random.default_rng(50), np.log(mass / 2800)
    X[:, 0] = np.round(rng.exponential(3000 * (1 + 0.3 * far)), decimals)
    X[:, 1] = np.round(rng.exponential(5000 * (1 + 0.2 * far)), decimals)
    recipe = Recipe(windows, {"": gradient_boosting(max_iter=15)}, Folds(), members=1, attribute_fraction=1)
    method = Method(recipe, (0.1,), STATISTICS.model_copy(update={"goodness_toys": 0}))
    pseudo = make_pseudo_data(make_sample(X.astype(np.float32), mass, ids), windows, method.statistics)
    z = null_significances(pseudo, method, 40, seed=1)[:, :, 0]
    for estimate in (FUNCTION, SIDEBAND_EFFICIENCY):
        of_one = z[:, ESTIMATES.index(estimate)]
        assert of_one.mean() == pytest.approx(0, abs=0.5), estimate
        assert of_one.std() / np.sqrt(len(of_one)) < 0.25


def test_copies_of_an_event_keep_its_identity_and_the_seed_decides():
    pseudo = make_pseudo_data(sample(3000), WINDOWS, STATISTICS)
    draw = pseudo.draw(4)
    order = np.argsort(draw.hashes, kind="stable")
    same = np.diff(draw.hashes[order]) == 0
    assert same.any()
    first, second = draw.take(order[:-1][same]), draw.take(order[1:][same])
    assert (first.mass != second.mass).all()
    assert np.abs(first.X - second.X).max() < 0.5  # up to the noise of the fitted trend
    assert np.array_equal(pseudo.draw(4).mass, draw.mass)
    assert not np.array_equal(pseudo.draw(5).mass[:10], draw.mass[:10])


def test_too_few_events_to_take_features_from():
    data = sample(2000)
    with pytest.raises(HuntError, match="50 events to take features"):
        make_pseudo_data(data, WINDOWS, STATISTICS, data.take(np.arange(50)))


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
    assert column_of(rng.permutation(10_000)[:2000].astype(float)).values is not None
    assert list(column_of(np.where(rng.random(2000) < 0.6, -1, rng.integers(0, 10_000, 2000))).special) == [-1]
    assert list(column_of(np.where(rng.random(2000) < 0.4, 0, integer)).special) == [0]
    few = column_of(rng.poisson(50, 200).astype(float))
    assert few.values is not None
    assert not few.special.size


@pytest.mark.parametrize("step", [5, 1, 0.5, 0.1, 0.01, 0.0873, 1 / 3])
@pytest.mark.parametrize("start", [0, 0.5, -300])
def test_a_step_is_found_in_single_precision(step, start):
    x = start + step * np.round(np.random.default_rng(0).gamma(3, 1000, 2000))
    assert has_step(np.unique(x.astype(np.float32)).astype(float))


@pytest.mark.parametrize("size", [1e-6, 1, 1e3, 1e8])
def test_continuous_features_have_no_step(size):
    rng = np.random.default_rng(0)
    for x in (rng.normal(size=2000), rng.random(200), rng.exponential(size=2000), 5 + 0.01 * rng.normal(size=200)):
        assert not has_step(np.unique((size * x).astype(np.float32)).astype(float))


def test_the_spacing_of_the_numbers_of_a_computer_is_no_step():
    first, second = (0.1 + 1e-5 * np.random.default_rng(0).normal(size=(2, 2000))).astype(np.float32)
    assert not has_step(np.unique(np.abs(first - second)).astype(float))


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
