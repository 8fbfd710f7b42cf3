from typing import Any

import numpy as np
import pytest

from jepa_coffea.bumphunt import (
    BackgroundFit,
    FitError,
    HistogramError,
    counting_significance,
    fit_background,
    function_uncertainty,
    scan,
    spurious_signal,
    spurious_yields,
)
from jepa_coffea.bumphunt.functions import FUNCTIONS
from jepa_coffea.bumphunt.spectrum import SpectrumLike
from tests.bumphunt.conftest import Truth


def test_every_accepted_alternate_is_tried_as_the_truth(truth: Truth) -> None:
    data = (truth.observed(3), truth.edges)
    found = function_uncertainty(data, "dijet2", window=truth.window, toys=100)
    assert found.truths == ("expdijet2", "expdijet3", "powexp3")
    for name, bias in zip(found.functions[1:], found.biases[1:], strict=True):
        curve = fit_background(data, name, window=truth.window, toys=0)
        nominal = fit_background((curve.expected, truth.edges), "dijet2", window=truth.window, toys=0)
        assert bias == pytest.approx(nominal.prediction().total - curve.expected[truth.inside].sum(), abs=1e-6)
    assert found.error == pytest.approx(max(np.abs(found.biases).max(), found.envelope))
    assert found.relative == pytest.approx(
        found.error / fit_background(data, "dijet2", window=truth.window).prediction().total
    )


def test_counting_it_covers_a_wrong_function(truth: Truth) -> None:
    """Many data, fitted by a function that cannot follow: Z is biased, and covered once the uncertainty is counted."""
    bare, counted = [], []
    for seed in range(12):
        n = np.random.default_rng(seed).poisson(200 * truth.background).astype(float)
        found = function_uncertainty(
            (n, truth.edges),
            "expdijet2",
            ("expdijet3", "powexp3", "dijet3"),
            window=truth.window,
            toys=0,
            threshold=0.01,
        )
        prediction = fit_background((n, truth.edges), "expdijet2", window=truth.window, toys=0).prediction()
        inside = n[truth.inside].sum()
        for zs, p in ((bare, prediction), (counted, prediction.widened(found.error))):
            zs.append(float(counting_significance(inside, p.total, p.sigma)))
    assert abs(np.mean(bare)) > 2
    assert np.abs(counted).mean() < 1.3


def test_spurious_yields_are_the_largest_of_all_truths(truth: Truth) -> None:
    data = (truth.observed(4), truth.edges)
    found = spurious_yields(data, "dijet2", masses=[2200, 2700, 3300], toys=100)
    assert found.events == pytest.approx(np.abs([study.spurious for study in found.studies]).max(axis=0))
    bare = scan(data, found.masses, function="dijet2", toys=0)
    counted = scan(data, found.masses, function="dijet2", spurious=found.events, toys=0)
    assert (np.abs(counted.z) <= np.abs(bare.z)).all()
    assert counted.spurious is not None
    assert counted.yields == pytest.approx(bare.yields)


@pytest.mark.parametrize("error", [FitError("boom"), ZeroDivisionError("boom"), np.linalg.LinAlgError("boom")])
def test_an_alternate_that_cannot_be_fitted_leaves_the_others(
    truth: Truth, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    data, how = (truth.observed(3), truth.edges), {"window": truth.window, "toys": 0}
    others = function_uncertainty(data, "dijet2", ("expdijet2", "expdijet3"), **how)
    faked = spurious_yields(data, "dijet2", ("expdijet2", "expdijet3"), masses=[2700], **how)

    def broken(spectrum: SpectrumLike, function: str, **options: Any) -> BackgroundFit:
        if function == "powexp3":
            raise error
        return fit_background(spectrum, function, **options)

    monkeypatch.setattr("jepa_coffea.bumphunt.envelope.fit_background", broken)
    found = function_uncertainty(data, "dijet2", **how)
    assert (found.error, found.failed, found.truths) == (others.error, ("powexp3: boom",), others.truths)
    assert found.error > 0
    left = spurious_yields(data, "dijet2", masses=[2700], **how)
    assert (left.events, left.rejected) == (faked.events, ("powexp3: boom",))


def test_a_truth_that_the_nominal_function_cannot_be_fitted_to_leaves_the_others(
    truth: Truth, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, fits = (truth.observed(3), truth.edges), []

    def broken(spectrum: SpectrumLike, function: str, **options: Any) -> BackgroundFit:
        fits.append(function)
        if fits.count("dijet2") == 2:
            fits.append("dijet2")
            raise np.linalg.LinAlgError("boom")
        return fit_background(spectrum, function, **options)

    monkeypatch.setattr("jepa_coffea.bumphunt.envelope.fit_background", broken)
    found = function_uncertainty(data, "dijet2", window=truth.window, toys=0)
    assert found.failed == ("expdijet2 as the truth: boom",)
    assert found.truths == ("expdijet3", "powexp3")


def test_no_alternate_that_fits_is_an_error(truth: Truth) -> None:
    wild = truth.observed(1) * np.where(np.arange(30) % 2, 1.4, 0.7)
    with pytest.raises(FitError, match="no alternate to dijet3 describes the data"):
        spurious_yields((wild, truth.edges), masses=[2700], toys=100)
    assert "expdijet3" in FUNCTIONS


def test_envelope(truth: Truth) -> None:
    data = (truth.observed(3), truth.edges)
    found = function_uncertainty(data, "dijet3", ("expdijet2", "expdijet3", "powexp3"), window=truth.window, toys=100)
    assert found.functions == ("dijet3", "expdijet2", "expdijet3", "powexp3")
    for name, total in zip(found.functions, found.totals, strict=True):
        alone = fit_background(data, name, window=truth.window, toys=0).prediction().total
        assert total == pytest.approx(alone)
    accepted = found.totals[found.accepted]
    assert found.envelope == pytest.approx(np.abs(accepted - found.totals[0]).max())
    assert found.total == found.totals[0]
    assert found.failed == ()


def test_envelope_leaves_out_functions_that_do_not_fit(truth: Truth) -> None:
    counts = np.random.default_rng(5).poisson(200 * truth.background).astype(float)
    found = function_uncertainty((counts, truth.edges), "dijet3", ("expdijet2",), window=truth.window, toys=100)
    assert found.accepted.tolist() == [True, False]
    assert found.envelope == 0
    assert np.isnan(found.biases).tolist() == [False, True]


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


def test_where_the_nominal_function_fits_poorly_others_count_that_do_so_as_well(truth: Truth) -> None:
    """One good spectrum in twenty fluctuates so: without this no function would be left to compare with."""
    for seed in range(200):
        data = truth.observed(seed), truth.edges
        if 0.015 < fit_background(data, "dijet3", window=truth.window, toys=500).p_value < 0.045:
            break
    found = function_uncertainty(data, "dijet3", window=truth.window)
    assert 0.01 < found.p_values[0] < 0.05
    assert found.accepted[0]
    assert (found.accepted == (found.p_values >= 0.01)).all()
    assert found.accepted[1:].any()
    assert found.error > 0
    assert spurious_yields(data, "dijet3", window=truth.window).studies
