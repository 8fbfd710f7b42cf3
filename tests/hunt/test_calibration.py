import numpy as np
import pytest
from scipy import stats

from jepa_coffea.cwola import CWoLa, Windows
from jepa_coffea.cwola.classifiers import logistic
from jepa_coffea.cwola.fits import make_sample
from jepa_coffea.hunt.calibration import TEMPLATE, calibrate, null_significances, toy_seed
from jepa_coffea.hunt.config import HuntError
from jepa_coffea.hunt.experiment import Counting, Method, Template
from jepa_coffea.hunt.pseudo import make_pseudo_data
from jepa_coffea.hunt.sections import StatisticsConfig
from tests.cwola.toy import dijets

WINDOWS = Windows.single(2600, 3000, sidebands=(2200, 3600), fit_range=(2000, 5000), bins=20)
METHOD = Method(CWoLa(WINDOWS, logistic()), (0.1,), StatisticsConfig(function="dijet2", goodness_toys=0))


def counting(z):
    return Counting("W", 0.1, 10, 5.0, 1.0, z, float(stats.norm.sf(z)))


def template(z, problem=""):
    return Template(5.0, 1.0, z, 0.5, 0.0, problem)


def test_both_estimates_are_judged_by_their_own_nulls():
    rng = np.random.default_rng(0)
    toys = rng.normal([[[0.0], [1.0]]], [[[1.0], [2.0]]], (4000, 2, 1))
    (result,) = calibrate([counting(3.0)], [template(3.0)], toys)
    assert result.corrected.z == pytest.approx(3.0, abs=0.15)
    assert result.template.z == pytest.approx(1.0, abs=0.1)
    document = result.record()
    assert document["corrected_p"] == pytest.approx(stats.norm.sf(document["corrected_z"]))
    assert document["template"]["null"]["width"] == pytest.approx(2.0, abs=0.1)


def test_a_second_estimate_without_a_number_says_why_and_stops_nothing():
    toys = np.random.default_rng(0).normal(size=(100, 2, 2))
    toys[:50, TEMPLATE, 1] = np.nan
    first, second = calibrate([counting(1.0)] * 2, [template(np.nan, "no events"), template(1.0)], toys)
    assert first.record()["template"] == {"uncalibrated": "no events"}
    assert "50 of 100 pseudo-experiments gave a significance" in second.template
    assert np.isfinite([first.corrected.z, second.corrected.z]).all()


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
