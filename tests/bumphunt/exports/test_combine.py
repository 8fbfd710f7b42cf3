from pathlib import Path

import numpy as np
import pytest
import uproot

from jepa_coffea.bumphunt import Gaussian, SignalSystematics, ZCalibration, cls_limit, fit_background
from jepa_coffea.bumphunt.exports import pyhf_significance, workspace, write_combine
from jepa_coffea.bumphunt.window_model import WindowModel, window_model
from tests.bumphunt.conftest import Truth


def read_card(path: Path) -> WindowModel:
    """A reader of the datacard language that knows nothing of the writer: shapes line, rates, shape nuisances."""
    lines = [line.split() for line in path.read_text().splitlines() if not line.startswith(("-", "#"))]
    keyed = {line[0]: line[1:] for line in lines if line[0] not in ("bin", "process")}
    _, _, file, nominal, varied = keyed["shapes"]
    processes = next(line[1:] for line in lines if line[0] == "process")
    channel = next(line[1] for line in lines if line[0] == "bin")
    shapes = [line[0] for line in lines if line[1:] == ["shape", "-", "1"]]
    assert int(keyed["kmax"][0]) == len(shapes)
    with uproot.open(path.parent / file) as root:

        def get(process: str, systematic: str = "") -> np.ndarray:
            pattern = varied if systematic else nominal
            name = pattern.replace("$CHANNEL", channel).replace("$PROCESS", process)
            return root[name.replace("$SYSTEMATIC", systematic)].values()

        for process, rate in zip(processes, keyed["rate"], strict=True):
            assert get(process).sum() == pytest.approx(float(rate))
        assert get("data_obs").sum() == float(keyed["observation"][0])
        return WindowModel(
            channel,
            root[f"{channel}/signal"].axis().edges(),
            get("data_obs"),
            get("background"),
            get("signal"),
            np.array([(get("background", f"{s}Up") - get("background", f"{s}Down")) / 2 for s in shapes]),
            tuple(shape.removeprefix(f"{channel}_") for shape in shapes),
        )


def read_rates(card: Path) -> list[float]:
    return next([float(rate) for rate in line.split()[1:]] for line in card.read_text().splitlines() if "rate " in line)


def test_datacard_read_back_has_the_same_significance(truth: Truth, tmp_path: Path) -> None:
    fit = fit_background((truth.observed(1, 100), truth.edges), window=truth.window, toys=0)
    model = window_model(fit, 100 * truth.bump(), fit.prediction().edges)
    histograms, card = write_combine(tmp_path / "combine", model)
    assert histograms.exists()
    again = read_card(card)
    assert again.edges == pytest.approx(model.edges)
    assert again.shifts == pytest.approx(model.shifts)
    assert again.nuisances == model.nuisances
    assert pyhf_significance(workspace(again)) == pytest.approx(pyhf_significance(workspace(model)), rel=1e-3)


def test_the_card_says_its_calibration_and_a_range_that_holds_the_limit(truth: Truth, tmp_path: Path) -> None:
    fit = fit_background((truth.observed(1, 100), truth.edges), window=truth.window, toys=0)
    calibration = ZCalibration(0.1, 1.3, 100, 2.0)
    shapes = SignalSystematics(scale=0.01).shapes(Gaussian(0.05), truth.edges, 2700)
    model = window_model(
        fit,
        Gaussian(0.05).template(truth.edges, 2700),
        fit.prediction().edges,
        calibration=calibration,
        systematics=SignalSystematics(luminosity=0.016),
        signal_shapes=shapes,
    )
    _, card = write_combine(tmp_path, model)
    lines = card.read_text().splitlines()
    assert lines[0] == f"# {calibration.sentence}"
    unit = read_rates(card)[0] / model.signal.sum()
    strength = cls_limit(model).strength / unit
    assert 1 < strength < 20  # Combine's default range of r
    assert f"# r = 1 is {unit * model.signal.sum():.6g} signal events" in lines[1]
    assert "luminosity lnN 1.016 -" in lines
    assert "scale shape 1 -" in lines
    assert "window_null_width shape - 1" in lines
    with uproot.open(tmp_path / "window.root") as root:
        assert root["window/signal_scaleUp"].values() == pytest.approx(
            unit * (model.signal + model.signal_shifts["scale"])
        )
    assert write_combine(tmp_path, window_model(fit))[1].read_text().startswith("# Not calibrated")
