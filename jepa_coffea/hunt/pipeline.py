"""The hunt from its document to its folder: each stage writes its file, and a finished stage is not done again."""

from collections.abc import Callable, Mapping, Sequence
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
    check_expected_sides,
    global_significance,
)
from jepa_coffea.bumphunt.ftest import FTestRule
from jepa_coffea.bumphunt.functions import DIJET_FAMILY
from jepa_coffea.bumphunt.limits import LimitCurve
from jepa_coffea.bumphunt.searches import chosen_anew
from jepa_coffea.bumphunt.spectrum import Spectrum
from jepa_coffea.clusters.watch import watching
from jepa_coffea.cwola.closure import Closure
from jepa_coffea.cwola.efficiency import SelectionError, WindowScores, check_efficiency
from jepa_coffea.cwola.merits import auc
from jepa_coffea.cwola.windows import Windows, in_sideband
from jepa_coffea.errors import HistogramError
from jepa_coffea.files import digest, find_files
from jepa_coffea.files.folders import working_in
from jepa_coffea.hunt.blinding import (
    blind_gates,
    blind_spectrum,
    blinded,
    record_blinding,
    without_counts,
    without_observed,
)
from jepa_coffea.hunt.calibration import null_gates
from jepa_coffea.hunt.conclusion import conclude
from jepa_coffea.hunt.config import StatisticsConfig
from jepa_coffea.hunt.events import Events
from jepa_coffea.hunt.experiment import Experiment, Method, run_experiment, without_numbers
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
from jepa_coffea.hunt.output import input_stamp, write_exports, write_provenance
from jepa_coffea.hunt.selections import Floats, Selection, count_inclusive, uncounted
from jepa_coffea.hunt.stages import (
    Inputs,
    all_gates,
    calibration,
    injected_window,
    injections,
    out_of_fold_scores,
    read_inputs,
    selection_results,
)
from jepa_coffea.hunt.state import FunctionStudy, HuntResult, Run
from jepa_coffea.hunt.steps import step
from jepa_coffea.hunt.verdict import disagreements, learning, reasons_against


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
        histogram = run.config.input.histogram
        if not run.config.mass.build().windows:
            result = _scan_spectrum(run)
        else:
            result = _hunt_events(run) if histogram is None else _hunt_histogram(run, histogram)
        result = step(
            run,
            "reasons against the result",
            lambda: _judged(run, result),
            lambda _: result,
            reason="what speaks against the result was not looked at",
        )
        full, config = result, run.config
        if config.blind:
            result = step(
                run,
                "blinding",
                lambda: blinded(full, config.statistics),
                lambda _: HuntResult(run.output, ()),
                reason="there is nothing that can be shown blind",
            )
        by_mass, by_width = step(
            run,
            "limits against mass",
            lambda: _limits(run, full),
            lambda problem: ({"all": problem}, {}),
            reason="there are no limits against mass",
        )
        result = replace(
            result,
            mass_limits=by_mass,
            width_limits=by_width,
            energy=f"sqrt(s) = {config.statistics.energy / 1000:g} TeV",
        )
        history = step(
            run,
            "record of the blinding",
            lambda: record_blinding(run),
            lambda _: None,
            reason="since when it is blind, or that it was unblinded, could not be recorded",
        )
        if history is not None:
            result = replace(result, blinding=history.sentence)
        shown = result
        step(
            run,
            "exports",
            lambda: write_exports(run, shown),
            lambda _: None,
            reason="the exports are not complete",
        )
        return conclude(run, result)


def _judged(run: Run, found: HuntResult) -> HuntResult:
    """The result with the reasons against it."""
    blind = run.config.blind
    reasons = reasons_against(found, run.config.statistics.goodness_minimum, blind=blind)
    return replace(found, reasons=reasons + disagreements(found.selections, blind=blind))


def _limits(run: Run, full: HuntResult) -> tuple[Mapping[str, LimitCurve | str], Mapping[str, LimitCurve | str]]:
    """Limits against mass and against width, for a blind hunt the expected ones; none where there is no spectrum."""
    if full.spectrum is None:
        return {}, {}
    config, known, windows = run.config, {}, run.config.mass.build()
    if full.functions is not None:  # the order that was chosen
        statistics = config.statistics.model_copy(update={"function": full.functions.function})
        config = config.model_copy(update={"statistics": statistics})
        known = full.functions.spurious if full.scan is not None else {}
    counts = blind_spectrum(full, windows) if config.blind else full.spectrum
    by_mass, by_width = inclusive_limits(counts, windows, config, known, full.scan, **run.execution)
    return (without_observed(by_mass), without_observed(by_width)) if config.blind else (by_mass, by_width)


def _studied(run: Run, counts: Floats, windows: Windows) -> tuple[Run, FunctionStudy, tuple[FTestRule, ...]]:
    """The study of the background function; one that fails leaves the function of the document, or the simplest."""
    statistics = run.config.statistics
    function = DIJET_FAMILY[0] if statistics.function == "auto" else statistics.function
    config = run.config.model_copy(update={"statistics": statistics.model_copy(update={"function": function})})
    return step(
        run,
        "study of the background function",
        lambda: with_function(run, counts, windows),
        lambda _: (replace(run, config=config), FunctionStudy(function, {}, {}, {}), ()),
        reason="the background function was not studied",
    )


def _scan_spectrum(run: Run) -> HuntResult:
    """A scan of a spectrum without windows, for a peak at every mass; the global p-value by toys that refit."""
    windows, histogram = run.config.mass.build(), run.config.input.histogram
    events = None
    if histogram is None:
        events = read_inputs(run).events
        counts = windows.histogram(events.sample.mass)
    else:
        counts = read_histogram(histogram, windows)
    run, functions, rules = _studied(run, counts, windows)
    notes = [] if events is None else [*_notes(events, (), Closure([], [])), *_left_out(events)]
    found = HuntResult(run.output, (), functions=functions, events=events, notes=notes)
    scanned = step(run, "scan", lambda: mass_scan(run, counts, windows), lambda _: None, reason="there is no scan")
    if scanned is None:
        return found
    scan, spurious, searches = scanned
    refitted = _refitted(run, lambda: searches, rules)
    return replace(found, scan=scan, functions=replace(functions, spurious=spurious), refitted=refitted)


def _hunt_histogram(run: Run, histogram: Path) -> HuntResult:
    """A plain bump hunt: every window and a mass scan of one spectrum; the global p-value by toys that refit."""
    windows = run.config.mass.build()
    counts = read_histogram(histogram, windows)
    run, functions, rules = _studied(run, counts, windows)
    statistics = run.config.statistics
    few = _said(run, _too_few(counts, windows, statistics.function))
    selections = step(
        run,
        "counting",
        lambda: count_inclusive(counts, windows, statistics, statistics.goodness_toys, functions.errors),
        lambda problem: uncounted(counts, windows, problem),
    )
    findings = selection_results(run, selections)
    found = HuntResult(run.output, findings, functions=functions, left_out=few, notes=few)
    if run.config.blind:
        return found
    scanned = step(
        run, "scan", lambda: mass_scan(run, counts, windows), lambda _: None, reason="there is no global p-value"
    )
    if scanned is None:
        return found
    scan, _, masses = scanned
    first = scan.by_width[in_words(run.config.widths[0])]
    found = replace(found, inclusive=[replace(one, scan=first) for one in findings])
    if any(selection.function.problem for selection in selections):
        return found

    def searches() -> list[ShapeSearch | WindowSearch]:
        return [window_search(masses[0].spectrum, windows, statistics, functions.errors), *masses]

    return replace(found, refitted=_refitted(run, searches, rules))


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


def _refitted(
    run: Run, looked_for: Callable[[], Sequence[ShapeSearch | WindowSearch]], rules: Sequence[FTestRule]
) -> GlobalSignificance | None:
    """The global significance of all that was looked for in one spectrum; None where no toys are asked for."""
    if not run.config.statistics.global_toys:
        return None

    def redone() -> GlobalSignificance:
        searches = [chosen_anew(search, rules) if rules else search for search in looked_for()]
        return global_significance(
            [searches],
            toys=run.config.statistics.global_toys,
            seed=run.config.seed,
            client=run.client,
            folder=run.output / "toys",
        )

    return step(run, "global p-value", redone, lambda _: None, reason="there is no global p-value")


def _hunt_events(run: Run) -> HuntResult:
    """Classifiers, selections, fits, gates, calibration, injections."""
    files = find_files(run.config.input.events, "embedded events")
    inputs = read_inputs(run)
    events = inputs.events
    windows = run.config.mass.build()
    run, functions, rules = _studied(run, windows.histogram(events.sample.mass), windows)
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
    tight = step(
        run,
        "events for the efficiencies",
        lambda: [*too_tight(events, method), *_too_tight_to_inject(run, inputs, method)],
        lambda _: [],
        reason="whether the events suffice was not looked at",
    )
    tight = _said(run, tight)
    scores = out_of_fold_scores(run, key, events, method)
    data = step(
        run,
        "counting",
        lambda: run_experiment(
            events.sample, method, scores, inclusive=True, goodness_toys=config.statistics.goodness_toys
        ),
        lambda problem: without_numbers(events.sample, method, scores, problem),
    )
    closure = step(
        run,
        "closure gates",
        lambda: _gates(run, key, events, scores, method),
        lambda _: Closure([], []),
        reason="there are no closure gates",
    )
    calibrated = calibration(run, key, inputs, method, data.selections)
    background, decided = calibrated.background, calibrated.selections
    all_scans, scans = step(
        run,
        "scans",
        lambda: _scans(run, data, decided, functions),
        lambda _: ([], []),
        reason="there is no local p-value against mass",
    )
    selections = selection_results(run, decided, background, calibrated.corrected, scans)
    method = replace(method, degrees=calibrated.degrees)  # of injections, too
    doubts: list[str] = []
    if calibrated.corrected:
        gates, doubts = step(
            run,
            "mean Z without signal",
            lambda: (null_gates(decided, calibrated.corrected), bent_efficiencies(decided, config.statistics)),
            lambda _: ([], []),
            reason="whether Z without signal is 0 on average was not looked at",
        )
        closure = replace(closure, gates=closure.gates + gates)
    injection = injections(run, key, inputs, method, calibrated)
    left_out = [*tight, *_left_out(events), *_left_out_of_others(inputs)]
    notes = step(
        run,
        "what the classifiers see",
        lambda: _notes(events, scores, closure),
        lambda _: [],
        reason="whether the classifiers tell window from sidebands was not looked at",
    )
    return HuntResult(
        run.output,
        selection_results(run, data.inclusive, scans=all_scans),
        selections,
        calibrated,
        closure=closure,
        injection=injection,
        scores=scores,
        events=events,
        functions=functions,
        background=background,
        left_out=left_out,
        notes=[*notes, *left_out, *doubts, *injection.without_number],
    )


def _gates(run: Run, key: str, events: Events, scores: Sequence[WindowScores], method: Method) -> Closure:
    """The closure gates; those of a blind hunt tell no counts."""
    closure = all_gates(run, key, events, scores, method)
    if not run.config.blind:
        return closure
    return replace(closure, gates=blind_gates(closure.gates, method.recipe.windows.windows))


def _scans(
    run: Run, data: Experiment, selections: Sequence[Selection], functions: FunctionStudy
) -> tuple[list[Scan | None], list[Scan | None]]:
    """Local significances against mass of every window without a selection, which share one spectrum, and of every
    selection; none for a blind hunt.
    """
    if run.config.blind:
        return [], []
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
        side, where = in_sideband(window.region(events.sample.mass)), (window.low, window.high)
        fewest = min(int(np.count_nonzero(side & (outer == fold))) for fold in recipe.folds.tested())
        for efficiency in method.efficiencies:
            missing = "no number"
            try:
                check_efficiency(efficiency, fewest)
                check_expected_sides(spectrum, window=where, efficiency=efficiency)
                missing = "no estimate by the function"
                check_expected_events(spectrum, method.statistics.function, window=where, efficiency=efficiency)
            except (SelectionError, HistogramError) as error:
                sentences.append(f"Too few events, window {window.name} has {missing}: {error}.")
    return sentences


def _too_few(counts: Floats, windows: Windows, function: str) -> list[str]:
    """The same of a histogram, in which nothing is selected."""
    sentences = []
    for window in windows.windows:
        try:
            check_expected_events((counts, np.asarray(windows.edges)), function, window=(window.low, window.high))
        except HistogramError as error:
            sentences.append(f"Too few events, window {window.name} has no reliable fit of the function: {error}.")
    return sentences


def _said(run: Run, sentences: Sequence[str]) -> list[str]:
    """Sentences that are said before the work, and again with the result; of a blind hunt without counts."""
    shown = [without_counts(sentence) if run.config.blind else sentence for sentence in sentences]
    for sentence in shown:
        run.say(f"[yellow]{sentence}[/]")
    return shown


def _too_tight_to_inject(run: Run, inputs: Inputs, method: Method) -> list[str]:
    """The same of the efficiency of the injection study, where it is another one."""
    efficiency = run.config.injection.efficiency
    if inputs.signal is None or efficiency is None or efficiency in method.efficiencies:
        return []
    windows = method.recipe.windows
    one = replace(windows, windows=(windows.windows[injected_window(inputs.signal, windows)],))
    study = replace(method, recipe=replace(method.recipe, windows=one), efficiencies=(efficiency,))
    return [f"Injection study: {sentence}" for sentence in too_tight(inputs.events, study)]


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
