import numpy as np
import pytest
from scipy import stats

from jepa_coffea.cwola import Windows
from jepa_coffea.cwola.fits import make_sample
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
