import json
from pathlib import Path

import numpy as np
import pytest

from jepa_coffea.bumphunt import (
    HistogramError,
    SignalSystematics,
    ZCalibration,
    counting_significance,
    fit_background,
    scan,
)
from jepa_coffea.bumphunt.exports import pyhf_significance, workspace, write_workspace
from jepa_coffea.bumphunt.significance import Constraint
from jepa_coffea.bumphunt.window_model import WindowModel, window_model
from tests.bumphunt.conftest import Truth


@pytest.mark.parametrize(("seed", "signal", "scale"), [(1, 120, 1), (2, 60, 0.1), (3, 20, 0.01)])
def test_significance_read_back_equals_ours(
    truth: Truth, tmp_path: Path, seed: int, signal: float, scale: float
) -> None:
    fit = fit_background((truth.observed(seed, signal, scale), truth.edges), "dijet2", window=truth.window, toys=0)
    prediction = fit.prediction(truth.window)
    for constraint in ("gaussian", "poisson"):
        path = write_workspace(tmp_path / f"{constraint}.json", window_model(fit), constraint)
        ours = counting_significance(fit.spectrum.total(truth.window), prediction.total, prediction.sigma, constraint)
        assert ours > 1
        assert pyhf_significance(json.loads(path.read_text())) == pytest.approx(float(ours), rel=0.01)


def test_all_bins_of_the_window_come_near_the_full_fit(truth: Truth) -> None:
    n = truth.observed(4, signal=150)
    fit = fit_background((n, truth.edges), window=truth.window, toys=0)
    model = window_model(fit, truth.bump(), fit.prediction().edges)
    document = workspace(model)
    assert len(document["channels"][0]["samples"][1]["modifiers"]) == len(model.up)
    # The full fit also sees the 4 % of the signal beside the window.
    full = scan((n, truth.edges), [2700], toys=0)
    assert pyhf_significance(document) == pytest.approx(full.z[0], rel=0.08)


def test_poisson_needs_one_bin(truth: Truth) -> None:
    fit = fit_background((truth.observed(4), truth.edges), window=truth.window, toys=0)
    with pytest.raises(HistogramError, match="one bin"):
        workspace(window_model(fit, truth.bump(), fit.prediction().edges), "poisson")


@pytest.mark.parametrize("constraint", ["gaussian", "poisson"])
@pytest.mark.parametrize(("n", "b", "sigma"), [(2_104_000, 2_100_000, 800), (2_103_500, 2_100_000, 100), (12, 4, 6)])
def test_significance_at_large_counts_and_large_uncertainties(
    n: float, b: float, sigma: float, constraint: Constraint
) -> None:
    one = np.ones(1)
    model = WindowModel("w", np.array([0.0, 1.0]), n * one, b * one, one, np.array([[float(sigma)]]), ("fit_0",))
    ours = counting_significance(n, b, sigma, constraint)
    assert pyhf_significance(workspace(model, constraint)) == pytest.approx(float(ours), rel=1e-3)


def test_the_document_says_whether_it_is_calibrated(truth: Truth) -> None:
    fit = fit_background((truth.observed(4, 150), truth.edges), window=truth.window, toys=0)
    bare = workspace(window_model(fit))
    assert bare["measurements"][1]["name"].startswith("Not calibrated")
    calibration = ZCalibration(0.1, 1.3, 100, 2.0)
    document = workspace(window_model(fit, calibration=calibration, systematics=SignalSystematics(luminosity=0.02)))
    assert document["measurements"][1]["name"] == calibration.sentence
    names = [modifier["name"] for modifier in document["channels"][0]["samples"][1]["modifiers"]]
    assert "window_null_width" in names
    assert {"name": "luminosity", "type": "normsys", "data": {"hi": 1.02, "lo": 1 / 1.02}} in document["channels"][0][
        "samples"
    ][0]["modifiers"]
    # (Z - mean) / width, in the Gaussian limit.
    assert pyhf_significance(document) == pytest.approx((pyhf_significance(bare) - 0.1) / 1.3, abs=0.15)
