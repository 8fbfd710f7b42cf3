import numpy as np
import pytest
from scipy import special
from sklearn.linear_model import LogisticRegression

from jepa_coffea.bumphunt import HistogramError, check_expected_sides, counting_significance, fit_transfer_factor
from tests.bumphunt.conftest import Truth


def selected(truth: Truth, seed: int, tilt: float = 0.0, signal: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    centres = (truth.edges[1:] + truth.edges[:-1]) / 2
    total = rng.poisson(truth.background)
    passed = rng.binomial(total, special.expit(-3 + tilt * (centres - 3000) / 1000))
    extra = rng.multinomial(signal, np.append(truth.bump(), max(1 - truth.bump().sum(), 0)))[:-1]
    return (passed + extra).astype(float), (total + extra).astype(float)


def test_equals_scikit_learns_logistic_regression(truth: Truth) -> None:
    passed, total = selected(truth, 1, tilt=0.3)
    fit = fit_transfer_factor((passed, truth.edges), (total, truth.edges), window=truth.window)
    centres = (truth.edges[1:] + truth.edges[:-1]) / 2000
    side = ~truth.inside & (total > 0)
    X = np.repeat(centres[side], 2)[:, None]
    y = np.tile([1, 0], side.sum())
    weights = np.column_stack([passed, total - passed])[side].ravel()
    reference = LogisticRegression(C=1e9, tol=1e-10, max_iter=1000).fit(X, y, sample_weight=weights)
    assert fit.efficiency == pytest.approx(reference.predict_proba(centres[:, None])[:, 1], rel=1e-3)


@pytest.mark.parametrize("tilt", [0.0, 0.4])
def test_prediction_covers_the_truth(truth: Truth, tilt: float) -> None:
    z = []
    for seed in range(200):
        passed, total = selected(truth, seed, tilt)
        fit = fit_transfer_factor((passed, truth.edges), (total, truth.edges), window=truth.window)
        prediction = fit.prediction()
        z.append(counting_significance(passed[truth.inside].sum(), prediction.total, prediction.sigma))
    assert np.mean(z) == pytest.approx(0, abs=3.5 / np.sqrt(200))
    assert np.std(z) == pytest.approx(1, abs=3.5 / np.sqrt(400))


def test_finds_a_signal_and_judges_the_fit(truth: Truth) -> None:
    passed, total = selected(truth, 3, signal=120)
    fit = fit_transfer_factor((passed, truth.edges), (total, truth.edges), window=truth.window)
    prediction = fit.prediction()
    assert counting_significance(passed[truth.inside].sum(), prediction.total, prediction.sigma) > 4
    assert fit.p_value > 0.01
    bent = np.where(np.arange(30) % 2, passed, np.minimum(3 * passed, total))
    bad = fit_transfer_factor((bent, truth.edges), (total, truth.edges), window=truth.window)
    assert bad.p_value < 1e-6
    quadratic = fit_transfer_factor((passed, truth.edges), (total, truth.edges), window=truth.window, degree=2)
    assert quadratic.prediction().sigma > prediction.sigma


def test_expects_as_much_as_it_finds_where_as_many_fail_as_are_expected(truth: Truth) -> None:
    passed, total = selected(truth, 5, tilt=0.3)
    fit = fit_transfer_factor((passed, truth.edges), (total, truth.edges), window=truth.window)
    assert fit.failing == pytest.approx(total - passed)
    # Before the selection there are those that fail and those that are predicted to pass.
    same = fit.expecting(fit.failing + fit.expected)
    assert same.expected == pytest.approx(fit.expected)
    assert same.expected_covariance == pytest.approx(fit.expected_covariance)
    twice = fit.expecting(2 * (fit.failing + fit.expected))
    assert twice.prediction().total == pytest.approx(2 * fit.prediction().total)
    poisson = (fit.transfer_factor**2 * fit.failing)[truth.inside].sum()  # doubles, the rest is four times as much
    assert twice.prediction().sigma ** 2 == pytest.approx(4 * fit.prediction().sigma ** 2 - 2 * poisson)
    assert twice.counts is fit.counts


def test_refuses(truth: Truth) -> None:
    passed, total = selected(truth, 4)
    with pytest.raises(HistogramError, match="after the selection and"):
        fit_transfer_factor((total + 1, truth.edges), (total, truth.edges), window=truth.window)
    with pytest.raises(HistogramError, match="same edges"):
        fit_transfer_factor((passed, truth.edges + 1), (total, truth.edges), window=truth.window)
    below = truth.edges[1:] < 3000
    cut_passed, cut_total = np.where(below, 0, passed), np.where(below, 0, total)
    with pytest.raises(HistogramError, match="no events below"):
        fit_transfer_factor((cut_passed, truth.edges), (cut_total, truth.edges), window=truth.window)


def test_a_selection_that_is_expected_to_leave_enough_has_a_number_whatever_it_finds() -> None:
    """Five events are expected above the window: in a few of a thousand data sets there is none."""
    rng, z, empty = np.random.default_rng(3), [], 0
    edges = np.linspace(2300, 4500, 25)
    expected = 3000 * np.diff(edges**-6.0) / (edges[-1] ** -6.0 - edges[0] ** -6.0)
    window, inside = (float(edges[3]), float(edges[10])), slice(3, 10)
    share = 5 / expected[10:].sum()
    check_expected_sides((expected, edges), window=window, efficiency=1.001 * share)
    with pytest.raises(HistogramError, match="fewer than 5 on a side"):
        check_expected_sides((expected, edges), window=window, efficiency=0.99 * share)
    for _ in range(1000):
        total = rng.poisson(expected)
        passed = rng.binomial(total, share)
        prediction = fit_transfer_factor((passed, edges), (total, edges), window=window).prediction()
        z.append(counting_significance(passed[inside].sum(), prediction.total, prediction.sigma))
        empty += not passed[10:].any()
    assert empty > 0
    assert np.mean(z) == pytest.approx(0, abs=3.5 / np.sqrt(1000))
    assert np.std(z) == pytest.approx(1, abs=3.5 / np.sqrt(2000))


def test_the_goodness_of_fit_by_toys_is_uniform_where_few_events_pass() -> None:
    """About two events a bin pass: chi-squared calls a fifth of good fits worse than one in ten."""
    rng, p_values = np.random.default_rng(2), []
    edges = np.geomspace(2300, 4500, 25)
    expected = 2000 * np.diff(edges**-5.0) / (edges[-1] ** -5.0 - edges[0] ** -5.0)
    window = float(edges[3]), float(edges[9])
    for _ in range(200):
        total = rng.poisson(expected)
        passed = rng.binomial(total, 0.02)
        fits = [fit_transfer_factor((passed, edges), (total, edges), window=window, toys=toys) for toys in (0, 200)]
        p_values.append([fit.p_value for fit in fits])
    by_chi2, by_toys = (np.array(p_values) < 0.1).mean(axis=0)
    assert by_toys == pytest.approx(0.1, abs=3.5 * np.sqrt(0.09 / 200))
    assert by_chi2 > 0.18
    assert np.array(p_values)[:, 1].mean() == pytest.approx(0.5, abs=0.1)
    bad = fit_transfer_factor((np.arange(24) % 2 * total // 2, edges), (total, edges), window=window, toys=200)
    assert bad.p_value == pytest.approx(1 / 201)
