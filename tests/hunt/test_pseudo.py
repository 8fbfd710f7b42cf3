import numpy as np
import pytest
from scipy import stats
from sklearn.ensemble import HistGradientBoostingClassifier

from jepa_coffea.cwola import Windows
from jepa_coffea.cwola.merits import auc
from jepa_coffea.cwola.sample import make_sample
from jepa_coffea.hunt.config import HuntError
from jepa_coffea.hunt.pseudo import make_pseudo_data
from jepa_coffea.hunt.sections import StatisticsConfig
from tests.cwola.toy import dijets

WINDOWS = Windows.single(2600, 3000, sidebands=(2200, 3600), fit_range=(2000, 5000), bins=25)
STATISTICS = StatisticsConfig(function="dijet2")


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
    # The masses of both come from one spectrum, so that only features and their trends can differ.
    both = drawn.joined(fresh.take(WINDOWS.inside(fresh.mass)))
    made = np.arange(len(both.mass)) < len(drawn.mass)
    X = np.column_stack([both.X, np.log(both.mass)])
    train = both.hashes % np.uint64(2) == 0  # copies of an event are on one side
    trees = HistGradientBoostingClassifier(max_iter=40, max_leaf_nodes=15, random_state=0).fit(X[train], made[train])
    score, made = trees.predict_proba(X[~train])[:, 1], made[~train]
    value, error = auc(-score, made, ~made)
    assert value == pytest.approx(0.5, abs=3 * error)
    assert error < 0.01
    fractions = both.X.copy()
    fractions[: len(drawn.mass), 2] += 0.3  # what was done to integers before
    trees.fit(np.column_stack([fractions, X[:, -1]])[train], made_of(drawn, both)[train])
    assert trees.score(np.column_stack([fractions, X[:, -1]])[~train], made) > 0.9


def made_of(drawn, both):
    return np.arange(len(both.mass)) < len(drawn.mass)


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
