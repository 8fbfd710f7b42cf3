"""The hunt from its document to its folder: each stage writes its file, and a finished stage is not done again."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from jepa_coffea.bumphunt import ShapeSearch, WindowSearch, global_significance, shape_search
from jepa_coffea.bumphunt.searches import chosen_anew
from jepa_coffea.cwola.selection import auc
from jepa_coffea.cwola.windows import WINDOW
from jepa_coffea.hunt.events import find_files, fingerprint, read_events
from jepa_coffea.hunt.experiment import Method
from jepa_coffea.hunt.function_study import with_function
from jepa_coffea.hunt.histogram import read_histogram
from jepa_coffea.hunt.output import write_provenance, write_result
from jepa_coffea.hunt.stages import all_gates, calibration, fit_all, injections, out_of_fold_scores, select
from jepa_coffea.hunt.state import HuntResult, Run, Selection
from jepa_coffea.hunt.store import digest
from jepa_coffea.hunt.verdict import describe, disagreements, learning, reasons_against
from jepa_coffea.report.hunt_report import write_hunt_report


def run_hunt(run: Run) -> HuntResult:
    """Everything the document asks for; returns what was found, and leaves it in the output folder."""
    run.output.mkdir(parents=True, exist_ok=True)
    write_provenance(run)
    histogram = run.config.input.histogram
    result = hunt_events(run) if histogram is None else hunt_histogram(run, histogram)
    write_result(run, result)
    write_hunt_report(run, result)
    return result


def hunt_histogram(run: Run, histogram: Path) -> HuntResult:
    """A plain bump hunt: every window and a mass scan of one spectrum; the global p-value by toys that refit."""
    windows = run.config.mass.build()
    counts = read_histogram(histogram, windows)
    run, functions, rules = with_function(run, counts, windows)
    config, statistics = run.config, run.config.statistics
    baseline = fit_all(run, counts)
    results = [selection.counting for selection in baseline]
    reasons = reasons_against(results, [], goodness_of(baseline), statistics.goodness_minimum)
    refitted = None
    if statistics.global_toys and not any(result.problem for result in results):
        masses: ShapeSearch = shape_search(
            (counts, np.asarray(windows.edges)),
            function=statistics.function,
            sqrt_s=statistics.sqrt_s,
            name="mass scan",
        )
        in_windows = WindowSearch(
            "windows",
            masses.spectrum,
            statistics.function,
            statistics.sqrt_s,
            tuple((window.low, window.high) for window in windows.windows),
        )
        searches = [chosen_anew(search, rules) if rules else search for search in (in_windows, masses)]
        refitted = global_significance(
            [searches],
            toys=statistics.global_toys,
            seed=config.seed,
            client=run.client,
            folder=run.output / "toys",
        )
    paragraph = describe(results, [], None, refitted, [], reasons)
    return HuntResult(
        run.output, baseline, refitted=refitted, functions=functions, reasons=reasons, paragraph=paragraph
    )


def hunt_events(run: Run) -> HuntResult:
    """Classifiers, selections, fits, gates, calibration, injections."""
    files = find_files(run.config.input.events, "embedded events")
    events = read_events(run.config.input.events, run.config)
    windows = run.config.mass.build()
    inclusive = windows.histogram(events.sample.mass)
    run, functions, rules = with_function(run, inclusive, windows)
    config = run.config
    if events.dropped:
        run.say(f"[yellow]{events.dropped} events without finite features left out[/]")
    run.say(f"{len(events.sample.mass)} events in the fit range, {len(events.names)} features, {len(files)} files")
    method = Method(
        config.cwola(client=run.client, progress=run.progress), tuple(config.efficiencies), config.statistics, rules
    )
    sections = (config.input, config.mass, config.features, config.classifier, config.folds)
    key = digest(fingerprint(files), [section.model_dump(mode="json") for section in sections], config.seed)
    scores = out_of_fold_scores(run, key, events, method)
    baseline = fit_all(run, inclusive)
    selections = select(run, events, scores, method)
    closure = all_gates(run, key, events, scores, method)
    results = [selection.counting for selection in selections]
    calibrated, search, null = calibration(run, key, events, method, selections)
    injection = injections(run, key, events, method)
    reasons = reasons_against(results, closure.gates, goodness_of(selections), config.statistics.goodness_minimum)
    reasons += disagreements(selections)
    aucs = [(s.window.name, *auc(s.score, s.scored & (s.region == WINDOW), s.sideband)) for s in scores]
    learned = [learning(aucs)]
    if events.dropped:
        learned.append(f"{events.dropped} events were left out because a feature is not finite.")
    if events.unweighted:
        learned.append(events.unweighted)
    if closure.left_out:
        learned.append(f"Too few events for these closure gates, left out: {', '.join(closure.left_out)}.")
    found = HuntResult(
        run.output,
        baseline,
        selections,
        calibrated,
        search,
        None,
        null,
        closure.gates,
        injection,
        scores,
        events,
        functions,
    )
    return replace(found, reasons=reasons, paragraph=describe(results, calibrated, search, None, learned, reasons))


def goodness_of(selections: Sequence[Selection]) -> list[tuple[str, float]]:
    """(name, p-value) of each background fit."""
    return [
        (f"window {s.counting.window} at efficiency {s.counting.efficiency:g}", s.fit.p_value)
        for s in selections
        if s.fit is not None
    ]
