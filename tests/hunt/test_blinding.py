import json
import re
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml
from rich.console import Console
from sklearn.linear_model import LogisticRegression

from jepa_coffea.bumphunt.limits import cls_limit
from jepa_coffea.commands.hunt import hunt
from jepa_coffea.cwola import Windows
from jepa_coffea.cwola.classifiers import CLASSIFIERS
from jepa_coffea.cwola.gates import Gate
from jepa_coffea.files.folders import MARK
from jepa_coffea.hunt.blinding import (
    HIDDEN,
    blind_gates,
    blinded,
    describe_blind,
    record_blinding,
    without_counts,
    without_observed,
)
from jepa_coffea.hunt.config import HuntConfig, StatisticsConfig
from jepa_coffea.hunt.selections import Estimate, Selection, count_inclusive
from jepa_coffea.hunt.stages import selection_results
from jepa_coffea.hunt.state import CalibrationResult, FunctionStudy, HuntResult, Run, SelectionResult
from jepa_coffea.hunt.verdict import headline
from tests.cwola.toy import dijets
from tests.hunt.make import write_events
from tests.hunt.test_pipeline import DOCUMENT

WINDOWS = Windows.single(2600, 3000, sidebands=(2200, 3600), fit_range=(2000, 5000), bins=25)
BLIND = {"blind": True, "signal": {"efficiency": 0.5}, "luminosity": 137, "calibration": {"experiments": 20}}


def write(folder, **changes):
    (folder / "hunt.yaml").write_text(yaml.safe_dump({**DOCUMENT, **changes}))
    return folder / "hunt.yaml"


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """A blind hunt with what it printed and wrote, and the same unblinded."""
    folder = tmp_path_factory.mktemp("blind")
    write_events(folder / "events.parquet", 4000, signal=120)
    console = Console(record=True, width=200)
    blind = hunt(write(folder, **BLIND), progress=False, console=console)
    names = ("results.json", "spectra.json", "summary.txt", "report.html")
    written = {name: (folder / "out" / name).read_text() for name in names} | {"printed": console.export_text()}
    written |= {"exports": str(sorted((folder / "out" / "exports").rglob("*")))}
    assert not {"scores.parquet", "gates.json"} & {path.name for path in (folder / "out").iterdir()}
    kept = [folder / "out" / HIDDEN / name for name in ("scores.parquet", "gates.json")]
    stages = [*(folder / "out").glob("calibration-*.jsonl"), *kept]
    before = {path.name: path.stat().st_mtime_ns for path in stages}
    unblinded = hunt(write(folder, **BLIND | {"blind": False}), progress=False)
    after = {path.name: path.stat().st_mtime_ns for path in (folder / "out").iterdir() if path.name in before}
    return folder / "out", blind, written, unblinded, before == after


def test_no_count_of_a_window_is_anywhere(both):
    _, blind, written, unblinded, _ = both
    assert not blind.everything
    assert blind.calibration.null is None
    numbers = [finding.selection for finding in unblinded.everything]
    total = len(unblinded.events.sample.mass)
    for name, text in written.items():
        text = re.sub(r"data:image/png;base64,[^\"]*|\b[0-9a-f]{12,}\b", "", text)
        for one in numbers:
            assert not re.search(rf"(?<![\d.]){one.n}(?![\d.])", text), (name, one.label)
            for z in (one.function.z, one.function.p):
                assert f"{z:.4g}" not in text
        assert str(total) not in text
        assert " found, " not in text
    assert json.loads(written["spectra.json"])["spectra"] == []
    assert json.loads(written["results.json"])["may_be_quoted"] is False


def test_the_sensitivity_is_that_of_the_unblinded_hunt(both):
    _, blind, written, unblinded, _ = both
    assert [one.label for one in blind.sensitivity] == [one.selection.label for one in unblinded.everything]
    assert blind.first_sensitivity is blind.sensitivity[1]  # the classifier's selection, not all events
    assert dict(headline(blind))["Selection"].startswith("W1, efficiency 0.1; all 2 are")
    for one, found in zip(blind.sensitivity, unblinded.everything, strict=True):
        if unblinded.background == "function" or found.selection.efficiency == 1:
            assert one.b == pytest.approx(found.selection.by(unblinded.background).b)
        assert one.limit == pytest.approx(tuple(found.limit.expected_events), rel=0.3)
    selected = blind.sensitivity[1]
    assert selected.calibrated
    assert selected.null == unblinded.selections[0].calibrated(unblinded.background).null.record()
    assert 1 < selected.expected_z < 3
    for gate, other in zip(blind.closure.gates, unblinded.closure.gates, strict=True):
        assert (gate.name, gate.passed) == (other.name, other.passed)
        if gate.name.startswith("inverted selection"):
            assert other.counted == (2600.0, 3000.0)
            assert np.isnan([gate.value, gate.error]).all()
            assert np.isfinite(other.value)
        else:
            assert (gate.value, gate.error) == (other.value, other.error)
    assert any(" found, " in gate.explanation for gate in unblinded.closure.gates)
    limits = json.loads(written["results.json"])["mass_limits"]["width 0.05"]
    assert set(limits["events"]) == {"nan"}
    assert limits["expected_cross_section"][0][2] > 0
    assert "Blind selections" in written["report.html"]


def test_unblinding_does_nothing_again_and_is_said(both):
    out, _, written, unblinded, same = both
    assert same
    assert "Blind since" in written["summary.txt"]
    assert "unblinded" not in written["summary.txt"]
    record = json.loads((out / "blinding.json").read_text())
    assert record["document"] == record["unblinded_with"]
    for text in (unblinded.paragraph, (out / "report.html").read_text(), (out / "results.json").read_text()):
        assert f"unblinded on {record['unblinded']} with the same document {record['document']}" in text
    again = hunt(write(out.parent, calibration={"experiments": 0}), progress=False)
    assert again.blinding == unblinded.blinding  # the first look counts


class ByItsFirstFeature(LogisticRegression):
    """Scores by the first feature, whatever it is trained with."""

    def fit(self, X, y, sample_weight=None):
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, X):
        share = 0.5 + np.arctan(np.asarray(X, dtype=float)[:, 0]) / np.pi
        return np.stack([1 - share, share], axis=1)


def more_in_the_window(path):
    """A twentieth more events that fail a tight selection on x, and nine that pass it."""
    table = pq.read_table(path)
    inside = table.filter((pc.field("mjj") >= 2600) & (pc.field("mjj") < 3000))
    failing = len(inside) // 20
    extra = inside.slice(0, failing + 9)
    x = np.append(np.full(failing, -1.0), np.full(9, 3.5))
    for name, values in (("x", x), ("event", 10_000_000 + np.arange(len(extra)))):
        extra = extra.set_column(extra.schema.get_field_index(name), name, pa.array(values))
    pq.write_table(pa.concat_tables([table, extra]), path)


def everything_public(folder, printed):
    """Text and pictures that a blind hunt has written and printed, without times and fingerprints."""
    found = {"printed": printed.encode()}
    for path in folder.rglob("*"):
        # These hold the time; what else is in them is in other files, too.
        timed = path.suffix in (".root", ".pdf") or path.name == MARK
        if path.is_file() and HIDDEN not in path.parts and not timed:
            found[str(path.relative_to(folder))] = path.read_bytes()
    times = rb"\d{4}-\d\d-\d\dT[\d:]+\+00:00"
    texts = {name: text if name.endswith(".png") else re.sub(times, b"", text) for name, text in found.items()}
    texts["blinding.json"] = re.sub(rb'"seal": "\w+"', b"", texts["blinding.json"])
    return {re.sub(r"-\w+(?=\.jsonl)", "", name): text for name, text in texts.items()}


INJECTED = {"injection": {"signal": ["signal.parquet"], "yields": [100], "seeds": 2}}


@pytest.mark.parametrize(("background", "more"), [(None, INJECTED), ("sideband_efficiency", {})])
def test_nothing_public_changes_with_the_events_of_the_window(tmp_path, monkeypatch, background, more):
    monkeypatch.setitem(CLASSIFIERS, "logistic", ByItsFirstFeature)
    rng = np.random.default_rng(3)
    write_events(tmp_path / "events.parquet", 6000, x=rng.normal(size=6000))
    write_events(tmp_path / "signal.parquet", 0, signal=400, seed=2, x=rng.normal(2, 1, 400))
    changes = {
        "features": {"use": ["columns"], "columns": ["x"]},
        "efficiencies": [0.1, 0.05],
        "statistics": {**DOCUMENT["statistics"], "background": background},
    }
    document, public = write(tmp_path, **BLIND, **changes, **more), []
    for again in (False, True):
        if again:
            more_in_the_window(tmp_path / "events.parquet")
        console = Console(record=True, width=200)
        result = hunt(document, progress=False, console=console)
        assert all(np.isfinite([one.b, one.expected_z, *one.limit]).all() for one in result.sensitivity)
        public.append(everything_public(tmp_path / "out", console.export_text()))
        (tmp_path / "out").rename(tmp_path / f"out_{again}")
    assert {"results.json", "report.html", "calibration.jsonl", "exports/histograms.json"} <= public[0].keys()
    assert ("injection.json" in public[0]) == bool(more)
    assert public[0].keys() == public[1].keys()
    for name, text in public[0].items():
        assert text == public[1][name], name


def test_gates_that_count_in_any_window_tell_whether_they_passed_and_no_number():
    meaning = "no excess there: 61 found, 40.0 ± 2.0 expected"
    inside, beside = (Gate("a", "W1", False, 2.9, 1.0, 3.0, meaning, where) for where in ((2600, 3000), (2100, 2600)))
    slope = Gate("b", "W1", True, 0.03, 0.01, 0.1, "0 if the score does not know the mass")
    hidden, shown, same = blind_gates([inside, beside, slope], WINDOWS.windows)
    assert np.isnan([hidden.value, hidden.error]).all()
    assert not hidden.passed
    assert hidden.explanation == "no excess there; its number waits for the unblinding"
    assert (shown.value, shown.error, shown.explanation) == (2.9, 1.0, "no excess there")
    assert same == slope
    # The sideband of one window may be another one.
    other = replace(WINDOWS.windows[0], sideband_low=2000.0, low=2200.0, high=2600.0, name="W0")
    assert np.isnan(blind_gates([beside], [*WINDOWS.windows, other])[0].value)


def test_what_was_left_out_is_said_of_a_blind_hunt_too(both):
    _, _, _, unblinded, _ = both
    sentence = "3000 events were left out because their mass is not finite."
    assert sentence in describe_blind(blinded(replace(unblinded, left_out=[sentence]), StatisticsConfig(sqrt_s=13000)))


def test_a_window_that_is_too_small_to_train_in_does_not_tell_its_events(tmp_path):
    problem = "window 'B6' (4975-6081 GeV): 6 training events in the window for fold 0, expected at least 10"
    none = Estimate(problem=problem)
    found = HuntResult(tmp_path, [], [SelectionResult(Selection("B6", 0.1, 0, np.zeros(3), none, none))])
    blind = blinded(replace(found, reasons=[f"B6 has no number: {problem}"]), StatisticsConfig())
    for text in (blind.sensitivity[0].problem, *blind.reasons, describe_blind(blind)):
        assert "N training events in the window for fold 0, expected at least 10" in text
        assert "6 training" not in text


@pytest.mark.parametrize(
    ("problem", "shown"),
    [
        ("the fit on 25 bins with 4711 events did", "the fit on 25 bins with N events did"),
        ("the fit on 25 bins with 1e+04 events did", "the fit on 25 bins with N events did"),
        ("3 parameters and only 7 bins with events", "3 parameters and only N bins with events"),
        ("has 12 sideband events, fewer than the 100 that", "has N sideband events, fewer than the 100 that"),
        ("of 12 out of 300 sideband events", "of N out of N sideband events"),
        ("0.5 events are expected below and 12.3 above it", "N events are expected below and N above it"),
        ("bin 3 holds 5 events after and 9 before", "bin 3 holds N events after and N before"),
        ("expected finite n >= 0, got 3, 4.5 and 2", "expected finite n >= 0, got N"),
        ("asymptotic, below 10 expected events", "asymptotic, below 10 expected events"),
        ("W1, efficiency 0.1 has no number", "W1, efficiency 0.1 has no number"),
        ("all events has p = 0.0023, below 0.01", "all events has p = 0.0023, below 0.01"),
    ],
)
def test_counts_in_words_are_hidden_and_other_numbers_are_not(problem, shown):
    assert without_counts(problem) == shown


def test_no_problem_of_a_blind_hunt_tells_a_count(tmp_path):
    problem = "Minuit did not converge in the fit of dijet3 on 25 bins with 4711 events"
    full = HuntResult(
        tmp_path,
        [],
        [SelectionResult(Selection("B6", 0.1, 0, np.zeros(3), Estimate(problem=problem)))],
        calibration=CalibrationResult(problem=problem),
        functions=FunctionStudy("dijet3", {"B6": problem}, {"B6": problem}, {"B6": problem}),
        reasons=[f"there are no pseudo-experiments: {problem}"],
    )
    blind = blinded(full, StatisticsConfig())
    for said in (blind, without_observed({"width 0.05": problem}), describe_blind(blind)):
        assert "4711" not in str(said)
        assert "N events" in str(said)


def test_a_blind_hunt_sets_no_observed_limit_and_says_where_none_is_expected(tmp_path, monkeypatch):
    def fails(*_, **__):
        raise np.linalg.LinAlgError("singular")

    run = Run(HuntConfig(input={"events": ["x"]}, output=tmp_path, blind=True))
    counts, statistics = np.round(WINDOWS.histogram(dijets(400)[1])), StatisticsConfig(sqrt_s=13000, function="dijet2")
    selections = count_inclusive(counts, WINDOWS, statistics)
    monkeypatch.setattr("jepa_coffea.hunt.stages.cls_limit", fails)
    (found,) = selection_results(run, selections)
    assert (found.limit, run.failed) == (None, [])
    monkeypatch.setattr("jepa_coffea.hunt.blinding.cls_limit", fails)
    assert "; no expected limit was found." in describe_blind(blinded(HuntResult(tmp_path, [found]), statistics))


def test_expected_limits_are_by_the_constraint_of_the_document(tmp_path):
    counts = np.round(WINDOWS.histogram(dijets(400)[1]))
    medians = []
    for constraint in ("poisson", "gaussian"):
        statistics = StatisticsConfig(sqrt_s=13000, function="dijet2", constraint=constraint)
        found = SelectionResult(count_inclusive(counts, WINDOWS, statistics, function_errors={"window": 0.8})[0])
        blind = blinded(HuntResult(tmp_path, [found]), statistics).sensitivity[0]
        model = found.model("function")
        expected = cls_limit(replace(model, observed=model.background), constraint=constraint).expected_events
        assert blind.limit == pytest.approx(tuple(expected))
        medians.append(blind.limit[2])
    assert medians[0] != pytest.approx(medians[1], rel=0.02)


def test_another_document_does_not_pass_for_the_blind_one(tmp_path):
    def run(**changes):
        return Run(HuntConfig(input={"events": ["x"]}, output=tmp_path, **changes))

    assert record_blinding(run()) is None
    record_blinding(run(blind=True))
    history = record_blinding(run(seed=4, efficiencies=[0.05]))
    assert history.changed == ("efficiencies", "seed")
    assert "differs from the blind one" in history.sentence
    assert record_blinding(run(blind=True)) == history


def test_a_blind_histogram_shows_expectations_alone(tmp_path, both):
    unblinded = both[3].inclusive[0].selection
    edges = unblinded.function.fit.edges.tolist()
    (tmp_path / "h.json").write_text(json.dumps({"counts": unblinded.counts.tolist(), "edges": edges, "sqrt_s": 13000}))
    document = write(tmp_path, input={"histogram": "h.json"}, blind=True)
    blind = hunt(document, progress=False)
    assert blind.refitted is None
    assert blind.sensitivity[0].b == pytest.approx(unblinded.function.b)
    assert str(unblinded.n) not in (tmp_path / "out" / "summary.txt").read_text()
