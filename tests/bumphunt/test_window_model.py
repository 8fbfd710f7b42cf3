import numpy as np
import pytest

from jepa_coffea.bumphunt import HistogramError, fit_background
from jepa_coffea.bumphunt.window_model import window_model
from tests.bumphunt.conftest import Truth


def test_eigenvectors_add_up_to_the_covariance(truth: Truth) -> None:
    fit = fit_background((truth.observed(1), truth.edges), window=truth.window, toys=0)
    prediction = fit.prediction()
    model = window_model(fit, truth.bump(), prediction.edges)
    assert model.shifts.T @ model.shifts == pytest.approx(prediction.covariance, rel=1e-6)
    assert (model.up + model.down) / 2 == pytest.approx(np.broadcast_to(prediction.yields, model.up.shape))
    assert model.signal == pytest.approx(truth.bump()[truth.inside])
    assert model.observed.tolist() == fit.counts[truth.inside].tolist()


def test_counting_model_is_one_bin(truth: Truth) -> None:
    fit = fit_background((truth.observed(1), truth.edges), window=truth.window, toys=0)
    model = window_model(fit)
    assert model.background.shape == (1,)
    assert model.background.sum() == pytest.approx(fit.prediction().total, rel=1e-6)
    assert model.observed[0] == fit.counts[truth.inside].sum()


def test_refuses_a_fit_that_saw_the_window(truth: Truth) -> None:
    with pytest.raises(HistogramError, match="used twice"):
        window_model(fit_background((truth.observed(1), truth.edges), toys=0))
