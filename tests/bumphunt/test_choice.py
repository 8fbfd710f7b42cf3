import numpy as np
import pytest
from scipy import stats

from jepa_coffea.bumphunt import FitError, HistogramError, choose_order, fit_background, function_envelope
from jepa_coffea.bumphunt.choice import spurious_signal
from tests.bumphunt.conftest import Truth


def test_f_test_is_the_textbook_formula(truth: Truth) -> None:
    data = (truth.observed(1), truth.edges)
    choice = choose_order(data, ("dijet2", "dijet3"), window=truth.window, toys=400)
    one, two = (fit_background(data, name, window=truth.window, toys=0) for name in ("dijet2", "dijet3"))
    step = choice.steps[0]
    assert step.f == pytest.approx((one.deviance - two.deviance) / (two.deviance / two.ndof))
    assert step.p_fisher == pytest.approx(stats.f.sf(step.f, 1, two.ndof))
    # With hundreds of events a bin the toys follow the F distribution.
    assert step.p_value == pytest.approx(step.p_fisher, abs=0.1)


def test_stops_at_the_order_that_the_data_need(truth: Truth) -> None:
    centres = (truth.edges[1:] + truth.edges[:-1]) / 2
    curved = truth.background * 50 * np.exp(1.5 * np.log(centres / 3000) ** 2)
    counts = np.random.default_rng(0).poisson(curved).astype(float)
    choice = choose_order((counts, truth.edges), toys=200)
    assert choice.function != "dijet2"
    assert choice.steps[0].p_value < 0.05
    assert choice.steps[-1].richer not in (choice.function,) or "richest" in choice.stopped
    assert fit_background((counts, truth.edges), choice.function).p_value > 0.01


def test_false_improvements_are_as_rare_as_the_threshold(truth: Truth) -> None:
    null = fit_background((truth.observed(2), truth.edges), "dijet2", toys=0)
    rng = np.random.default_rng(1)
    p = [
        choose_order((rng.poisson(null.expected), truth.edges), ("dijet2", "dijet3"), toys=80, seed=i).steps[0].p_value
        for i in range(40)
    ]
    assert stats.kstest(p, "uniform").pvalue > 0.005
    assert np.mean(np.array(p) < 0.1) < 0.3


def test_an_order_that_cannot_be_fitted_ends_the_search_with_the_reason(truth: Truth) -> None:
    counts = np.zeros(30)
    counts[:4] = [9, 5, 2, 1]
    choice = choose_order((counts, truth.edges), ("dijet2", "dijet5"), toys=50)
    assert choice.function == "dijet2"
    assert "cannot be fitted" in choice.stopped
    with pytest.raises(FitError):
        choose_order((counts, truth.edges), ("dijet5",))


def test_envelope(truth: Truth) -> None:
    data = (truth.observed(3), truth.edges)
    envelope = function_envelope(data, "dijet3", ("expdijet2", "expdijet3", "powexp3"), window=truth.window, toys=100)
    assert envelope.functions == ("dijet3", "expdijet2", "expdijet3", "powexp3")
    for name, total in zip(envelope.functions, envelope.totals, strict=True):
        alone = fit_background(data, name, window=truth.window, toys=0).prediction().total
        assert total == pytest.approx(alone)
    accepted = envelope.totals[envelope.accepted]
    assert envelope.systematic == pytest.approx(np.abs(accepted - envelope.totals[0]).max())
    assert envelope.sigma >= envelope.sigmas[0]
    assert envelope.failed == ()


def test_envelope_leaves_out_functions_that_do_not_fit(truth: Truth) -> None:
    counts = np.random.default_rng(5).poisson(200 * truth.background).astype(float)
    envelope = function_envelope((counts, truth.edges), "dijet3", ("expdijet2",), window=truth.window, toys=100)
    assert envelope.accepted.tolist() == [True, False]
    assert envelope.systematic == 0


def test_spurious_signal(truth: Truth) -> None:
    data = (truth.observed(4), truth.edges)
    stiff = spurious_signal(data, "dijet2", "powexp3")
    flexible = spurious_signal(data, "dijet4", "powexp3")
    assert np.abs(flexible.ratios).max() < np.abs(stiff.ratios).max()
    assert flexible.passed
    # Ten times the data shrink the errors and not the bias: a stiff function must then fail.
    many = spurious_signal((100 * truth.background, truth.edges), "expdijet2", "dijet3")
    assert not many.passed
    with pytest.raises(HistogramError, match="by construction"):
        spurious_signal(data, "dijet3", "dijet3")
