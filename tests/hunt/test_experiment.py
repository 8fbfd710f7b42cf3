from dataclasses import replace

import numpy as np
import pytest

from jepa_coffea.bumphunt import counting_significance, fit_background
from jepa_coffea.bumphunt.ftest import f_test_rule
from jepa_coffea.cwola import Recipe, Windows
from jepa_coffea.cwola.classifiers import logistic
from jepa_coffea.cwola.sample import make_sample
from jepa_coffea.hunt.config import StatisticsConfig
from jepa_coffea.hunt.experiment import Method, run_experiment
from tests.cwola.toy import dijets

WINDOWS = Windows.single(2600, 3000, sidebands=(2200, 3600), fit_range=(2000, 5000), bins=25)
STATISTICS = StatisticsConfig(sqrt_s=13000, function="dijet2", goodness_toys=0)


def recipe(windows=WINDOWS):
    return Recipe(windows, {"": logistic()}, members=1, attribute_fraction=1)


def test_an_experiment_gives_each_window_and_efficiency_in_order_and_only_depends_on_the_seed():
    X, mass, ids, _ = dijets(3000)
    windows = Windows.overlapping([2100, 2400, 2800, 3300, 4000], fit_range=(2000, 5000), bins=25)
    method = Method(recipe(windows), (0.5, 0.1), STATISTICS)
    sample = make_sample(X, mass, ids)
    results = run_experiment(sample, method.seeded(5)).selections
    assert [(r.window, r.efficiency) for r in results] == [("A1", 0.5), ("A1", 0.1), ("A2", 0.5), ("A2", 0.1)]
    for one in results:
        assert abs(one.sideband_efficiency.b - one.function.b) < 4 * (
            one.sideband_efficiency.sigma_b + one.function.sigma_b
        )
    assert run_experiment(sample, method.seeded(5)).selections == results
    assert run_experiment(sample, method.seeded(6)).selections != results


def test_every_experiment_chooses_its_function_as_the_data_did():
    X, mass, ids, _ = dijets(3000)
    sample = make_sample(X, mass, ids)
    counts, edges = WINDOWS.histogram(mass), np.asarray(WINDOWS.edges)
    rule = f_test_rule((counts, edges), ("dijet2", "dijet3"), window=(2600, 3000), toys=100)
    method = Method(recipe(), (0.1,), StatisticsConfig(sqrt_s=13000, function="auto"))
    for critical, function in ((np.inf, "dijet2"), (-np.inf, "dijet3")):
        chosen = run_experiment(sample, replace(method, rules=(replace(rule, critical=(critical,)),)))
        named = run_experiment(sample, replace(method, statistics=StatisticsConfig(sqrt_s=13000, function=function)))
        assert chosen.selections == named.selections


def test_what_fails_leaves_the_rest_standing():
    X, mass, ids, _ = dijets(2500, high=3500)
    # No events in A4; no threshold at .0001.
    windows = Windows.overlapping([2100, 2400, 2800, 3200, 3600, 4000, 4600], fit_range=(2000, 5000), bins=25)
    found = run_experiment(
        make_sample(X, mass, ids), Method(recipe(windows), (0.3, 0.0001), STATISTICS), inclusive=True
    )
    problems = {(one.window, one.efficiency): one.function.problem for one in found.selections}
    assert problems["A1", 0.3] == problems["A2", 0.3] == ""
    assert "fewer than the 10000 that define a threshold" in problems["A1", 0.0001]
    assert "training events in the window" in problems["A4", 0.3]
    assert found.scores[3].problem == problems["A4", 0.3]
    assert np.isfinite(found.selections[0].function.z)
    assert len(found.inclusive) == 4
    assert np.isnan(found.z()[0][-1])


def test_what_is_counted_without_a_selection_is_the_whole_spectrum():
    X, mass, ids, _ = dijets(3000)
    sample, method = make_sample(X, mass, ids), Method(recipe(), (0.1,), STATISTICS)
    (one,) = run_experiment(sample, method, inclusive=True).inclusive
    assert one.n == ((mass >= 2600) & (mass < 3000)).sum()
    fit = fit_background((one.counts, WINDOWS.edges), "dijet2", window=(2600, 3000), toys=0)
    expected = fit.prediction()
    assert one.function.z == pytest.approx(counting_significance(one.n, expected.total, expected.sigma))
    assert one.sideband_efficiency is None
    assert one.label == "window, all events"
