"""Yields for a significance, and significances against experiments without signal, from made-up numbers."""

import numpy as np
import pytest
from scipy import stats

from examples.anomaly_search.results import calibrated, needed, spread, table_of


def test_yields_are_read_between_the_points() -> None:
    z = {100: [1.0, 2.0, 4.0], 200: [3.0, 6.0, 3.5]}
    assert needed(z, 3.0) == pytest.approx([200, 125, 75])
    assert needed(z, 5.0) == pytest.approx([float("inf"), 175, float("inf")])


def test_a_yield_that_is_never_reached_is_counted() -> None:
    assert spread([10.0, 20.0, float("inf")]) == {"mean": 15.0, "std": pytest.approx(np.sqrt(50)), "n": 2, "of": 3}
    assert spread([float("inf")])["mean"] is None
    rows = {
        "a": {"both": {"function": {"needed": {"3": spread([10.0, 20.0, float("inf")]), "5": spread([float("inf")])}}}}
    }
    assert "| both | 15 +- 7 (2 of 3 slices) | not reached |" in table_of(rows, "function")


def test_significances_are_those_of_the_null() -> None:
    null = [{"z": {"function": value}} for value in np.random.default_rng(0).normal(0.5, 2.0, 200)]
    found = calibrated({10: [{"z": {"function": 4.5}}], 20: [{"z": {"function": float("nan")}}]}, null, "z", "function")
    values = np.array([one["z"]["function"] for one in null])
    t = (4.5 - values.mean()) / (values.std(ddof=1) * np.sqrt(1 + 1 / 200))
    assert found[10][0] == pytest.approx(stats.norm.isf(stats.t.sf(t, 199)), rel=1e-6)
    assert np.isnan(found[20][0])
