import json
from pathlib import Path

import numpy as np
import pytest

from jepa_coffea.bumphunt import GlobalSignificance, Scan, global_significance, scan, shape_search
from jepa_coffea.bumphunt.limits import Limit
from jepa_coffea.bumphunt.records import plain, write_json
from tests.bumphunt.conftest import Truth


def test_results_survive_json(truth: Truth, tmp_path: Path) -> None:
    data = (truth.observed(1, signal=80), truth.edges)
    found = scan(data, toys=0)
    whole = global_significance([[shape_search(data, [2500, 2700])]], toys=20)
    limit = Limit(0.95, 1.5, np.arange(5.0), 30.0, np.arange(5.0), float("nan"), np.full(5, np.nan))
    write_json(tmp_path / "r.json", {"scan": found, "global": whole, "limits": [limit]})
    document = json.loads((tmp_path / "r.json").read_text(), parse_constant=pytest.fail)
    again = Scan.from_dict(document["scan"])
    assert np.array_equal(again.z, found.z)
    assert again.best == found.best
    assert GlobalSignificance.from_dict(document["global"]).maxima == pytest.approx(whole.maxima)
    assert np.isnan(Limit.from_dict(document["limits"][0]).cross_section)


def test_plain_knows_what_json_does_not() -> None:
    assert plain({"a": np.float64(2), "b": (np.int64(1), None), "c": float("-inf")}) == {
        "a": 2.0,
        "b": [1, None],
        "c": "-inf",
    }
