import html
import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from jepa_coffea.bumphunt import Gaussian, counting_significance, scan
from jepa_coffea.bumphunt.calibrated import calibrated_background
from jepa_coffea.bumphunt.exports.histograms import read_hists
from jepa_coffea.bumphunt.exports.workspace import pyhf_significance
from jepa_coffea.cli import main
from jepa_coffea.commands.hunt import hunt
from jepa_coffea.errors import FitError, StorageError
from jepa_coffea.hunt.calibration import null_experiment
from jepa_coffea.hunt.config import HuntConfig
from jepa_coffea.hunt.verdict import headline
from jepa_coffea.report.spectrum_section import _faked
from tests.cwola.toy import dijets
from tests.hunt.make import write_events

DOCUMENT = {
    "input": {"events": ["events.parquet"]},
    "output": "out",
    "mass": {
        "windows": [{"window": [2600, 3000], "sidebands": [2200, 3600]}],
        "fit_range": [2000, 5000],
        "bins": 25,
    },
    "features": {"components": 4},
    "classifier": {"candidates": {"logistic": {}}, "members": 1, "attribute_fraction": 1.0},
    "efficiencies": [0.1],
    "statistics": {"function": "dijet2", "goodness_toys": 100},
    "calibration": {"experiments": 20},
}


AUTO = {"function": "auto", "goodness_toys": 100, "global_toys": 60}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("hunt")
    write_events(path / "events.parquet", 4000, signal=120)
    return path


def write(folder, name="hunt.yaml", **changes):
    path = folder / name
    path.write_text(yaml.safe_dump({**DOCUMENT, **changes}))
    return path


@pytest.fixture(scope="module")
def found(folder):
    return hunt(write(folder), progress=False)


def test_a_bump_is_found_and_the_folder_tells_everything(folder, found):
    one, everything = found.selections[0].selection, found.inclusive[0].selection
    assert one.function.z > everything.function.z + 1
    search = found.calibration.search
    assert search is not None
    assert search.exceeding == 0
    assert search.p == pytest.approx(1 / 21)
    out = folder / "out"
    document = json.loads((out / "results.json").read_text())
    record = document["selections"][0]
    assert record["function"]["z"] == pytest.approx(one.function.z)
    assert document["may_be_quoted"] == (not found.reasons)
    assert document["background"] == found.background in ("function", "sideband_efficiency")
    other = record["sideband_efficiency"]
    assert other["b"] == pytest.approx(one.function.b, abs=3 * one.function.sigma_b)
    assert other["z"] > everything.function.z + 1
    assert record["corrected"]["sideband_efficiency"]["null"]["experiments"] == 20
    assert record["corrected"]["function"]["z"] == found.selections[0].corrected["function"].z
    assert found.selections[0].corrected["sideband_efficiency"].z > 1
    written = yaml.safe_load((out / "config.yaml").read_text())
    assert written["seed"] == 1
    assert written["statistics"]["sqrt_s"] == 13000  # as the files said
    assert "numpy" in json.loads((out / "versions.json").read_text())
    table = pq.read_table(out / "scores.parquet")
    assert len(table) == 4120
    assert {"run", "luminosityBlock", "event", "fold", "score_W1", "fraction_W1"} <= set(table.column_names)


def test_scans_of_the_picture_count_what_the_function_may_fake(folder, found):
    everything, selected = found.inclusive[0], found.selections[0]
    study = found.functions.spurious["W1"]
    assert everything.scan.masses.tolist() == selected.scan.masses.tolist() == study.masses.tolist()
    assert everything.scan.spurious.max() > 0
    under = np.array([Gaussian(0.05).template(selected.selection.function.fit.edges, mass) for mass in study.masses])
    share = (under @ selected.selection.function.fit.expected) / (under @ everything.selection.function.fit.expected)
    assert selected.scan.spurious == pytest.approx(study.events * share)
    assert 0.05 < np.median(share) < 0.2  # of an efficiency of .1
    for one in (everything, selected):
        data = (one.selection.counts, one.selection.function.fit.edges)
        alone = scan(data, function="dijet2", toys=0)
        z = alone.z / np.sqrt(1 + (one.scan.spurious / alone.errors) ** 2)
        assert one.scan.z == pytest.approx(z)
    page = html.unescape((folder / "out" / "report.html").read_text())
    assert "may fake is an uncertainty of each peak, after a selection in proportion to the background" in page
    without = {"all events": replace(everything.scan, spurious=None), "efficiency 0.1": [selected.scan]}
    assert _faked(without).endswith("What the function may fake is not known and left out for all events.")


def test_exports_say_the_same_number_elsewhere(folder, found):
    exports = folder / "out" / "exports"
    one = found.selections[0].selection
    workspace = json.loads((exports / "W1_eff_0p1.json").read_text())
    uncalibrated = json.loads((exports / "W1_all.json").read_text())
    counted = found.inclusive[0].selection.function
    assert pyhf_significance(uncalibrated) == pytest.approx(counted.z, abs=0.02)
    assert counted.function_error > 0
    by, corrected = one.by(found.background), found.selections[0].z_calibration(found.background)
    b, sigma = calibrated_background(by.b, by.sigma_b, corrected)
    assert pyhf_significance(workspace) == pytest.approx(counting_significance(one.n, b, sigma, "poisson"), abs=0.1)
    assert "Calibrated with 20 background-only pseudo-experiments" in json.dumps(workspace)
    assert "Not calibrated" in json.dumps(uncalibrated)
    assert "Calibrated with 20" in (exports / "W1_eff_0p1.txt").read_text()
    assert "significances" in (exports / "hepdata" / "submission.yaml").read_text()
    assert (exports / "W1_eff_0p1.txt").is_file()
    assert (exports / "hepdata" / "submission.yaml").is_file()
    histograms = read_hists(exports / "histograms.root")
    assert histograms["W1_eff_0p1"].values() == pytest.approx(one.counts)
    limit = json.loads((folder / "out" / "results.json").read_text())["selections"][0]["limit"]
    assert limit["events"] > one.n - b > limit["expected_events"][2]


def test_the_paragraph_names_the_excess_and_the_calibration(found):
    one = found.selections[0].selection
    by = one.by(found.background)
    assert f"{one.n} events where {by.b:.1f} ± {by.sigma_b:.1f}" in found.paragraph
    assert "the cross-check, corrected likewise" in found.paragraph
    assert "20 pseudo-experiments without signal" in found.paragraph
    assert ("must not be quoted" in found.paragraph) == bool(found.reasons)


def test_an_interrupted_hunt_goes_on_where_it_stopped(folder, found, monkeypatch, capsys):
    ledger = next((folder / "out").glob("calibration-*.jsonl"))
    lines = ledger.read_text().splitlines(keepends=True)
    ledger.write_text("".join(lines[:-3]) + lines[-3][:9])  # interrupted while writing

    scores = (folder / "out" / "scores.parquet").stat().st_mtime_ns
    monkeypatch.setattr("jepa_coffea.hunt.calibration.null_experiment", counted := Counted())
    results = (folder / "out" / "results.json").read_text()
    status = main(["report", str(folder / "out"), "--quiet"])
    assert status == (1 if found.reasons else 0)
    assert "".join(found.paragraph.split()) in "".join(capsys.readouterr().out.split())
    assert counted.calls == 3
    assert (folder / "out" / "scores.parquet").stat().st_mtime_ns == scores
    assert (folder / "out" / "results.json").read_text() == results


class Counted:
    """The real pseudo-experiment, counting how many were asked for."""

    def __init__(self):
        self.calls = 0

    def __call__(self, seed, pseudo, method):
        self.calls += 1
        return null_experiment(seed, pseudo, method)


def test_a_changed_document_is_not_answered_with_old_scores(folder, found):
    other = hunt(write(folder, "other.yaml", output="other", seed=2, calibration={"experiments": 0}), progress=False)
    assert other.selections[0].selection != found.selections[0].selection
    assert "too small by an unknown amount" in other.paragraph
    assert json.loads((folder / "other" / "results.json").read_text())["may_be_quoted"] is False


def test_a_histogram_alone_is_hunted_without_classifiers(tmp_path, found):
    windows = yaml.safe_load(yaml.safe_dump(DOCUMENT))
    spectra = json.loads((found.output / "spectra.json").read_text())
    (tmp_path / "h.json").write_text(
        json.dumps({"counts": spectra["spectra"][0]["counts"], "edges": spectra["edges"], "sqrt_s": 13000})
    )
    document = write(tmp_path, input={"histogram": "h.json"}, mass=windows["mass"])
    result = hunt(document, progress=False)
    assert result.inclusive[0].selection == found.inclusive[0].selection
    assert not result.selections
    assert "without a classifier" in result.paragraph
    assert result.refitted is not None
    assert result.refitted.toys == 2000
    assert "Gross and Vitells" in result.paragraph
    chosen = write(tmp_path, output="auto", input={"histogram": "h.json"}, mass=windows["mass"], statistics=AUTO)
    result = hunt(chosen, progress=False)
    assert result.functions.choices["W1"].function == result.inclusive[0].selection.function.fit.function
    assert "function chosen in each spectrum" in result.refitted.search


def test_an_efficiency_without_a_threshold_leaves_the_others_standing(folder):
    document = write(folder, "tight.yaml", output="tight", efficiencies=[0.1, 0.002])
    result = hunt(document, progress=False)
    good, bad = result.selections
    assert good.calibrated("function").z > 2
    assert "fewer than the 500 that define" in bad.corrected["function"]
    assert "W1, efficiency 0.002 has no number: efficiency 0.002: a fold has" in result.paragraph
    assert "Too few events, window W1 has no number: efficiency 0.002" in result.paragraph  # as said before the work
    assert result.calibration.search.trials == 1
    assert "fewer than the 500 that define" in (folder / "tight" / "report.html").read_text()


def test_a_hunt_in_too_few_events_ends_with_a_report(tmp_path):
    write_events(tmp_path / "events.parquet", 40)
    result = hunt(write(tmp_path), progress=False)
    assert "training events in the" in result.paragraph
    assert "must not be quoted" in result.paragraph
    assert (tmp_path / "out" / "report.html").is_file()
    assert json.loads((tmp_path / "out" / "results.json").read_text())["may_be_quoted"] is False


def test_what_the_document_names_is_checked_before_anything_is_trained(folder, monkeypatch, capsys):
    monkeypatch.setattr("jepa_coffea.hunt.pipeline.out_of_fold_scores", None)
    signal = {"yields": [61], "seeds": 1}
    write(folder, "much.yaml", output="much", injection=signal)
    assert main(["hunt", str(folder / "much.yaml")]) == 2
    assert "61 signal events asked for, 60 available" in " ".join(capsys.readouterr().err.split())
    write(folder, "lost.yaml", output="lost", calibration={"experiments": 20, "background": ["nothing.parquet"]})
    assert main(["hunt", str(folder / "lost.yaml")]) == 2
    assert "background events: nothing matches" in " ".join(capsys.readouterr().err.split())
    assert not (folder / "much" / "results.json").exists()


def test_background_events_that_are_those_of_the_data_would_hide_a_signal(folder, monkeypatch, capsys):
    monkeypatch.setattr("jepa_coffea.hunt.pipeline.out_of_fold_scores", None)
    write(folder, "same.yaml", output="same", calibration={"experiments": 20, "background": ["events.parquet"]})
    assert main(["hunt", str(folder / "same.yaml")]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "calibration.background: 4120 of 4120 events in the fit range are those of the input" in said
    assert "hold the signal that the data hold, and hide it" in said


def test_a_bug_in_the_training_leaves_what_needs_none(folder, monkeypatch):
    def fails(*_, **__):
        raise ValueError("not a classifier")

    monkeypatch.setattr("jepa_coffea.hunt.stages.train_or_say_why", fails)
    result = hunt(write(folder, "untrained.yaml", output="untrained"), progress=False)
    assert result.inclusive[0].selection.function.z
    assert "has no number: a bug (ValueError: not a classifier); its traceback is in errors.log" in result.paragraph
    assert not (folder / "untrained" / "scores.parquet").exists()
    assert (folder / "untrained" / "report.html").is_file()


def test_a_stage_that_fails_leaves_the_rest_and_is_named(folder, monkeypatch):
    def fails(*_, **__):
        raise ArithmeticError("singular")

    monkeypatch.setattr("jepa_coffea.hunt.stages.closure_gates", fails)
    monkeypatch.setattr("jepa_coffea.hunt.stages.null_significances", fails)
    result = hunt(write(folder, "failing.yaml", output="failing"), progress=False)
    assert "no significance is calibrated: singular" in result.paragraph
    assert "'closure gates' of window W1 failed (could not be made: singular)" in result.paragraph
    assert not (folder / "failing" / "errors.log").exists()
    assert (folder / "failing" / "report.html").is_file()
    assert json.loads((folder / "failing" / "results.json").read_text())["selections"][0]["function"]["z"]


def test_a_full_disk_in_a_stage_ends_the_hunt(folder, monkeypatch, capsys):
    def full(*_, **__):
        raise StorageError("disk full: x")

    document = write(folder, "full.yaml", output="full")
    with monkeypatch.context() as patch:
        patch.setattr("jepa_coffea.hunt.stages.null_significances", full)
        assert main(["hunt", str(document), "--quiet"]) == 2
    assert "disk full: x" in capsys.readouterr().err
    assert not (folder / "full" / "results.json").exists()


def test_a_bug_in_a_stage_is_a_line_in_the_report_and_a_traceback_in_the_log(folder, monkeypatch):
    def buggy(*_, **__):
        raise KeyError("[x]")

    monkeypatch.setattr("jepa_coffea.hunt.stages.null_significances", buggy)
    result = hunt(write(folder, "buggy.yaml", output="buggy"), progress=False)
    assert "no significance is calibrated: a bug (KeyError: '[x]'); its traceback is in errors.log" in result.paragraph
    log = (folder / "buggy" / "errors.log").read_text()
    assert "calibration\nTraceback" in log
    assert "in buggy" in log


STEPS = {
    "pipeline.with_function": "the background function was not studied",
    "pipeline.too_tight": "whether the events suffice was not looked at",
    "stages.write_scores": "the scores were not kept",
    "pipeline.run_experiment": "W1, efficiency 0.1 has no number",
    "pipeline.all_gates": "there are no closure gates",
    "stages.calibrate": "no significance is calibrated",
    "stages.preferred": "the background estimate was not chosen",
    "stages.global_p": "there is no p-value of the whole search",
    "pipeline._scans": "there is no local p-value against mass",
    "stages.cls_limit": "there is no limit for W1, efficiency 0.1",
    "pipeline.null_gates": "whether Z without signal is 0 on average was not looked at",
    "pipeline._notes": "whether the classifiers tell window from sidebands was not looked at",
    "pipeline.disagreements": "what speaks against the result was not looked at",
    "pipeline._limits": "there are no limits against mass",
    "pipeline.record_blinding": "could not be recorded",
    "pipeline.write_exports": "the exports are not complete",
    "conclusion.describe": "the result could not be put into words",
}
"""Where a hunt in events may fail to what is said then."""


def explodes(*_, **__):
    raise RuntimeError("boom")


@pytest.fixture(scope="module")
def done(folder):
    """A folder with scores, gates and pseudo-experiments, so that nothing is trained again."""
    hunt(write(folder, "steps.yaml", output="steps"), progress=False)
    return folder / "steps.yaml"


@pytest.mark.parametrize("name", STEPS)
def test_whatever_fails_is_said_and_the_rest_is_written(done, monkeypatch, capsys, name):
    out = done.parent / "steps"
    for file in ("results.json", "report.html", "summary.txt", "errors.log"):
        (out / file).unlink(missing_ok=True)
    if name == "stages.write_scores":
        (out / "scores.parquet").unlink(missing_ok=True)
    monkeypatch.setattr(f"jepa_coffea.hunt.{name}", explodes)
    monkeypatch.setattr("jepa_coffea.report.hunt_report._sections", lambda *_: [])  # most of the time is for pictures
    assert main(["hunt", str(done), "--quiet"]) == 1
    assert "Traceback" not in "".join(capsys.readouterr())
    results = json.loads((out / "results.json").read_text())
    said = f"{STEPS[name]}: a bug (RuntimeError: boom); its traceback is in errors.log"
    assert not results["may_be_quoted"]
    assert any(said in reason for reason in results["reasons_against"])
    assert said in (out / "summary.txt").read_text()
    assert said in html.unescape((out / "report.html").read_text())
    assert "in explodes" in (out / "errors.log").read_text()
    counted = json.loads((out / "spectra.json").read_text())["spectra"][0]["counts"]
    assert sum(counted) > 4000
    if name != "pipeline.run_experiment":
        assert results["selections"][0]["function"]["z"] > 2


def test_numbers_that_cannot_be_written_leave_the_reason(done, monkeypatch):
    def fails(found):
        if found.everything:
            raise RuntimeError("boom")
        return []

    monkeypatch.setattr("jepa_coffea.hunt.output.headline", fails)
    monkeypatch.setattr("jepa_coffea.report.hunt_report._sections", lambda *_: [])
    found = hunt(done, progress=False)
    results = json.loads((found.output / "results.json").read_text())
    assert results["reasons_against"][-1].startswith("it could not be written: a bug (RuntimeError: boom)")
    assert not results["may_be_quoted"]
    assert "it could not be written" in (found.output / "report.html").read_text()


def test_a_hunt_in_a_histogram_survives_as_well(tmp_path, found, monkeypatch):
    spectra = json.loads((found.output / "spectra.json").read_text())
    content = {"counts": spectra["spectra"][0]["counts"], "edges": spectra["edges"], "sqrt_s": 13000}
    (tmp_path / "h.json").write_text(json.dumps(content))
    changes = {"input": {"histogram": "h.json"}, "statistics": {**DOCUMENT["statistics"], "global_toys": 20}}
    for name, said in {
        "count_inclusive": "W1, all events has no number",
        "mass_scan": "there is no global p-value",
        "global_significance": "there is no global p-value",
    }.items():
        with monkeypatch.context() as patch:
            patch.setattr(f"jepa_coffea.hunt.pipeline.{name}", explodes)
            result = hunt(write(tmp_path, **changes), progress=False)
        assert any(reason.startswith(f"{said}: a bug (RuntimeError: boom)") for reason in result.reasons)
        assert result.inclusive[0].selection.n == found.inclusive[0].selection.n
        assert "boom" in (tmp_path / "out" / "report.html").read_text()
    with monkeypatch.context() as patch:
        patch.setattr("jepa_coffea.hunt.pipeline.blinded", explodes)
        blind = hunt(write(tmp_path, output="blind", blind=True, **changes), progress=False)
    assert blind.reasons[0].startswith("there is nothing that can be shown blind: a bug")
    assert json.loads((tmp_path / "blind" / "results.json").read_text())["inclusive"] == []
    assert str(found.inclusive[0].selection.n) not in blind.paragraph


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("inclusive.function_uncertainty", "how wrong dijet2 may be in window W1 is not known and not counted: boom"),
        (
            "inclusive.spurious_yields",
            "the signal that dijet2 may fake in the scan for peaks of width 0.05 is not known and not counted: boom",
        ),
        ("stages.cls_limit", "there is no limit for W1, all events: boom"),
    ],
)
def test_an_unknown_error_or_limit_of_a_histogram_forbids_quoting(tmp_path, monkeypatch, name, said):
    def fails(*_, **__):
        raise FitError("boom")

    windows = HuntConfig(**DOCUMENT | {"output": tmp_path}).mass.build()
    content = {"counts": windows.histogram(dijets(4000)[1]).tolist(), "edges": list(windows.edges), "sqrt_s": 13000}
    (tmp_path / "h.json").write_text(json.dumps(content))
    statistics = {**DOCUMENT["statistics"], "function": "dijet2", "global_toys": 0}
    monkeypatch.setattr(f"jepa_coffea.hunt.{name}", fails)
    monkeypatch.setattr("jepa_coffea.report.hunt_report._sections", lambda *_: [])
    result = hunt(write(tmp_path, input={"histogram": "h.json"}, statistics=statistics), progress=False)
    assert result.reasons == [said]
    assert said in result.paragraph
    assert not json.loads((tmp_path / "out" / "results.json").read_text())["may_be_quoted"]


def test_what_stops_a_hunt_still_stops_it(done, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("jepa_coffea.hunt.pipeline.run_experiment", stopped)
    with pytest.raises(KeyboardInterrupt):
        hunt(done, progress=False)


def test_no_efficiency_has_a_threshold(folder, capsys):
    injection = {"yields": [20], "seeds": 1, "efficiency": 0.002}
    document = write(folder, "none.yaml", output="none", efficiencies=[0.001], injection=injection)
    assert main(["hunt", str(document), "--quiet"]) == 1
    said, errors = (" ".join(text.split()) for text in capsys.readouterr())
    assert not errors
    before, after = said.split("Closure gates of window")
    assert "Too few events, window W1 has no number: efficiency 0.001: a fold has" in before
    assert "Injection study: Too few events, window W1 has no number: efficiency 0.002: a fold has" in before
    assert "W1, efficiency 0.001 has no number: efficiency 0.001: a fold has" in after
    assert "no significance is calibrated: no selection has a number" in after
    sentence = "The injection study has no number at 20 injected events for CWoLa, CWoLa on masses and tau ratios, "
    assert f"{sentence}supervised, idealised (IAD): efficiency 0.002: a fold has" in after
    page = (folder / "none" / "report.html").read_text()
    assert "Score against mass, W1" in page
    assert "Efficiency against mass, W1" not in page
    assert not (folder / "none" / "errors.log").exists()


def test_the_command_says_what_is_wrong_with_the_input(folder, capsys):
    (folder / "wrong.yaml").write_text("output: x\ninput: {events: [nothing.parquet]}")
    assert main(["hunt", str(folder / "wrong.yaml")]) == 2
    assert "embedded events: nothing matches" in capsys.readouterr().err


def test_the_report_holds_the_paragraph_the_gates_and_the_pictures(folder, found):
    page = (folder / "out" / "report.html").read_text()
    rows = dict(headline(found))
    best, (z, *_) = found.selections[0], rows["Local Z"].split()
    assert float(z) == pytest.approx(best.calibrated(found.background).z, abs=0.01)
    assert rows["Energy"] == "sqrt(s) = 13 TeV"
    assert rows["Global p"].startswith(
        "below 0.048, by 20 pseudo-experiments of the whole analysis over the one selection"
    )
    for name, value in rows.items():
        assert f"<tr><th>{name}</th><td>{html.escape(value)}</td></tr>" in page
    assert ("Not to be quoted" in page) == bool(found.reasons)
    assert "W1, efficiency 0.1: two background estimates" in page
    for gate in found.closure.gates:
        assert gate.explanation.split(":")[0].split("<")[0] in page
    for section in (
        "Excesses",
        "Two background estimates",
        "Spectra",
        "Classifiers and closure",
        "Calibration of the whole pipeline",
    ):
        assert section in page
    assert page.count("data:image/png;base64,") == len(list((folder / "out" / "plots").glob("*.png"))) == 9
