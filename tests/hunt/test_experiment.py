from dataclasses import replace

import numpy as np
import pytest

from jepa_coffea.bumphunt import counting_significance, fit_background
from jepa_coffea.bumphunt.ftest import f_test_rule
from jepa_coffea.cwola import CWoLa, Windows
from jepa_coffea.cwola.classifiers import logistic
from jepa_coffea.cwola.fits import make_sample
from jepa_coffea.hunt.experiment import Method, count, estimate_by_template, run_experiment
from jepa_coffea.hunt.sections import StatisticsConfig
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
    assert [(r.window, r.efficiency) for r, _ in results] == [("A1", 0.5), ("A1", 0.1), ("A2", 0.5), ("A2", 0.1)]
    for counting, template in results:
        assert abs(template.b - counting.b) < 4 * (template.sigma_b + counting.sigma_b)
    assert run_experiment(sample, method.seeded(5)) == results
    assert run_experiment(sample, method.seeded(6)) != results


def test_every_experiment_chooses_its_function_as_the_data_did():
    X, mass, ids, _ = dijets(3000)
    sample = make_sample(X, mass, ids)
    counts, edges = WINDOWS.histogram(mass), np.asarray(WINDOWS.edges)
    rule = f_test_rule((counts, edges), ("dijet2", "dijet3"), window=(2600, 3000), toys=100)
    method = Method(CWoLa(WINDOWS, logistic()), (0.1,), StatisticsConfig(function="auto"))
    for critical, function in ((np.inf, "dijet2"), (-np.inf, "dijet3")):
        chosen = run_experiment(sample, replace(method, rules=(replace(rule, critical=(critical,)),)))
        named = run_experiment(sample, replace(method, statistics=StatisticsConfig(function=function)))
        assert chosen == named


def both_estimates(efficiency_of, seed):
    """Counting and template of 20 000 events that pass at random with a probability that depends on mass."""
    mass = dijets(20_000, seed=seed)[1]
    passed = np.random.default_rng(seed).random(len(mass)) < efficiency_of(mass)
    counts, total, window = WINDOWS.histogram(mass[passed]), WINDOWS.histogram(mass), WINDOWS.windows[0]
    counting, _ = count(counts, WINDOWS, window, 0.1, STATISTICS)
    return counting, estimate_by_template(counts, total, counting, WINDOWS, window, STATISTICS)


def test_two_estimates_of_a_smooth_background_agree_and_both_are_right():
    pulls = []
    for seed in range(8):
        counting, template = both_estimates(lambda mass: 0.1 + (mass - 2000) / 60_000, seed)
        assert template.z == pytest.approx(counting_significance(counting.n, template.b, template.sigma_b))
        pulls.append([template.pull, template.z, counting.z])
    assert (np.abs(pulls) < 3).all()


def test_odds_that_are_not_smooth_in_mass_are_seen_in_the_templates_own_fit():
    _, template = both_estimates(lambda mass: 0.1 + 0.1 * ((mass > 3000) & (mass < 3400)), 0)
    assert template.fit_p < 1e-6


def test_a_template_without_sidebands_says_so():
    mass = dijets(5000)[1]
    counts = WINDOWS.histogram(mass[mass < 3000])
    window = WINDOWS.windows[0]
    counting, _ = count(counts, WINDOWS, window, 0.1, STATISTICS)
    template = estimate_by_template(counts, WINDOWS.histogram(mass), counting, WINDOWS, window, STATISTICS)
    assert "no events above the window" in template.problem
    assert np.isnan([template.b, template.z, template.pull]).all()
