import warnings
from dataclasses import replace

import numpy as np
import pyhf
import pytest
from scipy import optimize, stats

from jepa_coffea.bumphunt import Gaussian, HistogramError, SignalSystematics, fit_background
from jepa_coffea.bumphunt.exports import workspace
from jepa_coffea.bumphunt.limits import cls_limit, counting_limit
from jepa_coffea.bumphunt.window_model import WindowModel, window_model
from tests.bumphunt.conftest import Truth


def counting(n: float, b: float, sigma: float) -> WindowModel:
    edges, one = np.array([0.0, 1.0]), np.ones(1)
    return WindowModel("c", edges, n * one, b * one, one, np.array([[sigma]]), ("fit_0",))


def test_equals_the_exact_limit_of_a_counting_experiment() -> None:
    """With a known background, CLs is a ratio of two Poisson sums; many events make the asymptotic form good."""
    limit = cls_limit(counting(110, 100, 1e-3))

    def excess(s: float) -> float:
        return float(stats.poisson.cdf(110, 100 + s) / stats.poisson.cdf(110, 100) - 0.05)

    assert limit.strength == pytest.approx(optimize.brentq(excess, 0, 200), rel=0.03)
    assert np.all(np.diff(limit.expected_strength) > 0)
    assert limit.expected_strength[2] == pytest.approx(1.96 * 10, rel=0.1)


def test_cross_section_and_observed_against_expected(truth: Truth) -> None:
    fit = fit_background((truth.observed(5), truth.edges), window=truth.window, toys=0)
    limit = cls_limit(window_model(fit, 50 * truth.bump(), fit.prediction().edges), luminosity=140.0, efficiency=0.2)
    assert limit.events == pytest.approx(limit.strength * 50 * truth.bump()[truth.inside].sum())
    assert limit.cross_section == pytest.approx(limit.events / 28)
    assert limit.expected_events[0] / 2 < limit.events < 2 * limit.expected_events[4]
    again = cls_limit(window_model(fit))
    assert np.isnan(again.cross_section)


def test_leaves_pyhf_as_it_was() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = pyhf.get_backend()
    cls_limit(counting(10, 10, 1))
    assert pyhf.get_backend() == before


def test_refuses() -> None:
    with pytest.raises(HistogramError, match="between 0 and 1"):
        cls_limit(counting(1, 1, 1), level=95)
    with pytest.raises(HistogramError, match="efficiency"):
        cls_limit(counting(1, 1, 1), luminosity=10, efficiency=0)


@pytest.mark.parametrize("seed", [5, 6])
def test_several_bins_with_all_nuisances_equal_pyhf(truth: Truth, seed: int) -> None:
    """At our limit pyhf, with Minuit, finds CLs = 0.05."""
    fit = fit_background((truth.observed(seed), truth.edges), window=truth.window, toys=0)
    systematics = SignalSystematics(luminosity=0.05, efficiency=0.1)
    signal = 50 * Gaussian(0.05).template(truth.edges, 2700)
    shapes = SignalSystematics(scale=0.01).shapes(Gaussian(0.05), truth.edges, 2700)
    scaled = {name: (50 * up, 50 * down) for name, (up, down) in shapes.items()}
    edges = fit.prediction().edges
    model = window_model(fit, signal, edges, function_error=15.0, systematics=systematics, signal_shapes=scaled)
    limit = cls_limit(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = pyhf.get_backend()
        pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer(tolerance=1e-3))
        try:
            space = pyhf.Workspace(workspace(model))
            pdf = space.model(measurement_name="bump")
            observed, expected = pyhf.infer.hypotest(
                limit.strength, space.data(pdf), pdf, test_stat="qtilde", return_expected_set=True
            )
            median = pyhf.infer.hypotest(
                float(limit.expected_strength[2]), space.data(pdf), pdf, test_stat="qtilde", return_expected_set=True
            )[1][2]
        finally:
            pyhf.set_backend(*before)
    assert float(observed) == pytest.approx(0.05, abs=0.003)
    assert float(median) == pytest.approx(0.05, abs=0.003)
    assert len(expected) == 5
    assert limit.events > cls_limit(window_model(fit, signal, edges)).events


def test_two_million_events_in_a_window() -> None:
    limit = cls_limit(counting(2_100_000, 2_100_000, 1232))
    assert limit.events == pytest.approx(1.95996 * np.hypot(np.sqrt(2.1e6), 1232), rel=2e-3)
    two = np.array([1_200_000.0, 900_000.0])
    shifts = np.array([[1000.0, 720.0]])
    model = WindowModel("w", np.array([0.0, 1, 2]), two, two, np.array([0.6, 0.4]), shifts, ("fit_0",))
    # Two bins of nearly the same signal over background, correlated: nearly the one bin of both.
    assert cls_limit(model).events == pytest.approx(counting_limit(2.1e6, 2.1e6, 1720).events, rel=0.02)


@pytest.mark.parametrize(("n", "b", "sigma"), [(0, 2.0, 0.5), (4, 3.0, 0.8)])
def test_few_events_and_an_uncertain_signal_by_toys(n: float, b: float, sigma: float) -> None:
    """An uncertainty of 1 % changes nothing: toys then find the exact sum."""
    model = replace(counting(n, b, sigma), signal_rates={"luminosity": 0.01})
    toys = cls_limit(model, toys=2000)
    assert toys.method == "2000 toys per strength"
    assert toys.events == pytest.approx(counting_limit(n, b, sigma).events, rel=0.12)
    # Asymptotic, nothing seen excludes too much.
    assert n > 0 or toys.events > 1.1 * cls_limit(model).events
