import gc
import warnings
from pathlib import Path

import numpy as np
import pytest
import yaml

from jepa_coffea.bumphunt import ZCalibration, fit_background, mass_limits, scan
from jepa_coffea.bumphunt.exports import (
    CountingResult,
    limit_table,
    scan_table,
    significance_table,
    spectrum_table,
    write_hepdata,
)
from jepa_coffea.bumphunt.limits import counting_limit
from tests.bumphunt.conftest import Truth

CALIBRATION = ZCalibration(0.1, 1.3, 100, 1.7)


# The validator leaves its files open, which is found out when they are collected.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_all_tables_are_valid_and_say_their_calibration(truth: Truth, tmp_path: Path) -> None:
    data = (truth.observed(1, 80), truth.edges)
    fit = fit_background(data, window=truth.window, toys=0)
    curve = mass_limits(data, [2200, 2700, 3300], luminosity=100.0)
    results = [
        CountingResult("W1, all events", 3000, 2900, 40, 1.4),
        CountingResult("W1, efficiency 0.01", 60, 40, 5, 2.4, CALIBRATION, counting_limit(60, 40, 5)),
    ]
    tables = [
        spectrum_table("W1", "all events", fit, CALIBRATION),
        significance_table(results, note="The global p-value is 0.3."),
        scan_table(scan(data, [2500.0, 3000.0], spurious=[3.0, 4.0], toys=0)),
        limit_table(curve, note="Gaussian signal of 5 %."),
    ]
    submission = write_hepdata(tmp_path, tables)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from hepdata_validator.full_submission_validator import FullSubmissionValidator

        validator = FullSubmissionValidator()
        assert validator.validate(directory=str(tmp_path)), validator.get_messages()
    gc.collect()
    _, spectrum, significances, p_values, limits = yaml.safe_load_all(submission.read_text())
    for table in (spectrum, significances):  # whose backgrounds are not moved
        assert CALIBRATION.measured in table["description"]
        assert "as fitted, without the calibration" in table["description"]
        assert "is moved" not in table["description"]
    assert significances["description"].endswith("The global p-value is 0.3.")
    assert "Not calibrated" in p_values["description"]
    assert "is an error of its own and counted" in p_values["description"]
    assert "not known and not counted" in scan_table(scan(data, [2500.0], toys=0)).description
    body = yaml.safe_load((tmp_path / p_values["data_file"]).read_text())
    fitted = body["dependent_variables"][2]["values"][1]["errors"]
    assert [one["label"] for one in fitted] == ["stat", "function"]
    assert fitted[1]["symerror"] == 4.0
    body = yaml.safe_load((tmp_path / significances["data_file"]).read_text())
    columns = {c["header"]["name"]: [entry["value"] for entry in c["values"]] for c in body["dependent_variables"]}
    assert columns["corrected local significance"] == ["-", 1.7]
    assert columns["width of Z without signal"] == ["-", 1.3]
    limit = results[1].limit
    assert columns["observed limit on signal events in the window"] == ["-", pytest.approx(limit.events)]
    assert columns["expected limit on signal events in the window"] == ["-", pytest.approx(limit.expected_events[2])]
    assert "nan" not in (tmp_path / significances["data_file"]).read_text()
    body = yaml.safe_load((tmp_path / limits["data_file"]).read_text())
    observed, expected = body["dependent_variables"]
    assert observed["header"]["units"] == "fb"
    assert [entry["value"] for entry in observed["values"]] == pytest.approx(curve.cross_section.tolist())
    band = expected["values"][1]["errors"][1]
    assert band["label"] == "95 %"
    assert expected["values"][1]["value"] + band["asymerror"]["plus"] == pytest.approx(
        float(curve.expected_cross_section[1, 4])
    )
    assert "-" not in [entry["value"] for entry in observed["values"]]
    assert np.isfinite(curve.cross_section).all()
