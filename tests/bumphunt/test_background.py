from itertools import pairwise

import numpy as np
import pytest
from iminuit import Minuit, cost
from scipy import integrate

from jepa_coffea.bumphunt import FitError, HistogramError, check_expected_events, fit_background
from jepa_coffea.bumphunt.functions import DIJET_FAMILY
from tests.bumphunt.conftest import Truth


def test_equals_iminuits_own_extended_binned_likelihood(truth: Truth) -> None:
    """The same function, integrated by adaptive quadrature and fitted by iminuit's own cost, window masked."""
    n = truth.observed(1)
    fit = fit_background((n, truth.edges), "dijet2", window=truth.window, toys=0)

    # Numerical derivatives need parameters that are not strongly correlated: steps along those of the fit.
    def cumulative(edges: np.ndarray, a: float, b: float, c: float) -> np.ndarray:
        p0, p1, p2 = fit.parameters + fit.transform @ [a, b, c]

        def density(m: float) -> float:
            return np.exp(p0 + p1 * np.log1p(-m / 13000) - p2 * np.log(m / 13000))

        parts = [integrate.quad(density, low, high, epsabs=0)[0] for low, high in pairwise(edges)]
        return np.concatenate([[0], np.cumsum(parts)])

    likelihood = cost.ExtendedBinnedNLL(n, truth.edges, cumulative)
    likelihood.mask = ~truth.inside
    minuit = Minuit(likelihood, 0.3, -0.2, 0.1)
    minuit.migrad()
    minuit.hesse()
    assert minuit.valid
    assert fit.deviance == pytest.approx(minuit.fval, abs=1e-3)
    assert np.asarray(minuit.values) == pytest.approx(np.zeros(3), abs=0.01)
    covariance = fit.transform @ np.asarray(minuit.covariance) @ fit.transform.T
    assert fit.parameter_covariance == pytest.approx(covariance, rel=0.02)


def test_asimov_closes_exactly(truth: Truth) -> None:
    fit = fit_background((truth.background, truth.edges), "dijet3", window=truth.window, toys=0)
    assert fit.deviance == pytest.approx(0, abs=1e-6)
    assert fit.parameters[1:] == pytest.approx([10, 5, 0.2], rel=1e-3)
    assert fit.prediction().yields == pytest.approx(truth.background[truth.inside], rel=1e-4)


def test_window_does_not_enter_the_masked_fit(truth: Truth) -> None:
    n = truth.observed(2)
    other = np.where(truth.inside, 5 * n, n)
    a, b = (fit_background((c, truth.edges), window=truth.window, toys=0) for c in (n, other))
    assert a.parameters == pytest.approx(b.parameters, rel=1e-12)
    assert fit_background((other, truth.edges), toys=0).deviance > 10 * a.deviance


def test_prediction_covers_the_truth(truth: Truth) -> None:
    """Over many pseudo-data sets the pull of the window's prediction is a unit Gaussian."""
    expected = truth.background[truth.inside].sum()
    pulls = []
    for seed in range(120):
        prediction = fit_background((truth.observed(seed), truth.edges), window=truth.window, toys=0).prediction()
        pulls.append((prediction.total - expected) / prediction.sigma)
    assert np.mean(pulls) == pytest.approx(0, abs=3.5 / np.sqrt(120))
    assert np.std(pulls) == pytest.approx(1, abs=3.5 / np.sqrt(240))


def test_prediction_merges_bins_with_their_correlations(truth: Truth) -> None:
    fit = fit_background((truth.observed(3), truth.edges), window=truth.window, toys=0)
    fine, coarse = fit.prediction(), fit.prediction(truth.window)
    assert coarse.yields.shape == (1,)
    assert fine.total == pytest.approx(coarse.total, rel=1e-6)
    assert fine.sigma == pytest.approx(coarse.sigma, rel=1e-4)
    assert fine.sigma > 1.5 * np.sqrt(np.trace(fine.covariance))


def test_sampled_band_agrees_with_propagated_errors_where_they_are_small(truth: Truth) -> None:
    fit = fit_background((truth.observed(4), truth.edges), "dijet4", window=truth.window, toys=0)
    low, high = fit.band(samples=20000)
    errors = fit.prediction(truth.edges).errors
    small = errors / fit.expected < 0.1
    assert small.sum() > 15
    assert ((high - low) / 2)[small] == pytest.approx(errors[small], rel=0.06)
    assert np.all(low < fit.expected)
    assert np.all(fit.expected < high)


def test_signal_plus_background(truth: Truth) -> None:
    n = truth.background + 200 * truth.bump()
    fit = fit_background((n, truth.edges), window=truth.window, signal=truth.bump(), toys=0)
    assert fit.used.all()
    assert fit.signal_yield == pytest.approx(200, abs=0.1)
    assert fit.signal_error is not None
    assert 20 < fit.signal_error < 60
    deficit = fit_background((truth.background - 30 * truth.bump(), truth.edges), signal=truth.bump(), toys=0)
    assert deficit.signal_yield == pytest.approx(-30, abs=0.1)


@pytest.mark.parametrize("order", DIJET_FAMILY)
def test_strongly_correlated_parameters_stay_stable(truth: Truth, order: str) -> None:
    fit = fit_background((truth.observed(5), truth.edges), order, toys=0)
    # In the fit's own coordinates nothing is correlated; in the function's nearly everything is.
    assert fit.covariance == pytest.approx(np.eye(len(fit.parameters)), abs=0.2)
    sigma = np.sqrt(np.diag(fit.parameter_covariance))
    correlation = fit.parameter_covariance / np.outer(sigma, sigma)
    assert abs(correlation[0, 1]) > 0.95
    assert fit.deviance < 60


def test_goodness_of_fit_uses_toys(truth: Truth) -> None:
    good = fit_background((truth.observed(6), truth.edges), toys=400)
    assert good.p_value == pytest.approx(good.p_chi2, abs=0.1)
    assert good.p_value > 0.01
    bad = fit_background((truth.observed(6) * np.where(np.arange(30) % 2, 1.3, 0.8), truth.edges), toys=400)
    assert bad.p_value == pytest.approx(1 / 401)
    again = fit_background((truth.observed(6), truth.edges), toys=400)
    assert again.p_value == good.p_value


def test_zero_content_regions_are_fitted_not_skipped(truth: Truth) -> None:
    n = truth.observed(8, scale=0.01)
    assert (n == 0).sum() > 5
    fit = fit_background((n, truth.edges), "dijet2", window=truth.window, toys=200)
    assert fit.used.sum() == 26
    # An extended likelihood reproduces the number of events it saw.
    assert fit.expected[fit.used].sum() == pytest.approx(n[fit.used].sum(), rel=1e-6)


@pytest.mark.parametrize(
    ("counts", "kwargs", "error", "message"),
    [
        ("all zero", {}, HistogramError, "no events below the window"),
        ("all zero", {"window": None}, FitError, "only 0 bins with events"),
        ("few", {"function": "dijet5", "window": None}, FitError, "fewer parameters"),
        ("no right side", {}, HistogramError, "no events above the window"),
        ("good", {"window": (1500.0, 1600.0)}, HistogramError, "no bin edge"),
        ("good", {"sqrt_s": 13.0}, HistogramError, "TeV"),
        ("good", {"function": "spline"}, HistogramError, "no function is named"),
        ("good", {"signal": np.ones(3)}, HistogramError, "one entry for each"),
        ("good", {"signal": np.zeros(30)}, HistogramError, "positive somewhere"),
    ],
)
def test_refuses(truth: Truth, counts: str, kwargs: dict, error: type[Exception], message: str) -> None:
    n = truth.observed(9)
    if counts == "all zero":
        n = 0 * n
    if counts == "few":
        n = np.where(np.arange(30) < 4, 1.0, 0.0)
    if counts == "no right side":
        n[15:] = 0
    with pytest.raises(error, match=message):
        fit_background((n, truth.edges), **{"window": truth.window, **kwargs})


def test_a_runaway_fit_is_an_error_with_advice() -> None:
    """Counts that rise and fall again by ten orders: no falling function can describe the top of the range."""
    edges = np.linspace(1000, 12000, 12)
    with pytest.raises(FitError, match="fewer parameters"):
        fit_background(([1e9, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0], edges), "dijet5")


def test_too_few_expected_events_are_said_beforehand(truth: Truth) -> None:
    data = (20 * truth.background, truth.edges)
    check_expected_events(data, "dijet3", window=truth.window)
    with pytest.raises(HistogramError, match=r"at efficiency 0\.0001 .* fewer than 5 on a side"):
        check_expected_events(data, "dijet3", window=truth.window, efficiency=1e-4)
    low, high = ((float(truth.edges[i]), float(truth.edges[i + 2])) for i in (3, 20))
    with pytest.raises(HistogramError, match="dijet5 needs 250"):
        check_expected_events(data, "dijet5", window=low, efficiency=4e-4)
    with pytest.raises(HistogramError, match="on a side"):
        check_expected_events((truth.background / 100, truth.edges), "dijet2", window=high)
