"""The stages of a hunt in events, each of which keeps what it has done in the output folder."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from jepa_coffea.bumphunt import BackgroundFit, FitError, HistogramError, Scan, scan
from jepa_coffea.bumphunt.limits import Limit, cls_limit
from jepa_coffea.bumphunt.records import plain
from jepa_coffea.bumphunt.window_model import window_model
from jepa_coffea.cwola.closure import Closure, closure_gates
from jepa_coffea.cwola.fits import Sample
from jepa_coffea.cwola.gates import Gate
from jepa_coffea.cwola.scores import WindowScores
from jepa_coffea.cwola.windows import WINDOW
from jepa_coffea.hunt.calibration import Calibrated, calibrate, null_significances
from jepa_coffea.hunt.config import HuntError
from jepa_coffea.hunt.events import Events, find_files, fingerprint, read_events
from jepa_coffea.hunt.experiment import Floats, Method, count, estimate_by_template, spectra
from jepa_coffea.hunt.global_p import GlobalP, global_p
from jepa_coffea.hunt.injection import GRID, Study, injection_study
from jepa_coffea.hunt.injection_summary import summarised
from jepa_coffea.hunt.pseudo import make_pseudo_data
from jepa_coffea.hunt.state import Run, Selection
from jepa_coffea.hunt.store import digest, write_text
from jepa_coffea.hunt.stored_scores import read_scores, write_scores


def fit_all(run: Run, counts: Floats) -> list[Selection]:
    """Every window of one spectrum, without a selection."""
    windows, statistics = run.config.mass.build(), run.config.statistics
    shared = local_scan(run, counts)
    fits = [count(counts, windows, window, 1.0, statistics, statistics.goodness_toys) for window in windows.windows]
    return [Selection(counting, counts, fit, shared, limit=upper_limit(fit)) for counting, fit in fits]


def local_scan(run: Run, counts: Floats) -> Scan | None:
    """Local p0 against mass of a spectrum; None where its fit fails, which the counting says as well."""
    statistics = run.config.statistics
    edges = np.asarray(run.config.mass.build().edges)
    try:
        return scan((counts, edges), function=statistics.function, sqrt_s=statistics.sqrt_s, toys=0)
    except (FitError, HistogramError):
        return None


def upper_limit(fit: BackgroundFit | None) -> Limit | None:
    """95 % CLs limit on the signal events counted in the window; None without a fit."""
    return None if fit is None else cls_limit(window_model(fit))


def out_of_fold_scores(run: Run, key: str, events: Events, method: Method) -> list[WindowScores]:
    """Train and score, or read the scores of an earlier run of the same."""
    path = run.output / "scores.parquet"
    scores = read_scores(path, key, events, method.cwola.windows)
    if scores is None:
        scores = method.cwola.fit_sample(events.sample)
        write_scores(path, key, events, scores)
    return scores


def select(run: Run, events: Events, scores: Sequence[WindowScores], method: Method) -> list[Selection]:
    """Spectrum, fit and count of every window and efficiency."""
    windows, statistics = method.cwola.windows, method.statistics
    selections = []
    for of_window in scores:
        window, mass = of_window.window, events.sample.mass
        total = windows.histogram(mass[of_window.scored])
        for efficiency, counts in spectra(of_window, mass, windows, method.efficiencies).items():
            counting, fit = count(counts, windows, window, efficiency, statistics, statistics.goodness_toys)
            template = estimate_by_template(counts, total, counting, windows, window, statistics)
            selections.append(Selection(counting, counts, fit, local_scan(run, counts), template, upper_limit(fit)))
    return selections


def all_gates(run: Run, key: str, events: Events, scores: Sequence[WindowScores], method: Method) -> Closure:
    """The closure gates of every window at every efficiency."""
    path = run.output / "gates.json"
    key = digest("every efficiency", key, method.efficiencies)
    if path.is_file():
        stored = json.loads(path.read_text())
        if stored["key"] == key:
            numbers = ("value", "error", "threshold")  # NaN is written as text
            gates = [Gate(**{**gate, **{name: float(gate[name]) for name in numbers}}) for gate in stored["gates"]]
            return Closure(gates, stored["left_out"])
    closure = Closure([], [])
    for of_window in scores:
        run.say(f"Closure gates of window {of_window.window.name}")
        one = closure_gates(events.sample, method.cwola, of_window, method.efficiencies)
        closure = Closure(closure.gates + one.gates, closure.left_out + one.left_out)
    document = {"key": key, "gates": [gate.record() for gate in closure.gates], "left_out": closure.left_out}
    write_text(path, json.dumps(plain(document), indent=1))
    return closure


def background_events(run: Run) -> tuple[Events | None, list[Path]]:
    """Generated background events to make pseudo-data of, if the document names any, and their files."""
    globs = run.config.calibration.background
    if not globs:
        return None, []
    return read_events(globs, run.config, "background events"), find_files(globs, "background events")


def calibration(
    run: Run, key: str, events: Events, method: Method, selections: Sequence[Selection]
) -> tuple[list[Calibrated], GlobalP | None, Floats | None]:
    """Pseudo-experiments of nothing, as many as the document wants; those done before are kept."""
    config, results = run.config, [selection.counting for selection in selections]
    templates = [selection.template for selection in selections if selection.template is not None]
    if not config.calibration.experiments or any(result.problem for result in results):
        return [], None, None
    background, files = background_events(run)
    pseudo = make_pseudo_data(
        events.sample, method.cwola.windows, config.statistics, None if background is None else background.sample
    )
    statistics = config.statistics.model_dump(mode="json")
    key = digest("both estimates", key, fingerprint(files), config.efficiencies, statistics, bool(method.rules))
    null = null_significances(
        pseudo,
        replace(method, cwola=replace(method.cwola, client=None, progress=False)),
        config.calibration.experiments,
        seed=config.seed,
        ledger=run.output / f"calibration-{key}.jsonl",
        client=run.client,
        progress=run.progress,
    )
    calibrated = calibrate(results, templates, null)
    middle = {window.name: (window.low + window.high) / 2 for window in method.cwola.windows.windows}
    return calibrated, global_p(calibrated, null, [middle[result.window] for result in results]), null


def injections(run: Run, key: str, events: Events, method: Method) -> list[dict[str, Any]]:
    """The injection study of the document, summarised; empty when it asks for none."""
    config = run.config
    if not config.injection.yields:
        return []
    signal_events, files = signal_to_inject(run, events)
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
    key = digest("limits", key, fingerprint(files), study.efficiency, config.statistics.model_dump(mode="json"))
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
        "limits": "95 % CLs, asymptotic, on counts; limit_selected on signal in the window, limit on the yield",
        "sic_background_efficiencies": GRID,
        "summary": summary,
    }
    write_text(run.output / "injection.json", json.dumps(plain(document), indent=1, allow_nan=False))
    return summary


def signal_to_inject(run: Run, events: Events) -> tuple[Events, list[Path]]:
    """Signal events of the files that the document names, or those marked in the input."""
    globs = run.config.injection.signal
    if not globs:
        if events.truth is None or not events.truth.any():
            msg = "injection: no input event is marked truth_signal; give injection.signal, files of signal events"
            raise HuntError(msg)
        return events.take(events.truth), []
    signal = read_events(globs, run.config, "signal events")
    if signal.names != events.names or signal.models != events.models:
        msg = (
            f"injection: signal events have {len(signal.names)} features of models {signal.models}, the input "
            f"{len(events.names)} of {events.models}; embed them with the same encoder"
        )
        raise HuntError(msg)
    return signal, find_files(globs, "signal events")


def wide(events: Events) -> Sample:
    """The sample with the observables of the baseline behind the features."""
    X = np.concatenate([events.sample.X, events.observables], axis=1).astype(np.float32)
    return replace(events.sample, X=X)
