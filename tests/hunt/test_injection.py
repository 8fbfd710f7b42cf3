import json

import numpy as np
import pytest

from jepa_coffea.cwola import CWoLa, Windows
from jepa_coffea.cwola.classifiers import logistic
from jepa_coffea.cwola.fits import make_sample
from jepa_coffea.hunt.config import HuntError, StatisticsConfig
from jepa_coffea.hunt.experiment import Method
from jepa_coffea.hunt.injection import GRID, METHODS, Study, inject, injection_study, summarised
from jepa_coffea.hunt.pseudo import make_pseudo_data
from tests.cwola.toy import dijets

WINDOWS = Windows.single(2600, 3000, sidebands=(2200, 3600), fit_range=(2000, 5000), bins=20)
STATISTICS = StatisticsConfig(function="dijet2", goodness_toys=0)


@pytest.fixture(scope="module")
def study():
    """Four features that tell the signal, and two observables that do not."""
    X, mass, ids, truth = dijets(3000, features=6, signal=600)
    X[:, 4:] = np.random.default_rng(0).normal(size=(3600, 2))
    sample = make_sample(X, mass, ids)
    pseudo = make_pseudo_data(sample.take(~truth), WINDOWS, STATISTICS)
    return Study(pseudo, sample.take(truth), 4, Method(CWoLa(WINDOWS, logistic()), (0.05,), STATISTICS), 0, 0.05)


@pytest.fixture(scope="module")
def records(study, tmp_path_factory):
    ledger = tmp_path_factory.mktemp("injection") / "ledger.jsonl"
    done = injection_study(study, [0, 150], 5, seed=1, ledger=ledger)
    assert json.dumps(injection_study(study, [0, 150], 5, seed=1, ledger=ledger)) == json.dumps(done)
    assert len(ledger.read_text().splitlines()) == 10
    return done


def test_what_sees_the_signal_gains_and_what_does_not_does_not(records):
    rows = {(row["yield"], row["method"]): row for row in summarised(records)}
    assert set(rows) == {(amount, name) for amount in (0, 150) for name in METHODS}
    for name in METHODS:
        assert abs(rows[0, name]["z"]) < 2.5
        assert rows[0, name]["signal"] == 0
        assert rows[150, name]["z_low"] <= rows[150, name]["z"] <= rows[150, name]["z_high"]
    assert rows[150, "supervised"]["z"] > rows[150, "inclusive"]["z"] + 2
    assert rows[150, "cwola"]["z"] > rows[150, "inclusive"]["z"] + 1
    assert rows[150, "idealised"]["z"] > rows[150, "inclusive"]["z"] + 1
    assert rows[150, "cwola_observables"]["z"] < rows[150, "cwola"]["z"]


def test_sic_is_one_for_everything_and_nothing_below_the_floor(records):
    record = next(record for record in records if record["yield"] == 150)
    background = record["inclusive"]["n"] - record["inclusive"]["signal"]
    for name in METHODS[1:]:
        sic = np.array(record[name]["sic"], dtype=float)
        assert sic[-1] == pytest.approx(1)
        assert np.array_equal(np.isfinite(sic), np.array(GRID) >= 20 / background)
    assert np.isnan(next(r for r in records if r["yield"] == 0)["cwola"]["sic"]).all()


def test_yields_differ_by_the_signal_alone(study, records):
    none, some = (next(r for r in records if r["yield"] == amount) for amount in (0, 150))
    assert some["inclusive"]["n"] - some["inclusive"]["signal"] == none["inclusive"]["n"]
    assert inject((150, 0, some["seed"]), study)["cwola"]["z"] == some["cwola"]["z"]


def test_more_signal_than_there_is(study):
    with pytest.raises(HuntError, match="301 signal events asked for, 300 available"):
        injection_study(study, [301], 1, seed=0)
