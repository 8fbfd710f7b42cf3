import warnings

import numpy as np
import pyhf
import pytest
from scipy import optimize, stats

from jepa_coffea.bumphunt import HistogramError, fit_background
from jepa_coffea.bumphunt.limits import cls_limit
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
