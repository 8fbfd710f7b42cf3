"""Which function describes the inclusive spectrum, and how much the answer depends on it.

An order that is chosen on the data, beside the windows, is chosen again in every pseudo-experiment by the same rule.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from jepa_coffea.bumphunt import FitError, HistogramError
from jepa_coffea.bumphunt.envelope import function_envelope, spurious_signal
from jepa_coffea.bumphunt.ftest import THRESHOLD, FTest, FTestRule, f_test, f_test_rule
from jepa_coffea.bumphunt.functions import ALTERNATES, DIJET_FAMILY
from jepa_coffea.cwola.windows import Windows
from jepa_coffea.hunt.experiment import Floats
from jepa_coffea.hunt.state import FunctionStudy, Run
from jepa_coffea.report import Section, Table

T = TypeVar("T")


def with_function(run: Run, counts: Floats, windows: Windows) -> tuple[Run, FunctionStudy, tuple[FTestRule, ...]]:
    """The run with ``auto`` replaced by the chosen function, what there is to say about it, and how toys choose theirs.

    counts: the inclusive spectrum. With several windows the richest of the orders chosen with each one masked is taken.
    The rules, one for each window, are empty when the document names the function.
    Raises FitError when not even the stiffest function can be fitted and one has to be chosen.
    """
    statistics, data = run.config.statistics, (counts, np.asarray(windows.edges))
    choices: dict[str, FTest] = {}
    rules: tuple[FTestRule, ...] = ()
    if statistics.function == "auto":
        for window in windows.windows:
            how: dict[str, Any] = {"window": (window.low, window.high), "seed": run.config.seed}
            choices[window.name] = f_test(data, sqrt_s=statistics.sqrt_s, **how)
            rules += (f_test_rule(data, sqrt_s=statistics.sqrt_s, **how),)
        function = max((choice.function for choice in choices.values()), key=DIJET_FAMILY.index)
        statistics = statistics.model_copy(update={"function": function})
        run = replace(run, config=run.config.model_copy(update={"statistics": statistics}))
    envelopes, spurious = {}, {}
    others = [name for name in ALTERNATES if name != statistics.function]
    for window in windows.windows:
        shared: dict[str, Any] = {"window": (window.low, window.high), "sqrt_s": statistics.sqrt_s}
        toys = statistics.goodness_toys
        envelopes[window.name] = attempt(function_envelope, data, statistics.function, others, toys=toys, **shared)
        spurious[window.name] = attempt(spurious_signal, data, statistics.function, others[0], **shared)
    return run, FunctionStudy(statistics.function, choices, envelopes, spurious), rules


def attempt(study: Callable[..., T], *args: Any, **options: Any) -> T | str:
    """What a study finds, or why it finds nothing: a study that fails must not end the hunt."""
    try:
        return study(*args, **options)
    except (FitError, HistogramError) as error:
        return str(error)


def functions_section(study: FunctionStudy | None) -> Section:
    """Order choice, envelope and spurious signal, for the report."""
    if study is None:
        return Section("Background function")
    tables = []
    if study.choices:
        rows = [
            [window, step.simpler, step.richer, step.f, step.p_value, choice.function, choice.stopped]
            for window, choice in study.choices.items()
            for step in choice.steps
        ]
        columns = ["window masked", "function", "against", "F", "p by toys", "chosen", "why"]
        caption = (
            f"Parameters are added while p < {THRESHOLD:g}; {study.function} is used for all selections. Every "
            "pseudo-experiment makes this choice again."
        )
        tables.append(Table("Order by F-test", columns, rows, caption))
    rows = []
    for window, envelope in study.envelopes.items():
        if isinstance(envelope, str):
            rows.append([window, study.function, None, None, None, envelope])
            continue
        for name, p, accepted, total, sigma in zip(
            envelope.functions, envelope.p_values, envelope.accepted, envelope.totals, envelope.sigmas, strict=True
        ):
            shift = float(total - envelope.totals[0])
            verdict = "accepted" if accepted else "does not describe the sidebands"
            rows.append([window, name, float(p), f"{total:.1f} ± {sigma:.1f}", f"{shift:+.1f}", verdict])
        rows += [[window, reason.split(":")[0], None, None, None, reason] for reason in envelope.failed]
    caption = (
        "What each function expects in the window, without a selection. The shift is not part of the quoted error."
    )
    columns = ["window", "function", "fit p", "b", "shift", "verdict"]
    tables.append(Table("Envelope of functions", columns, rows, caption))
    rows = []
    for window, spurious in study.spurious.items():
        if isinstance(spurious, str):
            rows.append([window, None, None, None, spurious])
            continue
        worst = int(np.abs(spurious.ratios).argmax())
        verdict = "passed" if spurious.passed else "failed"
        rows.append([window, spurious.truth, float(spurious.ratios[worst]), float(spurious.masses[worst]), verdict])
    columns = ["window masked", "truth", "largest spurious / error", "at mass [GeV]", "within tolerance"]
    caption = f"Signal that {study.function} fits into the smooth curve of another function where there is none."
    tables.append(Table("Spurious signal", columns, rows, caption))
    return Section("Background function", "Of the inclusive spectrum, no selection.", tables=tables)
