import gc
import warnings
from pathlib import Path

import numpy as np
import pytest
import yaml

from jepa_coffea.bumphunt import HistogramError
from jepa_coffea.bumphunt.exports import HEPDataColumn, HEPDataTable, write_hepdata

TABLE = HEPDataTable(
    "Spectrum",
    "Dijet mass in data and the fitted background",
    [HEPDataColumn("m_jj", [[1000, 1200], [1200, 1500]], "GeV")],
    [
        HEPDataColumn("Events", [10, 3]),
        HEPDataColumn("Background", np.array([9.5, 3.25]), errors={"fit": np.array([0.5, 0.3])}),
    ],
)


# The validator leaves its files open, which is found out when they are collected.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_valid_by_hepdatas_own_validator_and_read_back(tmp_path: Path) -> None:
    submission = write_hepdata(tmp_path, [TABLE])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from hepdata_validator.full_submission_validator import FullSubmissionValidator, SchemaType

        validator = FullSubmissionValidator()
        valid = validator.validate(directory=str(tmp_path))
    assert valid, validator.get_messages()
    assert validator.valid_files[SchemaType.DATA]
    gc.collect()
    header, table = yaml.safe_load_all(submission.read_text())
    assert header["comment"]
    body = yaml.safe_load((tmp_path / table["data_file"]).read_text())
    assert body["independent_variables"][0]["values"][1] == {"low": 1200, "high": 1500}
    background = body["dependent_variables"][1]["values"]
    assert background[0] == {"value": 9.5, "errors": [{"symerror": 0.5, "label": "fit"}]}


def test_refuses_ragged_tables(tmp_path: Path) -> None:
    with pytest.raises(HistogramError, match="different lengths"):
        write_hepdata(tmp_path, [HEPDataTable("t", "d", [HEPDataColumn("x", [1.0, 2.0])], [HEPDataColumn("y", [1.0])])])
