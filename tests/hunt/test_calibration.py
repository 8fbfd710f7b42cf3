from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from jepa_coffea.bumphunt.ftest import f_test_rule
from jepa_coffea.cwola import Folds, Recipe, Window, Windows
from jepa_coffea.cwola.classifiers import gradient_boosting, logistic
from jepa_coffea.cwola.sample import make_sample
from jepa_coffea.errors import BadFileError
from jepa_coffea.hunt.calibration import calibrate, null_experiment, null_gates, null_significances, toy_seed
from jepa_coffea.hunt.config import HuntConfig, HuntError, StatisticsConfig
from jepa_coffea.hunt.experiment import Method, run_experiment
from jepa_coffea.hunt.pseudo import make_pseudo_data
from jepa_coffea.hunt.selections import ESTIMATES, FUNCTION, SIDEBAND_EFFICIENCY
from jepa_coffea.hunt.stages import calibration
from jepa_coffea.hunt.state import Run
from tests.cwola.toy import dijets
from tests.hunt.make import selection

WINDOWS = Windows.single(2600, 3000, sidebands=(2200, 3600), fit_range=(2000, 5000), bins=20)
RECIPE = Recipe(WINDOWS, {"": logistic()}, members=1, attribute_fraction=1)
METHOD = Method(RECIPE, (0.1,), StatisticsConfig(sqrt_s=13000, function="dijet2", goodness_toys=0))


def test_both_estimates_are_judged_by_their_own_nulls():
    rng = np.random.default_rng(0)
    toys = rng.normal([[[0.0], [1.0]]], [[[1.0], [2.0]]], (4000, 2, 1))
    (result,) = calibrate([selection(3.0, 3.0)], toys)
    assert result[FUNCTION].z == pytest.approx(3.0, abs=0.15)
    assert result[SIDEBAND_EFFICIENCY].z == pytest.approx(1.0, abs=0.1)
    document = result[SIDEBAND_EFFICIENCY].record()
    assert document["p"] == pytest.approx(stats.norm.sf(document["z"]))
    assert document["null"]["width"] == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("estimate", ESTIMATES)
def test_an_estimate_without_a_number_says_why_and_stops_nothing(estimate):
    toys = np.random.default_rng(0).normal(size=(100, 2, 2))
    toys[:50, ESTIMATES.index(estimate), 1] = np.nan
    first, second = calibrate([selection(1.0, 1.0, **{estimate: "no events"}), selection(1.0, 1.0)], toys)
    assert first[estimate] == "no events"
    assert "50 of 100 pseudo-experiments gave a significance" in second[estimate]
    (other,) = set(ESTIMATES) - {estimate}
    assert np.isfinite([first[other].z, second[other].z]).all()


def test_a_search_by_the_efficiency_alone_is_calibrated_too(tmp_path, monkeypatch):
    """Where no function can be fitted, and not where nothing has a number."""

    def reached(*_):
        raise HuntError("pseudo-data are made")

    monkeypatch.setattr("jepa_coffea.hunt.stages.make_pseudo_data", reached)
    run = Run(HuntConfig(input={"events": ["x"]}, output=tmp_path))
    inputs = SimpleNamespace(background=None, events=SimpleNamespace(sample=None))
    one = selection(1.0, 1.0, function="no fit")
    assert calibration(run, "key", inputs, METHOD, [one]).problem == "pseudo-data are made"
    none = selection(1.0, function="no fit", sideband_efficiency="no fit")
    assert calibration(run, "key", inputs, METHOD, [none]).problem == "no selection has a number"


def test_a_null_mean_that_is_off_is_no_calibration():
    rng = np.random.default_rng(0)
    toys = np.stack([rng.normal(0.2, 1.0, (100, 1)), rng.normal(1.5, 1.3, (100, 1))], axis=1)
    selections = [selection(3.0, 3.0)]
    corrected = calibrate(selections, toys)
    good, bad = null_gates(selections, corrected)
    assert good.passed
    assert good.name == "mean Z without signal by the function at 0.1"
    assert not bad.passed
    assert bad.value == pytest.approx(1.5, abs=0.4)
    assert bad.threshold == pytest.approx(0.4, abs=0.05)
    assert "no correction for it can be trusted" in bad.explanation
    assert bad.name == "mean Z without signal by the sideband efficiency at 0.1"
    small = calibrate(selections, toys[:30] * [[1.0], [0.2]])
    assert null_gates(selections, small)[1].passed  # .3


class Given:
    """A source of pseudo-data that gives events that there are already."""

    def __init__(self, sample):
        self.sample = sample

    def draw(self, seed):
        return self.sample


def test_the_data_as_a_pseudo_experiment_give_the_same_numbers_bit_for_bit():
    X, mass, ids, _ = dijets(3000, signal=60)
    sample, other = make_sample(X, mass, ids), Window(2300, 2700, 2050, 3200, "W2")
    bins = Windows.custom([*WINDOWS.windows, other], fit_range=(2000, 5000), bins=25)
    recipe = replace(RECIPE, windows=bins, candidates={"": gradient_boosting(max_iter=5)}, members=2, seed=4)
    recipe = replace(recipe, folds=Folds(seed=4))
    rules = tuple(
        f_test_rule((bins.histogram(mass), np.asarray(bins.edges)), window=(w.low, w.high), toys=100)
        for w in bins.windows
    )
    method = Method(recipe, (0.2, 0.05), METHOD.statistics, rules)
    data = run_experiment(sample, method, inclusive=True, goodness_toys=50)
    scored = run_experiment(sample, method, data.scores)  # as a hunt that goes on from stored scores
    assert null_experiment(4, Given(sample), method) == data.z() == scored.z()
    assert np.isfinite(data.z()).all()
    assert null_experiment(5, Given(sample), method) != data.z()


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
    ledger.write_text('rubbish\n["2", [0.2]]\n')
    X, mass, ids, _ = dijets(1500)
    pseudo = make_pseudo_data(make_sample(X, mass, ids), WINDOWS, METHOD.statistics)
    with pytest.raises(BadFileError, match="line 1 of"):
        null_significances(pseudo, METHOD, 1, seed=3, ledger=ledger)
