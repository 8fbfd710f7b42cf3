import numpy as np
import pytest

from jepa_coffea.bumphunt import HistogramError, fit_background, function_envelope
from jepa_coffea.bumphunt.envelope import spurious_signal
from tests.bumphunt.conftest import Truth


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
