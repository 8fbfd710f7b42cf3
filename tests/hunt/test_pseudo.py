import numpy as np
import pytest
from scipy import stats

from jepa_coffea.cwola import Windows
from jepa_coffea.cwola.sample import make_sample
from jepa_coffea.hunt.config import HuntError
from jepa_coffea.hunt.pseudo import make_pseudo_data, trend_of
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
