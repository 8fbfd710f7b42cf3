import json
from pathlib import Path

import numpy as np
import pytest

from jepa_coffea.bumphunt.ftest import richest
from jepa_coffea.bumphunt.functions import DIJET_FAMILY
from jepa_coffea.bumphunt.records import plain
from jepa_coffea.cwola import Windows
from jepa_coffea.hunt.config import HuntConfig
from jepa_coffea.hunt.function_study import with_function
from jepa_coffea.hunt.sections import InputConfig, StatisticsConfig
from jepa_coffea.hunt.state import Run
from jepa_coffea.report.function_section import function_section
from tests.cwola.toy import dijets

WINDOWS = Windows.single(2600, 3000, sidebands=(2200, 3600), fit_range=(2000, 5000), bins=25)


def run_of(function):
    statistics = StatisticsConfig(function=function, goodness_toys=100)
    return Run(HuntConfig(input=InputConfig(events=["x"]), output=Path("x"), statistics=statistics))


def test_auto_is_replaced_by_the_order_that_the_f_test_chooses():
    counts = WINDOWS.histogram(dijets(5000)[1])
    run, study, rules = with_function(run_of("auto"), counts, WINDOWS)
    assert run.config.statistics.function == study.function == study.choices["window"].function
    assert richest(rules, counts[None])[0] == study.function
    assert study.function in DIJET_FAMILY
    bowed = counts * np.exp(-8 * np.linspace(-1, 1, len(counts)) ** 4) + 1
    assert DIJET_FAMILY.index(with_function(run_of("auto"), np.round(20 * bowed), WINDOWS)[1].function) > 0


def test_a_named_function_stays_and_is_compared_with_others():
    counts = WINDOWS.histogram(dijets(5000)[1])
    run, study, rules = with_function(run_of("expdijet2"), counts, WINDOWS)
    assert rules == ()
    assert run.config.statistics.function == "expdijet2"
    assert study.choices == {}
    uncertainty, spurious = study.uncertainties["window"], study.spurious["window"]
    envelope = uncertainty.envelope
    assert envelope.functions == ("expdijet2", "expdijet3", "powexp3")
    assert envelope.systematic == pytest.approx(np.abs(envelope.totals - envelope.totals[0]).max())
    assert {one.truth for one in spurious.studies} <= {"expdijet3", "powexp3"}
    assert uncertainty.error >= envelope.systematic
    assert study.errors == {"window": pytest.approx(uncertainty.error / envelope.totals[0])}
    document = json.loads(json.dumps(plain(study), allow_nan=False))
    assert document["uncertainties"]["window"]["envelope"]["systematic"] == pytest.approx(envelope.systematic)
    titles = {table.title: table for table in function_section(study).tables}
    assert set(titles) == {"Envelope of functions", "Spurious signal"}
    rows = [row[1] for row in titles["Envelope of functions"].rows]
    assert rows == [*envelope.functions, "error of the choice"]


def test_what_cannot_be_studied_says_why():
    counts = WINDOWS.histogram(dijets(5000)[1])
    counts[np.asarray(WINDOWS.edges)[:-1] >= 3000] = 0
    _, study, _ = with_function(run_of("dijet2"), counts, WINDOWS)
    assert "no events above the window" in study.uncertainties["window"]
    assert study.errors == {}
    assert "no events above the window" in function_section(study).tables[1].rows[0][-1]
    _, study, rules = with_function(run_of("auto"), counts, WINDOWS)
    assert study.function == DIJET_FAMILY[0]
    assert rules == ()
    assert "no events above the window" in study.choices["window"]
    assert "no events above the window" in function_section(study).tables[0].rows[0][-1]
