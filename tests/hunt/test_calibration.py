import numpy as np
import pytest
from scipy import stats

from jepa_coffea.cwola import CWoLa, Windows
from jepa_coffea.cwola.classifiers import logistic
from jepa_coffea.cwola.fits import make_sample
from jepa_coffea.hunt.calibration import Null, calibrate, global_p, null_significances, nulls_of, toy_seed
from jepa_coffea.hunt.config import HuntError, StatisticsConfig
from jepa_coffea.hunt.experiment import Counting, Method
from jepa_coffea.hunt.pseudo import make_pseudo_data
from tests.cwola.toy import dijets

WINDOWS = Windows.single(2600, 3000, sidebands=(2200, 3600), fit_range=(2000, 5000), bins=20)
METHOD = Method(CWoLa(WINDOWS, logistic()), (0.1,), StatisticsConfig(function="dijet2", goodness_toys=0))


def counting(z):
    return Counting("W", 0.1, 10, 5.0, 1.0, z, float(stats.norm.sf(z)))


def test_width_and_its_error_are_those_of_the_distribution():
    rng = np.random.default_rng(0)
    nulls = [Null(np.sort(rng.normal(0.2, 1.3, 400)), 0) for _ in range(300)]
    assert np.mean([null.width for null in nulls]) == pytest.approx(1.3, abs=0.01)
    assert np.std([null.width for null in nulls]) == pytest.approx(np.mean([n.width_error for n in nulls]), rel=0.1)
    assert np.std([null.mean for null in nulls]) == pytest.approx(np.mean([n.mean_error for n in nulls]), rel=0.1)


def test_corrected_p_values_of_a_wide_null_are_uniform():
    rng = np.random.default_rng(1)
    null = nulls_of(rng.normal(-0.1, 1.2, (4000, 1)))[0]
    fresh = rng.normal(-0.1, 1.2, 4000)
    corrected = stats.norm.sf(null.corrected(fresh))
    for p in (corrected, np.array([null.rank_p(z) for z in fresh])):
        assert (p < 0.0228).mean() == pytest.approx(0.0228, abs=0.007)
    assert (stats.norm.sf(fresh) < 0.0228).mean() > 0.03


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
    assert Null(np.arange(99.0), 10).rank_p(1e9) == pytest.approx(11 / 110)


def test_global_p_is_exact_for_correlated_trials():
    rng = np.random.default_rng(2)
    common = rng.normal(size=(2000, 1))
    z = np.sqrt(0.5) * common + np.sqrt(0.5) * rng.normal(size=(2000, 4))
    toys, data = z[:1000] * [1, 2, 1, 0.5], z[1000:] * [1, 2, 1, 0.5]
    p = [global_p(calibrate([counting(v) for v in row], toys), toys).p for row in data[:80]]
    assert (np.array(p) < 0.1).mean() == pytest.approx(0.1, abs=0.1)
    found = global_p(calibrate([counting(9.0), counting(1.0), counting(1.0), counting(1.0)], toys), toys)
    assert (found.where, found.exceeding) == (0, 0)
    assert found.p == pytest.approx(1 / 1001)
    assert found.bound == pytest.approx(4 * stats.norm.sf(found.largest_z))


def test_too_few_or_failing_pseudo_experiments_are_no_calibration():
    with pytest.raises(HuntError, match="19 of 19 pseudo-experiments"):
        nulls_of(np.zeros((19, 1)))
    with pytest.raises(HuntError, match="80 of 100"):
        nulls_of(np.where(np.arange(100) < 20, np.nan, np.arange(100.0))[:, None])


def test_pseudo_experiments_are_resumed_and_do_not_depend_on_the_order(tmp_path):
    X, mass, ids, _ = dijets(1500)
    pseudo = make_pseudo_data(make_sample(X, mass, ids), WINDOWS, METHOD.statistics)
    ledger = tmp_path / "toys.jsonl"
    four = null_significances(pseudo, METHOD, 4, seed=3, ledger=ledger)
    assert len(ledger.read_text().splitlines()) == 4
    six = null_significances(pseudo, METHOD, 6, seed=3, ledger=ledger)
    assert np.array_equal(six[:4], four)
    assert np.array_equal(null_significances(pseudo, METHOD, 6, seed=3), six)
    assert not np.isin(null_significances(pseudo, METHOD, 3, seed=3, stream=1), six).any()


def test_seeds_of_experiments_and_streams_differ():
    assert len({toy_seed(1, number, stream) for number in range(1000) for stream in range(3)}) == 3000


def test_a_broken_ledger_line_is_named(tmp_path):
    ledger = tmp_path / "toys.jsonl"
    ledger.write_text('["1", [0.1]]\nrubbish\n["2", [0.2]]\n')
    X, mass, ids, _ = dijets(1500)
    pseudo = make_pseudo_data(make_sample(X, mass, ids), WINDOWS, METHOD.statistics)
    with pytest.raises(HuntError, match="line 2 of"):
        null_significances(pseudo, METHOD, 1, seed=3, ledger=ledger)
