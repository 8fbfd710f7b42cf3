"""The hunt from its document to its folder: each stage writes its file, and a finished stage is not done again."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from jepa_coffea import __version__
from jepa_coffea.bumphunt import (
    GlobalSignificance,
    Scan,
    ShapeSearch,
    WindowSearch,
    check_expected_events,
    global_significance,
)
from jepa_coffea.bumphunt.envelope import SpuriousYields
from jepa_coffea.bumphunt.ftest import FTestRule
from jepa_coffea.bumphunt.limits import LimitCurve
from jepa_coffea.bumphunt.searches import chosen_anew
from jepa_coffea.bumphunt.spectrum import Spectrum
from jepa_coffea.clusters.watch import watching
from jepa_coffea.cwola.closure import Closure
from jepa_coffea.cwola.efficiency import SelectionError, WindowScores, check_efficiency
from jepa_coffea.cwola.merits import auc
from jepa_coffea.cwola.windows import Windows, in_sideband
from jepa_coffea.errors import HistogramError, SpectrumError
from jepa_coffea.files import digest, find_files
from jepa_coffea.files.folders import working_in
from jepa_coffea.hunt.blinding import (
    blind_gates,
    blind_spectrum,
    blinded,
    describe_blind,
    record_blinding,
    without_observed,
)
from jepa_coffea.hunt.calibration import null_gates
from jepa_coffea.hunt.config import HuntConfig, StatisticsConfig
from jepa_coffea.hunt.events import Events
from jepa_coffea.hunt.experiment import Experiment, Method, run_experiment
from jepa_coffea.hunt.histogram import read_histogram
from jepa_coffea.hunt.inclusive import (
    attempt,
    in_words,
    inclusive_limits,
    mass_scan,
    peak_scan,
    selected_scans,
    with_function,
)
from jepa_coffea.hunt.nominal import bent_efficiencies
from jepa_coffea.hunt.output import input_stamp, write_exports, write_provenance, write_result
from jepa_coffea.hunt.selections import Floats, Selection, count_inclusive
from jepa_coffea.hunt.stages import (
    BUGS,
    FAULTS,
    Inputs,
    all_gates,
    calibration,
    injections,
    out_of_fold_scores,
    problem_of,
    read_inputs,
    selection_results,
)
from jepa_coffea.hunt.state import FunctionStudy, HuntResult, MassScan, Run
from jepa_coffea.hunt.verdict import describe, disagreements, learning, reasons_against


def run_hunt(run: Run) -> HuntResult:
    """Do everything that a document asks for.

    Parameters
    ----------
    run
        The document, and where it computes.

    Returns
    -------
    HuntResult
        What was found; it lies in the output folder, too.

    Raises
    ------
    JepaCoffeaError
        If the input cannot be used.
    """
    with working_in(run.output, "hunt"), watching(run.client):
        write_provenance(run)
        blind, windows, histogram = run.config.blind, run.config.mass.build(), run.config.input.histogram
        if not windows.windows:
            result = _scan_spectrum(run)
        else:
            result = _hunt_events(run) if histogram is None else _hunt_histogram(run, histogram)
        full = result
        if blind:
            result = blinded(full, run.config.statistics)
        if full.spectrum is not None:
            spectrum, config, known = full.spectrum, run.config, {}
            if blind:
                spectrum = blind_spectrum(full, windows)
            if result.functions is not None:  # the order that was chosen
                statistics = config.statistics.model_copy(update={"function": result.functions.function})
                config = config.model_copy(update={"statistics": statistics})
                known = result.functions.spurious if result.scan is not None else {}
            limits = _limits(run, spectrum, config, known, result.scan)
            by_mass, by_width = map(without_observed, limits) if blind else limits
            result = replace(result, mass_limits=by_mass, width_limits=by_width)
        result = replace(result, energy=f"sqrt(s) = {run.config.statistics.energy / 1000:g} TeV")
        history = record_blinding(run)
        paragraph = describe_blind(result) if blind else result.paragraph
        if history is not None:
            result = replace(result, blinding=history.sentence, paragraph=f"{paragraph} {history.sentence}")
        try:
            write_exports(run, result)
        except (*FAULTS, *BUGS) as error:
            lost = f"The exports are not complete: {problem_of(run, 'exports', error)}."
            result = replace(result, paragraph=f"{result.paragraph} {lost}")
        write_result(run, result)
    return result


def _limits(
    run: Run,
    counts: Floats,
    config: HuntConfig,
    known: Mapping[str, SpuriousYields | str],
    scanned: MassScan | None,
) -> tuple[Mapping[str, LimitCurve | str], Mapping[str, LimitCurve | str]]:
    """Limits against mass and against width, or why there are none: nothing that was found before is lost."""
    try:
        return inclusive_limits(counts, config.mass.build(), config, known, scanned, **run.execution)
    except (*FAULTS, *BUGS) as error:
        return {"all": problem_of(run, "limits against mass", error)}, {}


def _scan_spectrum(run: Run) -> HuntResult:
    """A scan of a spectrum without windows, for a peak at every mass; the global p-value by toys that refit."""
    windows, histogram, statistics = run.config.mass.build(), run.config.input.histogram, run.config.statistics
    events = None
    if histogram is None:
        events = read_inputs(run).events
        counts = windows.histogram(events.sample.mass)
    else:
        counts = read_histogram(histogram, windows)
    run, functions, rules = with_function(run, counts, windows)
    found = HuntResult(run.output, (), functions=functions, events=events)
    try:
        scanned, spurious, searches = mass_scan(run, counts, windows)
        found = replace(found, scan=scanned, functions=replace(functions, spurious=spurious))
        if statistics.global_toys:
            found = replace(found, refitted=_refitted(run, searches, rules))
    except SpectrumError as error:
        failed = f"there is no {'scan' if found.scan is None else 'global p-value'}: {error}"
        found = replace(found, reasons=[failed])
    reasons = [*found.reasons, *reasons_against(found, statistics.goodness_minimum)]
    notes = [] if events is None else [*_notes(events, (), Closure([], [])), *_left_out(events)]
    return replace(found, reasons=reasons, paragraph=describe(found, notes, reasons))


def _hunt_histogram(run: Run, histogram: Path) -> HuntResult:
    """A plain bump hunt: every window and a mass scan of one spectrum; the global p-value by toys that refit."""
    windows = run.config.mass.build()
    counts = read_histogram(histogram, windows)
    run, functions, rules = with_function(run, counts, windows)
    statistics = run.config.statistics
    selections = count_inclusive(counts, windows, statistics, statistics.goodness_toys, functions.errors)
    findings = selection_results(selections, statistics)
    found, reasons = HuntResult(run.output, findings, functions=functions), []
    if not run.config.blind:
        try:
            scanned, _, masses = mass_scan(run, counts, windows)
            first = scanned.by_width[in_words(run.config.widths[0])]
            found = replace(found, inclusive=[replace(one, scan=first) for one in findings])
            if statistics.global_toys and not any(selection.function.problem for selection in selections):
                in_windows = window_search(masses[0].spectrum, windows, statistics, functions.errors)
                found = replace(found, refitted=_refitted(run, [in_windows, *masses], rules))
        except SpectrumError as error:
            reasons.append(f"there is no global p-value: {error}")
    reasons += reasons_against(found, statistics.goodness_minimum)
    return replace(found, reasons=reasons, paragraph=describe(found, functions.doubts, reasons))


def window_search(
    spectrum: Spectrum, windows: Windows, statistics: StatisticsConfig, errors: Mapping[str, float]
) -> WindowSearch:
    """The windows as a search that toys repeat, with the constraint and the function errors of the data.

    Parameters
    ----------
    spectrum
        Of the data.
    windows
        Where to count.
    statistics
        Function and constraint.
    errors
        Name of a window to the share of its background by which the choice of the function may be wrong.

    Returns
    -------
    WindowSearch
    """
    return WindowSearch(
        "windows",
        spectrum,
        statistics.function,
        statistics.energy,
        tuple((window.low, window.high) for window in windows.windows),
        statistics.constraint,
        tuple(errors.get(window.name, 0.0) for window in windows.windows),
    )


def _refitted(run: Run, fixed: Sequence[ShapeSearch | WindowSearch], rules: Sequence[FTestRule]) -> GlobalSignificance:
    """The global significance of all that was looked for in one spectrum."""
    searches = [chosen_anew(search, rules) if rules else search for search in fixed]
    return global_significance(
        [searches],
        toys=run.config.statistics.global_toys,
        seed=run.config.seed,
        client=run.client,
        folder=run.output / "toys",
    )


def _hunt_events(run: Run) -> HuntResult:
    """Classifiers, selections, fits, gates, calibration, injections."""
    files = find_files(run.config.input.events, "embedded events")
    inputs = read_inputs(run)
    events = inputs.events
    windows = run.config.mass.build()
    run, functions, rules = with_function(run, windows.histogram(events.sample.mass), windows)
    config = run.config
    if events.dropped:
        run.say(f"[yellow]{events.dropped} events without finite features left out[/]")
    many = (
        "" if run.config.blind else f"{len(events.sample.mass)} events in the fit range, "
    )  # not by subtraction either
    run.say(f"{many}{len(events.names)} features, {len(files)} files")
    method = Method(config.recipe(), tuple(config.efficiencies), config.statistics, rules, functions.errors)
    parts = (config.input, config.mass, config.features, config.classifier, config.folds)
    key = digest(__version__, input_stamp(files), [part.model_dump(mode="json") for part in parts], config.seed)
    for sentence in too_tight(events, method):
        run.say(f"[yellow]{sentence}[/]")
    scores = out_of_fold_scores(run, key, events, method)
    data = run_experiment(events.sample, method, scores, inclusive=True, goodness_toys=config.statistics.goodness_toys)
    closure = all_gates(run, key, events, scores, method)
    calibrated = calibration(run, key, inputs, method, data.selections)
    background, decided = calibrated.background, calibrated.selections
    all_scans, scans = ([], []) if config.blind else _scans(run, data, decided, functions)
    selections = selection_results(decided, data.statistics, background, calibrated.corrected, scans)
    method = replace(method, degrees=calibrated.degrees)  # of injections, too
    doubts: list[str] = []
    if calibrated.corrected:
        gates = null_gates(decided, calibrated.corrected)
        closure = replace(closure, gates=closure.gates + gates)
        doubts = bent_efficiencies(decided, config.statistics)
    if config.blind:
        closure = replace(closure, gates=blind_gates(closure.gates, windows.windows))
    found = HuntResult(
        run.output,
        selection_results(data.inclusive, data.statistics, scans=all_scans),
        selections,
        calibrated,
        closure=closure,
        injection=injections(run, key, inputs, method, calibrated),
        scores=scores,
        events=events,
        functions=functions,
        background=background,
        left_out=[*_left_out(events), *_left_out_of_others(inputs)],
    )
    reasons = reasons_against(found, config.statistics.goodness_minimum, blind=config.blind)
    reasons += disagreements(selections, blind=config.blind)
    notes = [*_notes(events, scores, closure), *found.left_out, *functions.doubts, *doubts]
    return replace(found, reasons=reasons, paragraph=describe(found, notes, reasons))


def _scans(
    run: Run, data: Experiment, selections: Sequence[Selection], functions: FunctionStudy
) -> tuple[list[Scan | None], list[Scan | None]]:
    """Local significances against mass of every window without a selection, which share one spectrum, and of every
    selection.
    """
    windows, config = run.config.mass.build(), run.config
    peak = attempt(peak_scan, (data.inclusive[0].counts, np.asarray(windows.edges)), config.widths[0], config)
    first = None if isinstance(peak, str) else peak.scan
    return [first] * len(data.inclusive), selected_scans(selections, data.inclusive, functions, windows, config)


def too_tight(events: Events, method: Method) -> list[str]:
    """Efficiencies that leave too few events for a threshold or for a fit of the function, said before the work.

    Parameters
    ----------
    events
        To hunt in.
    method
        Windows, folds and efficiencies.

    Returns
    -------
    list of str
        A sentence for each window and efficiency.
    """
    recipe, sentences = method.recipe, []
    outer = recipe.folds.outer_of(events.sample.hashes)
    spectrum = recipe.windows.histogram(events.sample.mass), np.asarray(recipe.windows.edges)
    for window in recipe.windows.windows:
        side = in_sideband(window.region(events.sample.mass))
        fewest = min(int(np.count_nonzero(side & (outer == fold))) for fold in recipe.folds.tested())
        for efficiency in method.efficiencies:
            try:
                check_efficiency(efficiency, fewest)
                check_expected_events(
                    spectrum, method.statistics.function, window=(window.low, window.high), efficiency=efficiency
                )
            except (SelectionError, HistogramError) as error:
                what = "no number" if isinstance(error, SelectionError) else "no reliable fit"
                sentences.append(f"Window {window.name} will have {what}: {error}")
    return sentences


def _notes(events: Events, scores: Sequence[WindowScores], closure: Closure) -> list[str]:
    """Sentences on what each window's classifiers see, and on what was not done with all events."""
    aucs = [(s.window.name, *auc(s.score, s.inside, s.sideband)) for s in scores if not s.problem]
    notes = [learning(aucs)] if aucs else []
    if events.unweighted:
        notes.append(events.unweighted)
    if closure.left_out:
        notes.append(f"Too few events for these closure gates, left out: {', '.join(closure.left_out)}.")
    return notes


def _left_out(events: Events, what: str = "events") -> list[str]:
    """Sentences on events that were left out."""
    reasons = {"a feature": events.dropped, "their mass": events.no_mass}
    return [f"{n} {what} were left out because {reason} is not finite." for reason, n in reasons.items() if n]


def _left_out_of_others(inputs: Inputs) -> list[str]:
    """Sentences on background and signal events that have files of their own."""
    others = (
        ("background events", inputs.background, inputs.background_files),
        ("signal events", inputs.signal, inputs.signal_files),
    )
    sentences = []
    for what, events, files in others:
        if events is not None and files:
            sentences += [*_left_out(events, what), *([events.unweighted] if events.unweighted else [])]
    return sentences
