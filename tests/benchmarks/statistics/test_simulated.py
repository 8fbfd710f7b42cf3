"""What is said of many searches."""

import numpy as np
import pytest

from benchmarks.statistics.simulated import judged, shown

NONE = [float("nan")] * 3


def test_an_efficiency_without_any_estimate_does_not_take_the_others_along() -> None:
    z = np.random.default_rng(1).normal(0.2, 1.1, 400)
    rows = [[[one + 0.5, one, 0.1], NONE] for one in z]
    found = [{"degree": [1, None], "function": row, "sideband_efficiency": row} for row in rows]
    result = judged(found, (0.1, 0.01))["function"]
    assert result["0.1"]["corrected"]["mean"] == pytest.approx(z.mean())
    assert result["0.1"]["corrected"]["mean_error"] == pytest.approx(z.std(ddof=1) / 20)
    assert result["0.1"]["as counted"]["mean"] == pytest.approx(z.mean() + 0.5)
    assert result["0.01"] == {"searches": 0, "failed": 400}
    assert "400 searches have no estimate; give more --events" in shown({"function": result})
