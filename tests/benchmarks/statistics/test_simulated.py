"""What is said of many searches."""

import numpy as np
import pytest

from benchmarks.statistics.recombined import Recombination
from benchmarks.statistics.simulated import DOCUMENT, Anew, FromPool, judged, shown
from jepa_coffea.cwola.sample import make_sample
from jepa_coffea.hunt.config import HuntConfig
from tests.benchmarks.statistics.test_recombined import RANGE, simulated

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


def test_searches_share_no_event_where_there_are_enough() -> None:
    numbers = np.arange(1000)
    pool = make_sample(numbers[:, None].astype(np.float32), numbers.astype(float), numbers.astype(np.uint64))
    enough = FromPool(pool, events=100, searches=10, seed=3)
    assert sorted(mass for number in range(10) for mass in enough.data(number).mass) == list(range(1000))
    assert enough.facts()["disjoint"]
    too_few = FromPool(pool, events=100, searches=11, seed=3)
    assert all(len(set(too_few.data(number).mass)) == 100 for number in range(11))
    assert not too_few.facts()["disjoint"]


def test_recombined_searches_are_read_as_a_hunt_reads_and_come_again() -> None:
    document = {**DOCUMENT, "features": {"use": "embedding", "components": 2}, "input": {"events": ["x.parquet"]}}
    source = Anew(Recombination(simulated(3000), RANGE), HuntConfig.model_validate({**document, "output": "x"}), 500)
    first, again, other = source.data(4), source.data(4), source.data(5)
    np.testing.assert_array_equal(first.X, again.X)
    assert first.X.shape == (500, 4)
    assert not set(first.mass) & set(other.mass)
    assert not set(first.hashes) & set(other.hashes)
