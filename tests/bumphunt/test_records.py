import json
from pathlib import Path

import numpy as np
import pytest

from jepa_coffea.bumphunt import global_significance, scan, shape_search
from jepa_coffea.bumphunt.limits import counting_limit
from jepa_coffea.bumphunt.records import plain, write_json
from tests.bumphunt.conftest import Truth


def test_results_are_plain_json(truth: Truth, tmp_path: Path) -> None:
    data = (truth.observed(1, signal=80), truth.edges)
    found = scan(data, toys=0)
    whole = global_significance([[shape_search(data, [2500, 2700])]], toys=20)
    write_json(tmp_path / "r.json", {"scan": found, "global": whole, "limits": [counting_limit(5, 5, 1)]})
    document = json.loads((tmp_path / "r.json").read_text(), parse_constant=pytest.fail)
    assert document["scan"]["z"] == found.z.tolist()
    assert document["global"]["maxima"] == whole.maxima.tolist()
    assert document["limits"][0]["cross_section"] == "nan"
    assert found.to_dict()["masses"] == found.masses.tolist()


def test_plain_knows_what_json_does_not() -> None:
    assert plain({"a": np.float64(2), "b": (np.int64(1), None), "c": float("-inf")}) == {
        "a": 2.0,
        "b": [1, None],
        "c": "-inf",
    }
