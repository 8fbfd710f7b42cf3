import numpy as np
import pytest

from jepa_coffea.bumphunt import (
    Gaussian,
    HistogramError,
    SignalSystematics,
    ZCalibration,
    calibrated_background,
    fit_background,
    fit_transfer_factor,
)
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


def test_function_and_calibration_are_nuisances_of_their_own(truth: Truth) -> None:
    fit = fit_background((truth.observed(1), truth.edges), window=truth.window, toys=0)
    bare = window_model(fit)
    calibration = ZCalibration(0.2, 1.3, 100, 1.1)
    model = window_model(fit, function_error=20.0, calibration=calibration)
    assert model.nuisances == ("fit_0", "function", "null_width")
    prediction = fit.prediction(truth.window)
    b, sigma = calibrated_background(prediction.total, float(np.hypot(prediction.sigma, 20)), calibration)
    assert model.background[0] == pytest.approx(b)
    assert model.sigma[0] == pytest.approx(sigma)
    assert model.calibration == calibration
    assert bare.nuisances == ("fit_0",)
    assert bare.calibration is None


def test_a_transfer_factor_makes_a_window_model_too(truth: Truth) -> None:
    total = truth.observed(1)
    passed = np.random.default_rng(0).binomial(total.astype(int), 0.1).astype(float)
    fit = fit_transfer_factor((passed, truth.edges), (total, truth.edges), window=truth.window)
    model = window_model(fit)
    assert model.observed[0] == passed[truth.inside].sum()
    assert model.background[0] == pytest.approx(fit.prediction().total)
    assert model.sigma[0] == pytest.approx(fit.prediction().sigma)


def test_signal_shapes_follow_the_bins(truth: Truth) -> None:
    fit = fit_background((truth.observed(1), truth.edges), window=truth.window, toys=0)
    systematics = SignalSystematics(luminosity=0.02, scale=0.02)
    shapes = systematics.shapes(Gaussian(0.05), truth.edges, 2700)
    signal = Gaussian(0.05).template(truth.edges, 2700)
    model = window_model(fit, signal, fit.prediction().edges, systematics=systematics, signal_shapes=shapes)
    assert model.signal_rates == {"luminosity": 0.02}
    up, down = shapes["scale"]
    assert model.signal_shifts["scale"] == pytest.approx(((up - down) / 2)[truth.inside])
    with pytest.raises(HistogramError, match="no signal shape"):
        window_model(fit, signal_shapes=shapes)
