import numpy as np
import pytest

from jepa_coffea.bumphunt import counting_significance, fit_background
from jepa_coffea.cwola import CWoLa, Windows
from jepa_coffea.cwola.classifiers import logistic
from jepa_coffea.cwola.fits import make_sample
from jepa_coffea.hunt.config import StatisticsConfig
from jepa_coffea.hunt.experiment import Method, count, run_experiment
from tests.cwola.toy import dijets

WINDOWS = Windows.single(2600, 3000, sidebands=(2200, 3600), fit_range=(2000, 5000), bins=25)
STATISTICS = StatisticsConfig(function="dijet2", goodness_toys=0)


def test_the_count_is_judged_with_the_fits_full_covariance():
    counts = WINDOWS.histogram(dijets(5000)[1])
    result, fit = count(counts, WINDOWS, WINDOWS.windows[0], 1.0, STATISTICS)
    direct = fit_background((counts, WINDOWS.edges), "dijet2", window=(2600, 3000), toys=0)
    covariance = direct.prediction().covariance
    assert fit is not None
    assert result.sigma_b == pytest.approx(np.sqrt(covariance.sum()))
    assert result.sigma_b > 1.5 * np.sqrt(np.trace(covariance))  # bins are correlated
    assert result.z == pytest.approx(counting_significance(result.n, result.b, result.sigma_b))


def test_a_spectrum_that_cannot_be_fitted_has_a_problem_and_no_number():
    counts = WINDOWS.histogram(dijets(5000)[1])
    counts[np.asarray(WINDOWS.edges)[:-1] >= 3000] = 0
    result, fit = count(counts, WINDOWS, WINDOWS.windows[0], 0.1, STATISTICS)
    assert fit is None
    assert "no events above the window" in result.problem
    assert np.isnan([result.b, result.sigma_b, result.z, result.p]).all()


def test_an_experiment_gives_each_window_and_efficiency_in_order_and_only_depends_on_the_seed():
    X, mass, ids, _ = dijets(3000)
    windows = Windows.overlapping([2100, 2400, 2800, 3300, 4000], fit_range=(2000, 5000), bins=25)
    method = Method(CWoLa(windows, logistic()), (0.5, 0.1), STATISTICS)
    sample = make_sample(X, mass, ids)
    results = run_experiment(sample, method.seeded(5))
    assert [(r.window, r.efficiency) for r in results] == [("A1", 0.5), ("A1", 0.1), ("A2", 0.5), ("A2", 0.1)]
    assert run_experiment(sample, method.seeded(5)) == results
    assert run_experiment(sample, method.seeded(6)) != results
