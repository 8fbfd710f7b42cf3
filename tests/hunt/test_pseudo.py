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
from jepa_coffea.hunt.pseudo import make_pseudo_data
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


def shapes(events, seed):
    """Features whose mean is not all that changes: in GeV, whole GeV, wider and wider, with two peaks, a pT."""
    X, mass, ids, _ = dijets(events, features=1, seed=seed)
    rng, far = np.random.default_rng(seed + 50), np.log(mass / 2800)
    columns = [
        rng.gamma(2, mass / 140),
        np.round(rng.gamma(2, mass / 140)),
        mass * np.exp(rng.normal(0, 0.1, events)),
        rng.normal(size=events) * (1 + 0.8 * far),
        np.where(rng.random(events) < 0.2 + 0.3 * far, rng.beta(8, 2, events), rng.beta(1, 10, events)),
        mass / np.cosh(0.65 * rng.random(events) ** (1 + 0.3 * far)) * (1 + 0.02 * np.abs(rng.normal(size=events))),
        X[:, 0],
    ]
    return make_sample(np.stack(columns, axis=1).astype(np.float32), mass, ids)


def test_features_whose_distribution_changes_with_the_mass_are_not_told_apart_either():
    donors, fresh = shapes(16_000, 1), shapes(16_000, 2)
    value, error = told_apart(make_pseudo_data(donors, WINDOWS, STATISTICS, donors).draw(3), fresh)
    assert value == pytest.approx(0.5, abs=3 * error)
    assert error < 0.01


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
    trees_find_no_window(X, mass, ids, windows)


def test_trees_find_no_window_in_pseudo_data_of_a_feature_in_gev():
    """Moved alike at all masses, it would have another shape at each of them."""
    windows = Windows.single(2600, 3000, sidebands=(2200, 3600), fit_range=(2200, 3600), bins=14)
    X, mass, ids, _ = dijets(8000, features=2, seed=0, low=2200.0, high=3600.0)
    X[:, 0] = np.random.default_rng(5).lognormal(4.3, 0.6, len(mass)) * mass / 2800
    trees_find_no_window(X, mass, ids, windows)


def trees_find_no_window(X, mass, ids, windows):
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
