"""The stages of a hunt in events, each of which keeps what it has done in the output folder."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from jepa_coffea.bumphunt import Scan
from jepa_coffea.bumphunt.limits import Limit, cls_limit
from jepa_coffea.bumphunt.records import plain
from jepa_coffea.cwola.closure import Closure, closure_gates
from jepa_coffea.cwola.efficiency import WindowScores, without_scores
from jepa_coffea.cwola.gates import Gate
from jepa_coffea.cwola.sample import Sample
from jepa_coffea.cwola.windows import WINDOW, Windows
from jepa_coffea.files import digest, find_files, sealed_document, unsealed_document, write_text
from jepa_coffea.hunt.blinding import HIDDEN
from jepa_coffea.hunt.calibration import calibrate, null_significances
from jepa_coffea.hunt.config import HuntConfig, HuntError
from jepa_coffea.hunt.events import Events, read_events
from jepa_coffea.hunt.experiment import Method, train_or_say_why
from jepa_coffea.hunt.injection import (
    COUNTED,
    GRID,
    LABELS,
    METHODS,
    Study,
    check_signal,
    correction_of,
    injection_study,
    null_study,
    nulls_of,
    summarised,
    with_cross_sections,
)
from jepa_coffea.hunt.look_elsewhere import GlobalP, global_p
from jepa_coffea.hunt.nominal import preferred, with_degrees
from jepa_coffea.hunt.null import Corrected, Null
from jepa_coffea.hunt.output import input_stamp, read_scores, write_scores
from jepa_coffea.hunt.pseudo import make_pseudo_data
from jepa_coffea.hunt.selections import FUNCTION, Selection
from jepa_coffea.hunt.state import CalibrationResult, InjectionResult, Run, SelectionResult
from jepa_coffea.hunt.steps import step


@dataclass(frozen=True)
class Inputs:
    """All events that a hunt is given."""

    events: Events
    """To hunt in."""
    background: Events | None
    """Generated ones to make pseudo-data of."""
    background_files: list[str]
    signal: Events | None
    """To inject; None where nothing is injected."""
    signal_files: list[str]


def selection_results(
    run: Run,
    selections: Sequence[Selection],
    background: str = FUNCTION,
    corrected: Sequence[Mapping[str, Corrected | str]] = (),
    scans: Sequence[Scan | None] = (),
) -> list[SelectionResult]:
    """Selections with their limits and their scans in mass.

    Parameters
    ----------
    run
        The hunt.
    selections
        Of the data.
    background
        The estimate by which limits are set.
    corrected
        Of each selection, by estimate; nothing without a calibration.
    scans
        Of each selection, for the picture; nothing without one.

    Returns
    -------
    list of SelectionResult
    """
    found = []
    nothing: Mapping[str, Corrected | str] = {}
    rows = zip(selections, corrected or [nothing] * len(selections), scans or [None] * len(selections), strict=True)
    for selection, of_selection, scan in rows:
        one = SelectionResult(selection, of_selection, scan)
        limit = step(
            run,
            f"limit of {selection.label}",
            partial(_upper_limit, one, background, run.config),
            lambda _: None,
            reason=f"there is no limit for {selection.label}",
        )
        found.append(replace(one, limit=limit))
    return found


def kept(run: Run, name: str) -> Path:
    """Where a stage keeps what was counted or scored in windows.

    Parameters
    ----------
    run
        The hunt.
    name
        Of the file.

    Returns
    -------
    Path
        In the folder of the hunt, or while it is blind in ``HIDDEN`` below it, which is no result and is not looked at;
        a file of an earlier run is moved there or back.
    """
    open_, hidden = run.output / name, run.output / HIDDEN / name
    here, there = (hidden, open_) if run.config.blind else (open_, hidden)
    if there.is_file() and not here.is_file():
        here.parent.mkdir(exist_ok=True)
        there.replace(here)
    elif run.config.blind:
        hidden.parent.mkdir(exist_ok=True)
    return here


def out_of_fold_scores(run: Run, key: str, events: Events, method: Method) -> Sequence[WindowScores]:
    """Train and score, or read the scores of an earlier run of the same.

    Parameters
    ----------
    run
        The hunt.
    key
        Of the input and of everything that decides the classifiers.
    events
        Of the data.
    method
        What is done to them.

    Returns
    -------
    sequence of WindowScores
        One for each window; those without scores say why.
    """
    path = kept(run, "scores.parquet")
    scores: Sequence[WindowScores] | None = read_scores(path, key, events, method.recipe.windows)
    if scores is None:
        recipe = method.recipe

        def train() -> Sequence[WindowScores]:
            trained = train_or_say_why(events.sample, recipe, **run.execution)
            step(
                run,
                "scores.parquet",
                lambda: write_scores(path, key, events, trained),
                lambda _: None,
                reason="the scores were not kept",
            )
            return trained

        def untrained(problem: str) -> Sequence[WindowScores]:
            return [without_scores(window, events.sample, recipe.folds, problem) for window in recipe.windows.windows]

        scores = step(run, "training", train, untrained)
    return scores


def all_gates(run: Run, key: str, events: Events, scores: Sequence[WindowScores], method: Method) -> Closure:
    """The closure gates of every window at every efficiency.

    Parameters
    ----------
    run, key, events
        As for :func:`out_of_fold_scores`.
    scores
        One for each window; those without scores have no gates.
    method
        What is done to the data.

    Returns
    -------
    Closure
    """
    path = kept(run, "gates.json")
    key = digest("where they counted", key, method.efficiencies)
    if path.is_file():
        stored = unsealed_document(path.read_bytes(), path)
        if stored.get("key") == key:
            numbers = ("value", "error", "threshold")  # NaN is written as text
            gates = [{**gate, **{name: float(gate[name]) for name in numbers}} for gate in stored["gates"]]
            ends = [gate["counted"] and tuple(gate["counted"]) for gate in gates]
            made = [Gate(**{**gate, "counted": where}) for gate, where in zip(gates, ends, strict=True)]
            return Closure(made, stored["left_out"])
    closure = Closure([], [])
    for of_window in scores:
        if of_window.problem:
            continue
        run.say(f"Closure gates of window {of_window.window.name}")
        one = step(
            run,
            f"closure gates of {of_window.window.name}",
            partial(closure_gates, events.sample, method.recipe, of_window, method.efficiencies, **run.execution),
            partial(_no_gates, of_window.window.name),
        )
        closure = Closure(closure.gates + one.gates, closure.left_out + one.left_out)
    document = {"key": key, "gates": [gate.record() for gate in closure.gates], "left_out": closure.left_out}
    write_text(path, json.dumps(sealed_document(plain(document)), indent=1))
    return closure


def _no_gates(window: str, problem: str) -> Closure:
    """A gate that failed, in place of those that could not be made."""
    return Closure([Gate("closure gates", window, False, np.nan, np.nan, np.nan, f"could not be made: {problem}")], [])


def read_inputs(run: Run) -> Inputs:
    """Read all events that the document names, and check that they go together, before anything is trained.

    Parameters
    ----------
    run
        The hunt.

    Returns
    -------
    Inputs

    Raises
    ------
    BadFileError
        If there are no such files.
    HuntError
        If they lack columns or have other features than the input, or there are fewer signal events than are to be
        injected.
    """
    config = run.config
    events = read_events(config.input.events, config)
    others: dict[str, Events | None] = {"background events": None, "signal events": None}
    globs = {"background events": config.calibration.background, "signal events": config.injection.signal}
    files: dict[str, list[str]] = {}
    for what, given in globs.items():
        files[what] = find_files(given, what) if given else []
        if not given or (what == "signal events" and not config.injection.yields):
            continue
        found = read_events(given, config, what)
        if found.names != events.names or found.models != events.models:
            msg = (
                f"hunt: {what} have {len(found.names)} features of models {found.models}, the input "
                f"{len(events.names)} of {events.models}; embed them with the same encoder"
            )
            raise HuntError(msg)
        if what == "background events":
            _refuse_data(found.sample, events.sample)
        others[what] = found
    signal = others["signal events"]
    if config.injection.yields and signal is None:
        if events.truth is None or not events.truth.any():
            msg = "injection: no input event is marked truth_signal; give injection.signal, files of signal events"
            raise HuntError(msg)
        signal = events.take(events.truth)
    if signal is not None:
        check_signal(len(signal.sample.mass), config.injection.yields)
    return Inputs(events, others["background events"], files["background events"], signal, files["signal events"])


def _refuse_data(background: Sample, data: Sample) -> None:
    """Raise if events of which pseudo-data are to be made are those of the data."""
    _, first, second = np.intersect1d(background.hashes, data.hashes, return_indices=True)
    same = int(np.count_nonzero(background.mass[first] == data.mass[second]))  # others may have the same numbers
    if same:
        msg = (
            f"calibration.background: {same} of {len(background.mass)} events in the fit range are those of the input; "
            "pseudo-data made of them would hold the signal that the data hold, and hide it. Give events that are not "
            "in the input, or none: pseudo-data are then made of its sidebands"
        )
        raise HuntError(msg)


def calibration(
    run: Run, key: str, inputs: Inputs, method: Method, selections: Sequence[Selection]
) -> CalibrationResult:
    """Pseudo-experiments without signal, as many as the document wants; those done before are kept.

    Parameters
    ----------
    run, key, inputs, method
        As for :func:`out_of_fold_scores`.
    selections
        Of the data.

    Returns
    -------
    CalibrationResult
        Selections without a number are left out of it; all others are calibrated. Transfer factors are straight lines
        where no pseudo-experiments decide otherwise.
    """
    nominal = run.config.statistics.background or FUNCTION
    undecided = [selection.with_degree(1) for selection in selections]
    numbers = [estimate for selection in undecided for estimate in selection.estimates.values() if not estimate.problem]
    if not run.config.calibration.experiments or not numbers:
        problem = "no selection has a number" if run.config.calibration.experiments else ""
        return CalibrationResult(background=nominal, problem=problem, selections=undecided)
    return step(
        run,
        "calibration",
        lambda: _calibrated(run, key, inputs, method, selections),
        lambda problem: CalibrationResult(background=nominal, problem=problem, selections=undecided),
    )


def _calibrated(
    run: Run, key: str, inputs: Inputs, method: Method, selections: Sequence[Selection]
) -> CalibrationResult:
    """What the pseudo-experiments say of every selection, and of the search."""
    config = run.config
    background = None if inputs.background is None else inputs.background.sample
    pseudo = make_pseudo_data(inputs.events.sample, method.recipe.windows, config.statistics, background)
    statistics = config.statistics.model_dump(mode="json", exclude={"background"})
    key = digest(
        "features of their kind, scaled about walls",
        key,
        input_stamp(inputs.background_files),
        config.efficiencies,
        statistics,
        bool(method.rules),
        sorted(method.function_errors.items()),
    )
    null = null_significances(
        pseudo,
        method,
        config.calibration.experiments,
        seed=config.seed,
        ledger=run.output / f"calibration-{key}.jsonl",
        **run.execution,
    )
    selections, null = with_degrees(selections, null)
    corrected = calibrate(selections, null)
    estimate = step(
        run,
        "choice of the background estimate",
        lambda: preferred(selections, corrected, config.statistics),
        lambda _: config.statistics.background or FUNCTION,
        reason="the background estimate was not chosen",
    )
    result = CalibrationResult(corrected, None, null, estimate, selections=selections, fit_p=pseudo.fit_p)
    search = step(
        run,
        "global p-value",
        lambda: _search(result, method),
        lambda _: None,
        reason="there is no p-value of the whole search",
    )
    return replace(result, search=search)


def _search(calibrated: CalibrationResult, method: Method) -> GlobalP | None:
    """The p-value of the whole search by the nominal estimate."""
    estimate, selections = calibrated.background, calibrated.selections
    middle = {window.name: (window.low + window.high) / 2 for window in method.recipe.windows.windows}
    toys = calibrated.toys(estimate)
    assert toys is not None
    return global_p(
        [one[estimate] for one in calibrated.corrected],
        toys,
        [selection.efficiency for selection in selections],
        [middle[selection.window] for selection in selections],
    )


def injections(
    run: Run, key: str, inputs: Inputs, method: Method, calibrated: CalibrationResult | None = None
) -> InjectionResult:
    """The injection study of the document, summarised.

    Parameters
    ----------
    run, key, inputs, method
        As for :func:`out_of_fold_scores`.
    calibrated
        Says which background estimate is nominal.

    Returns
    -------
    InjectionResult
        Empty when the document asks for none.
    """
    if not run.config.injection.yields:
        return InjectionResult()
    return step(
        run,
        "injection study",
        lambda: _injected(run, key, inputs, method, calibrated),
        lambda problem: InjectionResult(problem=problem),
    )


def _injected(
    run: Run, key: str, inputs: Inputs, method: Method, calibrated: CalibrationResult | None
) -> InjectionResult:
    """The injection study, summarised and written."""
    config, study = run.config, _study(run, inputs, method)
    key = digest(
        "halves of the donors, shares of the function",
        key,
        input_stamp(inputs.signal_files),
        input_stamp(inputs.background_files),
        study.efficiency,
        config.statistics.model_dump(mode="json"),
        sorted(method.degrees.items()),
    )
    how = {"seed": config.seed, "ledger": run.output / f"injection-{key}.jsonl", **run.execution}
    records = injection_study(study, config.injection.yields, config.injection.seeds, **how)
    background = FUNCTION if calibrated is None else calibrated.background
    nulls: dict[str, Null | str] = {}
    if config.calibration.experiments:
        nulls = step(
            run,
            "calibration of the injection study",
            lambda: nulls_of(null_study(study, config.calibration.experiments, **how), background),
            lambda problem: dict.fromkeys(METHODS, problem),
            reason="the injection study is not calibrated",
        )
    summary = summarised(records, background, nulls, config.statistics.constraint)
    if config.luminosity is not None and config.signal is not None:
        # Of the classifiers' selection: a limit on the yield knows how much of the signal they select.
        summary = with_cross_sections(summary, config.luminosity, config.signal.efficiency)
    document = {
        "window": method.recipe.windows.windows[study.window].name,
        "efficiency": study.efficiency,
        "z": f"by the {background}; {correction_of(nulls)}",
        "without_signal": {
            name: {"uncalibrated": null} if isinstance(null, str) else null.record() for name, null in nulls.items()
        },
        "limits": f"95 % CLs, {COUNTED}; limit_selected on signal in the window, limit on the yield",
        "sic_background_efficiencies": GRID,
        "summary": summary,
    }
    write_text(run.output / "injection.json", json.dumps(plain(document), indent=1, allow_nan=False))
    return InjectionResult(summary, nulls=nulls, without_number=_without_number(records, background))


def _without_number(records: Sequence[Mapping[str, Any]], background: str) -> list[str]:
    """Sentences on the methods that have no number at a yield, whatever the seed, by the first problem of each."""
    yields: dict[tuple[str, str], list[int]] = {}
    for name in METHODS:
        for amount in sorted({record["yield"] for record in records}):
            found = [record[name] for record in records if record["yield"] == amount]
            problems = [one.get(background, one[FUNCTION])["problem"] for one in found]
            if all(problems):
                yields.setdefault((name, problems[0]), []).append(amount)
    methods: dict[tuple[str, str], list[str]] = {}
    for (name, problem), amounts in yields.items():
        methods.setdefault((", ".join(map(str, amounts)), problem), []).append(LABELS[name])
    return [
        f"The injection study has no number at {amounts} injected events for {', '.join(names)}: {problem}."
        for (amounts, problem), names in methods.items()
    ]


def injected_window(signal: Events, windows: Windows) -> int:
    """Which window an injection study looks at.

    Parameters
    ----------
    signal
        Events to inject.
    windows
        To choose from.

    Returns
    -------
    int
        Number of the one that holds most of the signal.
    """
    return int(np.argmax([np.count_nonzero(one.region(signal.sample.mass) == WINDOW) for one in windows.windows]))


def _upper_limit(finding: SelectionResult, background: str, config: HuntConfig) -> Limit | None:
    """95 % CLs limit on the signal events counted in the window; None without a fit, and for a blind hunt."""
    model = None if config.blind else finding.model(background)
    return None if model is None else cls_limit(model, constraint=config.statistics.constraint)


def _study(run: Run, inputs: Inputs, method: Method) -> Study:
    """What the injections share."""
    config, windows, events, background = run.config, method.recipe.windows, inputs.events, inputs.background
    assert inputs.signal is not None
    signal = _wide(inputs.signal)
    order = np.random.default_rng(config.seed).permutation(len(signal.mass))
    pure = events if events.truth is None else events.take(~events.truth)
    return Study(
        make_pseudo_data(_wide(pure), windows, config.statistics, None if background is None else _wide(background)),
        signal.take(order),
        len(events.names),
        method,
        injected_window(inputs.signal, windows),
        config.injection.efficiency or min(config.efficiencies),
    )


def _wide(events: Events) -> Sample:
    """The sample with the observables of the control behind the features."""
    X = np.concatenate([events.sample.X, events.observables], axis=1).astype(np.float32)
    return replace(events.sample, X=X)
