import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jepa_coffea.bumphunt import Gaussian, scan
from jepa_coffea.bumphunt.ftest import richest
from jepa_coffea.bumphunt.functions import DIJET_FAMILY
from jepa_coffea.bumphunt.limits import LimitCurve
from jepa_coffea.bumphunt.records import plain
from jepa_coffea.cwola import Windows
from jepa_coffea.hunt.config import HuntConfig, InputConfig, SignalConfig, StatisticsConfig
from jepa_coffea.hunt.inclusive import MIDDLE, inclusive_limits, mass_scan, with_function
from jepa_coffea.hunt.state import HuntResult, Run
from jepa_coffea.hunt.verdict import reasons_against
from jepa_coffea.plots import Header
from jepa_coffea.report.function_section import function_section
from jepa_coffea.report.limit_section import limit_section
from tests.cwola.toy import dijets

WINDOWS = Windows.single(2600, 3000, sidebands=(2200, 3600), fit_range=(2000, 5000), bins=25)


def run_of(function):
    statistics = StatisticsConfig(sqrt_s=13000, function=function, goodness_toys=100)
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
    assert uncertainty.functions == ("expdijet2", "expdijet3", "powexp3")
    assert uncertainty.envelope == pytest.approx(np.abs(uncertainty.totals - uncertainty.totals[0]).max())
    assert {one.truth for one in spurious.studies} <= {"expdijet3", "powexp3"}
    assert uncertainty.error >= uncertainty.envelope
    assert study.errors == {"window": pytest.approx(uncertainty.error / uncertainty.totals[0])}
    document = json.loads(json.dumps(plain(study), allow_nan=False))
    assert document["uncertainties"]["window"]["envelope"] == pytest.approx(uncertainty.envelope)
    titles = {table.title: table for table in function_section(study).tables}
    assert set(titles) == {"Envelope of functions", "Spurious signal"}
    rows = [row[1] for row in titles["Envelope of functions"].rows]
    assert rows == [*uncertainty.functions, "error of the choice"]


def test_a_function_that_no_other_confirms_may_not_be_quoted():
    counts = WINDOWS.histogram(dijets(5000)[1])
    _, study, _ = with_function(run_of("dijet2"), counts, WINDOWS)
    assert study.doubts == []
    known = study.uncertainties["window"]
    alone = replace(known, accepted=np.arange(len(known.functions)) == 0)
    none = replace(alone, failed=("powexp3: singular",))
    unknown = "how wrong dijet2 may be in window window is not known and not counted: "
    for uncertainty, why in (
        (alone, "no other function describes the spectrum beside it"),
        (none, "no other function describes the spectrum beside it (powexp3: singular)"),
        ("boom", "boom"),
    ):
        doubted = replace(study, uncertainties={"window": uncertainty})
        assert reasons_against(HuntResult(Path(), (), functions=doubted), 0.01) == [unknown + why]


def test_a_scan_that_knows_not_what_the_function_fakes_may_not_be_quoted(monkeypatch):
    def fails(*_, **__):
        raise np.linalg.LinAlgError("singular")

    monkeypatch.setattr("jepa_coffea.hunt.inclusive.spurious_yields", fails)
    run = run_of("dijet2")
    _, spurious, _ = mass_scan(run, COARSE.histogram(dijets(5000)[1]), COARSE)
    assert spurious == {"width 0.05": "singular"}
    assert run.failed == [
        "the signal that dijet2 may fake in the scan for peaks of width 0.05 is not known and not counted: singular"
    ]


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


COARSE = Windows.single(2600, 3000, sidebands=(2200, 3600), fit_range=(2000, 5000), bins=20)
STATISTICS = StatisticsConfig(sqrt_s=13000, function="dijet2", goodness_toys=0)


def document(signal, luminosity=None):
    config = HuntConfig(input=InputConfig(events=["x"]), output=Path("x"), statistics=STATISTICS, signal=signal)
    return config.model_copy(update={"luminosity": luminosity})


def test_where_few_events_are_expected_limits_come_from_toys_and_the_report_says_where(tmp_path):
    counts = COARSE.histogram(dijets(300)[1])
    by_toys, _ = inclusive_limits(counts, COARSE, document(SignalConfig(widths=[0.05], toys=300)))
    asymptotic, _ = inclusive_limits(counts, COARSE, document(SignalConfig(widths=[0.05], toys=0)))
    one, other = by_toys["width 0.05"], asymptotic["width 0.05"]
    few = np.array([method == "300 toys per strength" for method in one.methods])
    assert few.any()
    assert few.tolist() == sorted(few)  # at the highest masses
    assert one.events[~few].tolist() == other.events[~few].tolist()
    assert one.events[few] == pytest.approx(other.events[few], rel=0.4)
    assert (one.events[few] != other.events[few]).all()
    section = limit_section(HuntResult(tmp_path, (), mass_limits=by_toys), Header("Simulation", "13 TeV"))
    assert f"{few.sum()} of {len(few)} points: 300 toys per strength." in section.figures[0].caption


def test_limits_against_mass_are_in_fb_and_each_width_has_its_own(tmp_path):
    counts = COARSE.histogram(dijets(5000)[1])
    signal = SignalConfig(efficiency=0.5, widths=[0.03, 0.1])
    found, against_width = inclusive_limits(counts, COARSE, document(signal, luminosity=10.0))
    narrow, wide = found["width 0.03"], found["width 0.1"]
    assert isinstance(narrow, LimitCurve)
    assert isinstance(wide, LimitCurve)
    assert narrow.cross_section == pytest.approx(narrow.events / (10.0 * 0.5))
    assert np.median(wide.expected_events[:, 2]) > np.median(narrow.expected_events[:, 2])
    how = {"function": "dijet2", "signal": Gaussian(0.03), "toys": 0}
    errors = scan((counts, np.asarray(COARSE.edges)), narrow.points, **how).errors
    # Without nuisances the median expected limit is 1.96 errors of a fitted signal; the spurious signal adds to it.
    assert np.median(narrow.expected_events[:, 2] / errors) > 1.9
    (curve,) = against_width.values()
    assert isinstance(curve, LimitCurve)
    assert (curve.axis, curve.points.tolist()) == ("width", [0.03, 0.1])
    for place, of_width in enumerate((narrow, wide)):
        across = np.interp(2800, of_width.points, of_width.expected_cross_section[:, 2])
        assert curve.expected_cross_section[place, 2] == pytest.approx(across, rel=0.05)
    section = limit_section(
        HuntResult(tmp_path, (), mass_limits=found, width_limits=against_width), Header("Simulation", "13 TeV")
    )
    assert [figure.title for figure in section.figures] == [
        "Limits against mass, width 0.03",
        "Limits against mass, width 0.1",
        "Limits against width, mass 2800 GeV",
    ]


def test_limits_of_a_simulated_peak_are_those_of_its_shape():
    counts, edges = COARSE.histogram(dijets(5000)[1]), np.linspace(1500, 4500, 301)
    shape = {"counts": Gaussian(0.06).template(edges, 3000).tolist(), "edges": edges.tolist(), "mass": 3000}
    simulated, gaussian = (
        inclusive_limits(counts, COARSE, document(SignalConfig(shape=one, widths=[0.05, 0.1], toys=0)))
        for one in (shape, "gaussian")
    )
    for by_shape, by_gaussian in zip(simulated, gaussian, strict=True):
        for at, curve in by_shape.items():
            assert curve.expected_events == pytest.approx(by_gaussian[at].expected_events, rel=0.05)
    tailed = np.array(shape["counts"]) + 0.3 * (np.abs(edges[:-1] - 2400) < 500) / 100
    with_tail = document(SignalConfig(shape=shape | {"counts": tailed.tolist()}, widths=[0.05], toys=0))
    found = inclusive_limits(counts, COARSE, with_tail)[0]["width 0.05"]
    ratio = found.expected_events[:, 2] / simulated[0]["width 0.05"].expected_events[:, 2]
    assert abs(np.median(ratio) - 1) > 0.05


def test_no_signal_section_no_limits_and_what_cannot_be_fitted_says_why():
    counts = np.zeros(20)
    assert inclusive_limits(counts, COARSE, document(None)) == ({}, {})
    several = inclusive_limits(counts, COARSE, document(SignalConfig(widths=[0.03, 0.1])))
    problems = [problem for curves in several for problem in curves.values()]
    assert len(problems) == 3
    assert all(isinstance(problem, str) for problem in problems)
    scan_of_nothing = inclusive_limits(counts, replace(COARSE, windows=()), document(SignalConfig(widths=[0.03, 0.1])))[
        1
    ]
    assert scan_of_nothing == {MIDDLE: "there are no limits against mass for every width"}
