import numpy as np
import pytest
from scipy import stats

from jepa_coffea.hunt.config import HuntError
from jepa_coffea.hunt.null import Null, correct, leave_one_out, null_of


def test_width_and_its_error_are_those_of_the_distribution():
    rng = np.random.default_rng(0)
    nulls = [Null(np.sort(rng.normal(0.2, 1.3, 400)), 0) for _ in range(300)]
    assert np.mean([null.width for null in nulls]) == pytest.approx(1.3, abs=0.01)
    assert np.std([null.width for null in nulls]) == pytest.approx(np.mean([n.width_error for n in nulls]), rel=0.1)
    assert np.std([null.mean for null in nulls]) == pytest.approx(np.mean([n.mean_error for n in nulls]), rel=0.1)


def test_corrected_p_values_of_a_wide_null_are_uniform():
    rng = np.random.default_rng(1)
    null = null_of(rng.normal(-0.1, 1.2, 4000))
    fresh = rng.normal(-0.1, 1.2, 4000)
    corrected = stats.norm.sf(null.corrected(fresh))
    for p in (corrected, np.array([null.rank_p(z) for z in fresh])):
        assert (p < 0.0228).mean() == pytest.approx(0.0228, abs=0.007)
    assert (stats.norm.sf(fresh) < 0.0228).mean() > 0.03


def test_a_function_that_may_be_wrong_is_not_excused_by_pseudo_experiments_made_with_it():
    """Counts of width 1.2 (overtraining), in units of their error; the function is off by 0.8 of it."""
    rng = np.random.default_rng(6)
    total, experiments = np.hypot(1, 0.8), 4000
    toys, noise = (1.2 * rng.normal(size=experiments) / total for _ in range(2))
    data = noise + 0.8 * rng.normal(size=experiments) / total
    share = 0.8 / total
    null = null_of(toys, share)
    assert null.spread == pytest.approx(np.hypot(null.width, share))
    assert data.std() == pytest.approx(null.spread, rel=0.03)
    for p in (stats.norm.sf(null.corrected(data)), np.array([null.rank_p(z) for z in data])):
        assert (p < 0.0228).mean() == pytest.approx(0.0228, abs=0.007)
    assert (stats.norm.sf(null_of(toys).corrected(data)) < 0.0228).mean() > 0.04
    # The error of a corrected Z is that of its derivatives.
    wider = Null(null.mean + 1.01 * (null.toys - null.mean), 0, share)
    slope = (float(null.corrected(3.0)) - float(wider.corrected(3.0))) / (0.01 * null.width)
    assert null.error(3.0) == pytest.approx(np.hypot(null.mean_error / null.spread, slope * null.width_error), rel=0.02)


def test_few_pseudo_experiments_cost_significance_and_do_not_invent_it():
    rng = np.random.default_rng(3)
    toys, fresh = rng.normal(0.3, 1.2, (2000, 12)), rng.normal(0.3, 1.2, 2000)
    p = stats.norm.sf([Null(np.sort(row), 0).corrected(z) for row, z in zip(toys, fresh, strict=True)])
    assert (p < 0.0228).mean() == pytest.approx(0.0228, abs=0.01)
    naive = (fresh - toys.mean(axis=1)) / toys.std(axis=1, ddof=1)
    assert (stats.norm.sf(naive) < 0.0228).mean() > 0.028
    many = Null(np.sort(rng.normal(size=100_000)), 0)
    assert many.corrected([-2.0, 0.0, 5.0, 60.0]) == pytest.approx([-2, 0, 5, 60], rel=0.02, abs=0.02)


def test_rank_p_counts_failures_against_the_excess_and_is_never_zero():
    null = Null(np.arange(99.0), 0)
    assert null.rank_p(1e9) == pytest.approx(1 / 100)
    assert null.rank_p(-1) == 1
    assert [correct(z, null).rank_text for z in (1e9, 98.0, 97.5)] == ["below 0.01", "0.02", "0.02"]
    few = Null(np.arange(99.0), 10)
    assert few.rank_p(1e9) == pytest.approx(11 / 110)
    assert correct(1e9, few).record()["rank_is_bound"]
    assert correct(98.5, few).rank_text == "below 0.1"


def test_an_experiment_is_judged_as_if_it_were_none_of_the_null():
    toys = np.random.default_rng(4).normal(0.2, 1.3, 25)
    judged = leave_one_out(np.append(toys, np.nan))
    alone = [float(Null(np.sort(np.delete(toys, i)), 0).corrected(z)) for i, z in enumerate(toys)]
    assert judged[:-1] == pytest.approx(alone)
    assert judged[-1] == np.inf


def test_too_few_or_failing_pseudo_experiments_are_no_calibration():
    with pytest.raises(HuntError, match="19 of 19 pseudo-experiments"):
        null_of(np.zeros(19))
    with pytest.raises(HuntError, match="80 of 100"):
        null_of(np.where(np.arange(100) < 20, np.nan, np.arange(100.0)))
    with pytest.raises(HuntError, match=r"all pseudo-experiments gave Z = -0.50"):
        null_of(np.full(30, -0.5))
