"""The hunt from its document to its folder: each stage writes its file, and a finished stage is not done again."""

import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rich.console import Console

from jepa_coffea.bumphunt import BackgroundFit
from jepa_coffea.bumphunt.records import plain
from jepa_coffea.cwola.closure import Gate, closure_gates
from jepa_coffea.cwola.cwola import WindowScores
from jepa_coffea.cwola.fits import Sample
from jepa_coffea.cwola.selection import auc
from jepa_coffea.cwola.windows import WINDOW
from jepa_coffea.hunt.calibration import Calibrated, GlobalP, calibrate, global_p, null_significances
from jepa_coffea.hunt.config import HuntConfig, HuntError
from jepa_coffea.hunt.events import Events, find_files, fingerprint, read_events
from jepa_coffea.hunt.experiment import Counting, Floats, Method, count, spectra
from jepa_coffea.hunt.histogram import read_histogram
from jepa_coffea.hunt.injection import GRID, Study, injection_study, summarised
from jepa_coffea.hunt.pseudo import make_pseudo_data
from jepa_coffea.hunt.scores import read_scores, write_scores
from jepa_coffea.hunt.store import digest, write_text
from jepa_coffea.hunt.summary import describe, learning, reasons_against

PACKAGES = ("jepa-coffea", "numpy", "scipy", "scikit-learn", "iminuit", "pyhf", "hist", "pyarrow")


@dataclass(frozen=True)
class Selection:
    """One spectrum of the hunt: a window's selection, its counts, its fit."""

    counting: Counting
    counts: Floats
    """(bins,)."""
    fit: BackgroundFit | None
    """None where it failed."""


@dataclass(frozen=True)
class HuntResult:
    """What a hunt found."""

    output: Path
    baseline: list[Selection]
    """Every window without a selection."""
    selections: list[Selection]
    """Every window and efficiency, in the order of the calibration; empty for a histogram alone."""
    calibrated: list[Calibrated] = field(default_factory=list)
    search: GlobalP | None = None
    null: Floats | None = None
    """(experiments, selections): Z of the pseudo-experiments."""
    gates: list[Gate] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    """Why the result must not be quoted; empty when it may be."""
    paragraph: str = ""
    injection: list[dict[str, Any]] = field(default_factory=list)
    """Medians and bands of the injection study, by yield and method."""


@dataclass(frozen=True)
class Run:
    """A hunt under way: its document, where it computes, where it talks."""

    config: HuntConfig
    client: Any = None
    console: Console = field(default_factory=Console)
    progress: bool = False

    @property
    def output(self) -> Path:
        """The folder of the hunt."""
        return self.config.output

    def say(self, text: str) -> None:
        """A line for whoever watches."""
        self.console.print(text, highlight=False)


def run_hunt(run: Run) -> HuntResult:
    """Everything the document asks for; returns what was found, and leaves it in the output folder."""
    run.output.mkdir(parents=True, exist_ok=True)
    write_provenance(run)
    result = hunt_histogram(run) if run.config.input.histogram else hunt_events(run)
    write_result(run, result)
    return result


def write_provenance(run: Run) -> None:
    """The exact configuration and versions, before anything else is written."""
    document = run.config.model_dump(mode="json")
    write_text(run.output / "config.yaml", yaml.safe_dump(document, sort_keys=False))
    versions = {name: version(name) for name in PACKAGES}
    write_text(run.output / "versions.json", json.dumps({"python": platform.python_version(), **versions}, indent=1))


def hunt_histogram(run: Run) -> HuntResult:
    """A plain bump hunt: every window of one spectrum; the global p-value by toys that refit."""
    config = run.config
    windows = config.mass.build()
    if config.input.histogram is None:
        msg = "hunt: no histogram"
        raise HuntError(msg)
    counts = read_histogram(config.input.histogram, windows)
    baseline = fit_all(run, counts)
    results = [selection.counting for selection in baseline]
    goodness = goodness_of(baseline)
    reasons = reasons_against(results, [], goodness, config.statistics.goodness_minimum)
    return HuntResult(run.output, baseline, [], reasons=reasons, paragraph=describe(results, [], None, [], reasons))


def hunt_events(run: Run) -> HuntResult:
    """Classifiers, selections, fits, gates, calibration."""
    config = run.config
    files = find_files(config.input.events, "embedded events")
    events = read_events(config.input.events, config)
    if events.dropped:
        run.say(f"[yellow]{events.dropped} events without finite features left out[/]")
    run.say(f"{len(events.sample.mass)} events in the fit range, {len(events.names)} features, {len(files)} files")
    cwola = config.cwola(client=run.client, progress=run.progress)
    method = Method(cwola, tuple(config.efficiencies), config.statistics)
    key = digest(
        fingerprint(files),
        *(
            section.model_dump(mode="json")
            for section in (config.mass, config.features, config.classifier, config.folds)
        ),
        config.seed,
    )
    windows = cwola.windows
    scores = read_scores(run.output / "scores.parquet", key, events, windows)
    if scores is None:
        scores = cwola.fit_sample(events.sample)
        write_scores(run.output / "scores.parquet", key, events, scores)
    baseline = fit_all(run, windows.histogram(events.sample.mass))
    selections = []
    for of_window in scores:
        selected = spectra(of_window, events.sample.mass, windows, method.efficiencies)
        for efficiency, counts in selected.items():
            toys = config.statistics.goodness_toys
            counting, fit = count(counts, windows, of_window.window, efficiency, config.statistics, toys)
            selections.append(Selection(counting, counts, fit))
    gates = all_gates(run, key, events, scores, method)
    results = [selection.counting for selection in selections]
    calibrated, search, null = calibration(run, key, events, method, results)
    injection = injections(run, key, events, method)
    reasons = reasons_against(results, gates, goodness_of(selections), config.statistics.goodness_minimum)
    learned = [learning(s.window.name, *auc(s.score, s.scored & (s.region == WINDOW), s.sideband)) for s in scores]
    paragraph = describe(results, calibrated, search, learned, reasons)
    return HuntResult(run.output, baseline, selections, calibrated, search, null, gates, reasons, paragraph, injection)


def fit_all(run: Run, counts: Floats) -> list[Selection]:
    """Every window of one spectrum."""
    windows, statistics = run.config.mass.build(), run.config.statistics
    fits = [count(counts, windows, window, 1.0, statistics, statistics.goodness_toys) for window in windows.windows]
    return [Selection(counting, counts, fit) for counting, fit in fits]


def goodness_of(selections: Sequence[Selection]) -> list[tuple[str, float]]:
    """(name, p-value) of each background fit."""
    return [
        (f"window {s.counting.window} at efficiency {s.counting.efficiency:g}", s.fit.p_value)
        for s in selections
        if s.fit is not None
    ]


def all_gates(run: Run, key: str, events: Events, scores: Sequence[WindowScores], method: Method) -> list[Gate]:
    """The closure gates of every window at the largest efficiency, where they have most events to judge with."""
    path = run.output / "gates.json"
    efficiency = max(method.efficiencies)
    key = digest(key, efficiency)
    if path.is_file():
        stored = json.loads(path.read_text())
        if stored["key"] == key:
            return [Gate(**{**gate, **_numbers(gate)}) for gate in stored["gates"]]
    gates = []
    for of_window in scores:
        run.say(f"Closure gates of window {of_window.window.name}")
        gates += closure_gates(events.sample, method.cwola, of_window, efficiency)
    write_text(path, json.dumps({"key": key, "gates": plain([gate.record() for gate in gates])}, indent=1))
    return gates


def _numbers(gate: dict[str, Any]) -> dict[str, float]:
    return {name: float(gate[name]) for name in ("value", "error", "threshold")}


def calibration(
    run: Run, key: str, events: Events, method: Method, results: list[Counting]
) -> tuple[list[Calibrated], GlobalP | None, Floats | None]:
    """Pseudo-experiments of nothing, as many as the document wants; those done before are kept."""
    config = run.config
    if not config.calibration.experiments or any(result.problem for result in results):
        return [], None, None
    background, files = background_events(run)
    pseudo = make_pseudo_data(
        events.sample, method.cwola.windows, config.statistics, None if background is None else background.sample
    )
    key = digest(key, fingerprint(files), config.efficiencies, config.statistics.model_dump(mode="json"))
    null = null_significances(
        pseudo,
        replace(method, cwola=replace(method.cwola, client=None, progress=False)),
        config.calibration.experiments,
        seed=config.seed,
        ledger=run.output / f"calibration-{key}.jsonl",
        client=run.client,
        progress=run.progress,
    )
    calibrated = calibrate(results, null)
    return calibrated, global_p(calibrated, null), null


def wide(events: Events) -> Sample:
    """The sample with the observables of the baseline behind the features."""
    X = np.concatenate([events.sample.X, events.observables], axis=1).astype(np.float32)
    return replace(events.sample, X=X)


def injections(run: Run, key: str, events: Events, method: Method) -> list[dict[str, Any]]:
    """The injection study of the document, summarised; empty when it asks for none."""
    config = run.config
    if not config.injection.yields:
        return []
    if config.injection.signal:
        signal_events = read_events(config.injection.signal, config, "signal events")
        files = find_files(config.injection.signal, "signal events")
    else:
        if events.truth is None or not events.truth.any():
            msg = (
                "injection: no event of the input is marked truth_signal; give injection.signal, files of signal events"
            )
            raise HuntError(msg)
        signal_events, files = events.take(events.truth), []
    if signal_events.names != events.names:
        msg = f"injection: signal has {len(signal_events.names)} features, input {len(events.names)}: another encoder?"
        raise HuntError(msg)
    signal = wide(signal_events)
    order = np.random.default_rng(config.seed).permutation(len(signal.mass))
    windows = method.cwola.windows
    inside = [np.count_nonzero(w.region(signal.mass) == WINDOW) for w in windows.windows]
    background, _ = background_events(run)
    pure = events if events.truth is None else events.take(~events.truth)
    study = Study(
        make_pseudo_data(wide(pure), windows, config.statistics, None if background is None else wide(background)),
        signal.take(order),
        len(events.names),
        replace(method, cwola=replace(method.cwola, client=None, progress=False)),
        int(np.argmax(inside)),
        config.injection.efficiency or min(config.efficiencies),
    )
    key = digest(key, fingerprint(files), study.efficiency, config.statistics.model_dump(mode="json"))
    records = injection_study(
        study,
        config.injection.yields,
        config.injection.seeds,
        seed=config.seed,
        ledger=run.output / f"injection-{key}.jsonl",
        client=run.client,
        progress=run.progress,
    )
    summary = summarised(records)
    document = {
        "window": windows.windows[study.window].name,
        "efficiency": study.efficiency,
        "sic_background_efficiencies": GRID,
        "summary": summary,
    }
    write_text(run.output / "injection.json", json.dumps(plain(document), indent=1, allow_nan=False))
    return summary


def background_events(run: Run) -> tuple[Events | None, list[Path]]:
    """Generated background events to make pseudo-data of, if the document names any, and their files."""
    globs = run.config.calibration.background
    if not globs:
        return None, []
    return read_events(globs, run.config, "background events"), find_files(globs, "background events")


def write_result(run: Run, result: HuntResult) -> None:
    """results.json and summary.txt."""
    document = {
        "may_be_quoted": not result.reasons,
        "reasons_against": result.reasons,
        "baseline": [selection.counting.record() for selection in result.baseline],
        "selections": [selection.counting.record() for selection in result.selections],
        "calibrated": [entry.record() for entry in result.calibrated],
        "global": result.search,
        "gates": [gate.record() for gate in result.gates],
    }
    write_text(run.output / "results.json", json.dumps(plain(document), indent=1, allow_nan=False))
    spectra_ = {
        "edges": list(run.config.mass.build().edges),
        "spectra": [
            {"window": s.counting.window, "efficiency": s.counting.efficiency, "counts": s.counts, "fit": s.fit}
            for s in (*result.baseline, *result.selections)
        ],
    }
    write_text(run.output / "spectra.json", json.dumps(plain(spectra_), indent=1, allow_nan=False))
    write_text(run.output / "summary.txt", result.paragraph + "\n")
