import numpy as np
import pytest
from scipy import stats

from jepa_coffea.bumphunt import FitError, f_test, fit_background
from jepa_coffea.bumphunt.ftest import f_test_rule, richest
from jepa_coffea.bumphunt.functions import DIJET_FAMILY
from tests.bumphunt.conftest import Truth


def test_f_test_is_the_textbook_formula(truth: Truth) -> None:
    data = (truth.observed(1), truth.edges)
    choice = f_test(data, ("dijet2", "dijet3"), window=truth.window, toys=400)
    one, two = (fit_background(data, name, window=truth.window, toys=0) for name in ("dijet2", "dijet3"))
    step = choice.steps[0]
    assert step.f == pytest.approx((one.deviance - two.deviance) / (two.deviance / two.ndof))
    assert step.p_fisher == pytest.approx(stats.f.sf(step.f, 1, two.ndof))
    # With hundreds of events per bin the toys follow the F distribution.
    assert step.p_value == pytest.approx(step.p_fisher, abs=0.1)


def test_stops_at_the_order_that_the_data_need(truth: Truth) -> None:
    centres = (truth.edges[1:] + truth.edges[:-1]) / 2
    curved = truth.background * 50 * np.exp(1.5 * np.log(centres / 3000) ** 2)
    counts = np.random.default_rng(0).poisson(curved).astype(float)
    choice = f_test((counts, truth.edges), toys=200)
    assert choice.function != "dijet2"
    assert choice.steps[0].p_value < 0.05
    assert choice.steps[-1].richer not in (choice.function,) or "richest" in choice.stopped
    assert fit_background((counts, truth.edges), choice.function).p_value > 0.01


def test_false_improvements_are_as_rare_as_the_threshold(truth: Truth) -> None:
    null = fit_background((truth.observed(2), truth.edges), "dijet2", toys=0)
    rng = np.random.default_rng(1)
    p = [
        f_test((rng.poisson(null.expected), truth.edges), ("dijet2", "dijet3"), toys=80, seed=i).steps[0].p_value
        for i in range(40)
    ]
    assert stats.kstest(p, "uniform").pvalue > 0.005
    assert np.mean(np.array(p) < 0.1) < 0.3


def test_an_order_that_cannot_be_fitted_ends_the_search_with_the_reason(truth: Truth) -> None:
    counts = np.zeros(30)
    counts[:4] = [9, 5, 2, 1]
    choice = f_test((counts, truth.edges), ("dijet2", "dijet5"), toys=50)
    assert choice.function == "dijet2"
    assert "cannot be fitted" in choice.stopped
    with pytest.raises(FitError):
        f_test((counts, truth.edges), ("dijet5",))


def test_the_rule_chooses_for_every_toy_what_the_choice_would(truth: Truth) -> None:
    rng = np.random.default_rng(0)
    centres = (truth.edges[1:] + truth.edges[:-1]) / 2
    bowed = truth.background * 20 * np.exp(np.log(centres / 3000) ** 2)
    chosen = []
    for seed, expected in enumerate((20 * truth.background, bowed)):
        data = rng.poisson(expected).astype(float)
        rule = f_test_rule((data, truth.edges), window=truth.window, toys=200, seed=seed)
        choice = f_test((data, truth.edges), window=truth.window, toys=200, seed=seed)
        chosen.append(richest([rule], data[None])[0])
        assert chosen[-1] == choice.function
        assert rule.functions == DIJET_FAMILY[: len(rule.functions)]
        step = choice.steps[0]
        assert (step.f > step.critical) == (step.p_value < 0.05)
        assert (step.critical,) == rule.critical[:1]
    assert chosen[0] != chosen[1]


def test_toys_of_the_simplest_function_take_a_richer_one_as_rarely_as_the_threshold_says(truth: Truth) -> None:
    null = fit_background((20 * truth.background, truth.edges), "dijet2", toys=0)
    toys = np.random.default_rng(1).poisson(null.expected, (400, len(null.expected))).astype(float)
    rule = f_test_rule((toys[0], truth.edges), window=truth.window, toys=500)
    assert (rule.choose(toys) > 0).mean() == pytest.approx(0.05, abs=0.04)
    # With several windows the richest of their choices is taken.
    other = f_test_rule((toys[0], truth.edges), window=None, toys=500)
    both = np.maximum(rule.choose(toys), other.choose(toys))
    assert [DIJET_FAMILY.index(name) for name in richest([rule, other], toys)] == both.tolist()
