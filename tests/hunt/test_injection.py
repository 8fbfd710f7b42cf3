import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from jepa_coffea.bumphunt.limits import counting_limit
from jepa_coffea.cwola import Recipe, Windows
from jepa_coffea.cwola.classifiers import logistic
from jepa_coffea.cwola.sample import make_sample
from jepa_coffea.hunt import injection, stages
from jepa_coffea.hunt.config import HuntConfig, HuntError, StatisticsConfig
from jepa_coffea.hunt.experiment import Method
from jepa_coffea.hunt.injection import (
    GRID,
    METHODS,
    Study,
    _judged,
    correction_of,
    in_yields,
    inject,
    injection_study,
    null_study,
    nulls_of,
    summarised,
    with_cross_sections,
)
from jepa_coffea.hunt.null import Null
from jepa_coffea.hunt.pseudo import make_pseudo_data
from jepa_coffea.hunt.selections import Estimate, Selection
from jepa_coffea.hunt.stages import Inputs, _without_number, injections
from jepa_coffea.hunt.state import HuntResult, InjectionResult, Run
from jepa_coffea.plots import Header
from jepa_coffea.report.injection_section import LABELS, injection_section
from tests.cwola.toy import dijets

WINDOWS = Windows.single(2600, 3000, sidebands=(2200, 3600), fit_range=(2000, 5000), bins=20)
HEADER = Header("Simulation", "13 TeV")
STATISTICS = StatisticsConfig(sqrt_s=13000, function="dijet2", goodness_toys=0)


@pytest.fixture(scope="module")
def study():
    """Four features that tell the signal, and two observables that do not."""
    X, mass, ids, truth = dijets(3000, features=6, signal=600)
    X[:, 4:] = np.random.default_rng(0).normal(size=(3600, 2))
    sample = make_sample(X, mass, ids)
    pseudo = make_pseudo_data(sample.take(~truth), WINDOWS, STATISTICS)
    return Study(
        pseudo,
        sample.take(truth),
        4,
        Method(Recipe(WINDOWS, {"": logistic()}, members=1, attribute_fraction=1), (0.05,), STATISTICS),
        0,
        0.05,
    )


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
    assert rows[150, "iad"]["z"] > rows[150, "inclusive"]["z"] + 1
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
    assert inject((150, 0, some["seed"]), study)["cwola"]["function"] == some["cwola"]["function"]


def test_references_never_see_the_background_that_they_are_tested_on(study, records, monkeypatch):
    seen = {}

    def kept(name, of_method):
        def train(data, *others):
            seen[name] = set(data.hashes.tolist()), set(others[-2].hashes.tolist())
            return of_method(data, *others)

        return train

    for name in ("supervised", "idealised_anomaly_detector"):
        monkeypatch.setattr(injection, name, kept(name, getattr(injection, name)))
    inject((0, 0, records[0]["seed"]), study)
    donors = set(study.pseudo.donors.hashes.tolist())
    for tested, trained in seen.values():
        assert not tested & trained
        assert min(len(tested & donors), len(trained & donors)) > 0.3 * len(donors)


def test_more_signal_than_there_is(study):
    with pytest.raises(HuntError, match="301 signal events asked for, 300 available"):
        injection_study(study, [301], 1, seed=0)


def limit_of(one, estimate):
    of_estimate = one[estimate]
    return counting_limit(one["n"], of_estimate["b"], of_estimate["sigma_b"], constraint="poisson").events


def test_the_classifier_improves_the_limit_where_there_is_signal_to_learn_from(records):
    rows = {(row["yield"], row["method"]): row for row in summarised(records)}
    for name in METHODS:
        row = rows[0, name]
        assert 0 < row["limit_selected_low"] <= row["limit_selected"] <= row["limit_selected_high"] < np.inf
        assert row["limit"] >= row["limit_selected"]  # not all that is injected is selected
    # Where this much is learned by both, the supervised limit is the better one up to the spread of five experiments.
    assert rows[0, "supervised"]["limit"] < 1.15 * rows[0, "cwola"]["limit"] < 1.15 * rows[0, "inclusive"]["limit"]
    other = {(row["yield"], row["method"]): row for row in summarised(records, "sideband_efficiency")}[0, "cwola"]
    by_hand = [
        np.sort([limit_of(one["cwola"], by) for one in records if one["yield"] == 0])[2]
        for by in ("function", "sideband_efficiency")
    ]
    assert [rows[0, "cwola"]["limit_selected"], other["limit_selected"]] == pytest.approx(by_hand)


def test_a_limit_on_the_yield_is_where_the_selected_signal_reaches_the_limit():
    # 10 % of 100 is selected and 30 % of 200: a limit of 35 lies halfway, 120 beyond at 30 %.
    assert in_yields(np.array([5.0, 35.0, 120.0]), [0, 100, 200], [0, 10, 60]) == pytest.approx([50, 150, 400])
    assert in_yields(np.array([10.0]), [100, 200], [20, 20]) == pytest.approx([100])
    assert in_yields(np.array([15.0]), [100, 200, 300], [25, 10, 40]) == pytest.approx([200 + 100 / 6])
    assert np.isinf(in_yields(np.array([5.0]), [0, 100], [0, 0]))
    assert np.isinf(in_yields(np.array([5.0]), [0], [0]))


def test_a_limit_in_fb_by_hand(tmp_path):
    """10^6 +- 500 events are expected and found, 4000 of 10 000 injected ones are selected, 10/fb, efficiency 50 %.

    The limit on the selected is 1.96 sqrt(10^6 + 500^2) = 2191, on the yield 2191 / .4 = 5478, in fb 5478 / (10 x .5).
    """
    estimate = Estimate(1e6, 500.0, 0.0, 0.5, 0.5)
    records = []
    for amount, signal in ((0, 0), (10_000, 4000)):
        one = _judged(Selection("W1", 0.1, 1_000_000, np.zeros(3), estimate, estimate), signal)
        records.append({"yield": amount} | dict.fromkeys(METHODS, one | {"sic": [1.0] * len(GRID)}))
    rows = with_cross_sections(summarised(records), luminosity=10.0, efficiency=0.5)
    assert {(row["yield"], row["method"]) for row in rows} == {(y, name) for y in (0, 10_000) for name in METHODS}
    for row in rows:
        for name, by_hand in (("limit_selected", 2191), ("limit", 5478), ("limit_fb", 1095.6)):
            assert row[name] == pytest.approx(by_hand, rel=3e-3)
        assert row["limit_low_fb"] == row["limit_fb"] == row["limit_high_fb"]  # one experiment has no band
    section = injection_section(HuntResult(tmp_path, (), injection=InjectionResult(rows)), HEADER)
    assert "limit in the fit range [fb]" in section.tables[0].columns
    assert any(str(cell).startswith("1.1e+03 (") for cell in section.tables[0].rows[0])


def test_the_report_shows_significance_limits_and_improvement(records, tmp_path):
    section = injection_section(HuntResult(tmp_path, (), injection=InjectionResult(summarised(records))), HEADER)
    assert [figure.title for figure in section.figures] == [
        "Injected signal",
        "Limits on injected signal",
        "Significance improvement of injections",
    ]
    for figure in section.figures[:2]:
        legend = {text.get_text() for text in figure.picture.axes[0].get_legend().get_texts()}
        assert set(LABELS.values()) <= legend
    assert len(section.tables[0].rows) == 2 * len(METHODS)


def test_a_method_without_a_number_is_in_the_table_alone(records, tmp_path):
    """And is named with its problem, the yields and the methods that share it together."""
    problem = {"function": {"problem": "no threshold"}, "sideband_efficiency": {"problem": "no threshold"}}
    broken = [{**r, "cwola": r["cwola"] | problem, "iad": r["iad"] | problem} for r in records]
    assert _without_number(records, "function") == []
    assert _without_number(broken, "sideband_efficiency") == [
        "The injection study has no number at 0, 150 injected events for CWoLa, idealised (IAD): no threshold."
    ]
    infinite = dict.fromkeys(("z", "z_low", "z_high"), -np.inf)
    rows = [row | (infinite if row["method"] != "inclusive" else {}) for row in summarised(records)]
    section = injection_section(HuntResult(tmp_path, (), injection=InjectionResult(rows)), HEADER)
    legend = section.figures[0].picture.axes[0].get_legend().get_texts()
    assert [text.get_text() for text in legend] == ["no classifier"]
    nothing = [row | infinite for row in rows]
    section = injection_section(HuntResult(tmp_path, (), injection=InjectionResult(nothing)), HEADER)
    assert "Injected signal" not in [figure.title for figure in section.figures]
    assert len(section.tables[0].rows) == 2 * len(METHODS)
    assert "asymptotic, below 10 expected events by sums over all outcomes" in section.figures[0].caption


@pytest.fixture(scope="module")
def without(study, records, tmp_path_factory):
    """Twenty experiments without signal, in one ledger with the injections."""
    ledger = tmp_path_factory.mktemp("without") / "ledger.jsonl"
    injection_study(study, [0], 5, seed=1, ledger=ledger)
    done = null_study(study, 20, seed=1, ledger=ledger)
    assert json.dumps(null_study(study, 20, seed=1, ledger=ledger)) == json.dumps(done)
    assert len(ledger.read_text().splitlines()) == 25
    return done


def test_experiments_without_signal_have_none_and_share_no_seed_with_injections(records, without):
    assert {record["yield"] for record in without} == {0}
    assert not {record["seed"] for record in without} & {record["seed"] for record in records}


def test_z_of_every_method_is_corrected_by_its_own_without_signal(records, without, tmp_path):
    nulls = nulls_of(without, "sideband_efficiency")
    rows = {(row["yield"], row["method"]): row for row in summarised(records, "sideband_efficiency", nulls)}
    for name in METHODS:
        estimate = "function" if name == "inclusive" else "sideband_efficiency"
        toys = np.array([r[name][estimate]["z"] for r in without])
        z = np.median([r[name][estimate]["z"] for r in records if r["yield"] == 150])
        t = stats.t(19).sf((z - toys.mean()) / (toys.std(ddof=1) * np.sqrt(1 + 1 / 20)))
        assert rows[150, name]["z"] == pytest.approx(stats.norm.isf(t))
        assert rows[150, name]["calibrated"]
        # A count with the calibrated background has the corrected Z, and the limit is of that background.
        limits = []
        for one in (r[name] for r in records if r["yield"] == 150):
            b, sigma_b = one[estimate]["b"], one[estimate]["sigma_b"]
            total = b + sigma_b**2
            moved = b + toys.mean() * np.sqrt(total)
            widened = np.sqrt(max(max(toys.std(ddof=1), 1) ** 2 * total - moved, sigma_b**2))
            limits.append(counting_limit(one["n"], moved, widened).events)
        assert rows[150, name]["limit_selected"] == pytest.approx(np.sort(limits)[2])
    assert (
        correction_of(nulls)
        == "Z and limits of each method are corrected by its own Z in 20 experiments without signal"
    )
    study = InjectionResult(list(rows.values()), nulls=nulls)
    section = injection_section(HuntResult(tmp_path, (), injection=study), HEADER)
    axes = section.figures[0].picture.axes[0]
    assert set(LABELS.values()) <= {text.get_text() for text in axes.get_legend().get_texts()}
    assert axes.get_ylabel() == "Significance $Z$, calibrated"
    assert "Z and limits of each method are corrected by its own Z in 20 experiments" in section.figures[0].caption
    assert {row[3] for row in section.tables[0].rows} == {"calibrated"}
    assert section.figures[1].picture.axes[0].get_ylabel() == "95 % CLs limit on signal events, calibrated"
    of_iad = next(row for row in section.tables[1].rows if row[0] == LABELS["iad"])
    toys = np.array([record["iad"]["sideband_efficiency"]["z"] for record in without])
    assert of_iad[1:3] == [20, 0]
    assert of_iad[4].startswith(f"{toys.std(ddof=1):.2f} ± ")


def test_a_method_without_a_null_stays_as_counted_and_says_why(records, without, tmp_path):
    failing = [
        record | {"iad": record["iad"] | {"function": {"z": np.nan, "function_share": 0.0}}} for record in without
    ]
    nulls = nulls_of(failing)
    rows = summarised(records, "function", nulls)
    assert {row["method"] for row in rows if not row["calibrated"]} == {"iad"}
    z = np.median([r["iad"]["function"]["z"] for r in records if r["yield"] == 150])
    assert next(row["z"] for row in rows if (row["yield"], row["method"]) == (150, "iad")) == z
    section = injection_section(HuntResult(tmp_path, (), injection=InjectionResult(rows, nulls=nulls)), HEADER)
    legend = {text.get_text() for text in section.figures[0].picture.axes[0].get_legend().get_texts()}
    assert {"idealised (IAD), as counted", "supervised"} <= legend
    assert "idealised (IAD) as counted: calibration: 0 of 20 pseudo-experiments gave" in section.figures[0].caption
    assert {row[3] for row in section.tables[0].rows if row[1] == LABELS["iad"]} == {"as counted"}


def test_a_null_that_is_not_centred_corrects_nothing_and_says_why(records, without):
    off = [
        record | {"iad": {"function": {**record["iad"]["function"], "z": 2 + number / 20}}}
        for number, record in enumerate(without)
    ]
    nulls = nulls_of(off)
    assert nulls["iad"] == (
        "its mean Z without signal is 2.48 ± 0.07, expected 0 within 0.4, and no correction for it can be trusted"
    )
    assert isinstance(nulls["cwola"], Null)
    assert {row["method"] for row in summarised(records, "function", nulls) if not row["calibrated"]} == {"iad"}
    assert correction_of(nulls).endswith(f"20 experiments without signal; iad as counted: {nulls['iad']}")
    assert correction_of({"cwola": "a", "iad": "b"}) == (
        "Z and limits of no method are corrected; cwola as counted: a; iad as counted: b"
    )


def test_without_experiments_z_is_as_counted(records, tmp_path):
    section = injection_section(HuntResult(tmp_path, (), injection=InjectionResult(summarised(records))), HEADER)
    assert "uncalibrated" in section.figures[0].picture.axes[0].get_ylabel()
    assert section.figures[1].picture.axes[0].get_ylabel() == "95 % CLs limit on signal events, uncalibrated"
    assert section.figures[0].caption.endswith(
        "Z and limits are as counted: no experiments without signal were asked for."
    )
    assert len(section.tables) == 1


@pytest.mark.parametrize("experiments", [0, 20])
def test_a_study_at_any_efficiency_is_calibrated(study, tmp_path, experiments, monkeypatch):
    """Also at one that is none of the hunt's."""
    other = replace(study, efficiency=0.15)
    monkeypatch.setattr(stages, "_study", lambda *_: other)
    config = HuntConfig(
        input={"events": ["x"]},
        output=tmp_path,
        statistics=STATISTICS,
        calibration={"experiments": experiments},
        injection={"yields": [150], "seeds": 2, "efficiency": 0.15},
    )
    inputs = Inputs(None, None, [], None, [])
    found = injections(Run(config), "key", inputs, study.method)
    assert {row["calibrated"] for row in found.summary} == {experiments > 0}
    written = json.loads((tmp_path / "injection.json").read_text())
    assert written["efficiency"] == 0.15
    assert set(written["without_signal"]) == (set(METHODS) if experiments else set())
    (ledger,) = tmp_path.glob("injection-*.jsonl")
    assert len(ledger.read_text().splitlines()) == 2 + experiments
    if experiments:
        width = written["without_signal"]["iad"]["width"]
        assert width == found.nulls["iad"].width
        assert written["z"].endswith(
            "limits of each method are corrected by its own Z in 20 experiments without signal"
        )
    else:
        assert (
            written["z"] == "by the function; Z and limits are as counted: no experiments without signal were asked for"
        )


def test_a_fault_in_the_experiments_without_signal_loses_no_injection(study, tmp_path, monkeypatch):
    def fails(*_, **__):
        raise ArithmeticError("singular")

    monkeypatch.setattr(stages, "_study", lambda *_: study)
    monkeypatch.setattr(stages, "null_study", fails)
    config = HuntConfig(
        input={"events": ["x"]}, output=tmp_path, statistics=STATISTICS, injection={"yields": [150], "seeds": 1}
    )
    found = injections(Run(config), "key", Inputs(None, None, [], None, []), study.method)
    assert found.nulls == dict.fromkeys(METHODS, "singular")
    assert len(found.summary) == len(METHODS)
    assert not any(row["calibrated"] for row in found.summary)
