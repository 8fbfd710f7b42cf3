"""The background function: its order by F-test, what other functions make of it, the spurious signal.

An order that is chosen on the data, beside the windows, is chosen again in every pseudo-experiment by the same rule.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from jepa_coffea.bumphunt.ftest import FTest, FTestRule, f_test, f_test_rule
from jepa_coffea.bumphunt.function_uncertainty import (
    FunctionUncertainty,
    SpuriousYields,
    function_uncertainty,
    spurious_yields,
)
from jepa_coffea.bumphunt.functions import ALTERNATES, DIJET_FAMILY
from jepa_coffea.cwola.windows import Windows
from jepa_coffea.errors import FitError, HistogramError
from jepa_coffea.hunt.selections import Floats
from jepa_coffea.hunt.state import FunctionStudy, Run

T = TypeVar("T")


def with_function(run: Run, counts: Floats, windows: Windows) -> tuple[Run, FunctionStudy, tuple[FTestRule, ...]]:
    """Study the background function, and choose its order where the document says ``auto``.

    With several windows the richest of the orders chosen with each one masked is taken; where no order can be chosen,
    the one with the fewest parameters.

    Parameters
    ----------
    run
        The hunt.
    counts
        The inclusive spectrum, (bins,).
    windows
        Its bins, and the windows to mask.

    Returns
    -------
    run : Run
        With ``auto`` replaced by the chosen function.
    study : FunctionStudy
        What there is to say about it.
    rules : tuple of FTestRule
        How pseudo-experiments choose theirs, one for each window; empty when the document names the function.
    """
    statistics, data = run.config.statistics, (counts, np.asarray(windows.edges))
    choices: dict[str, FTest | str] = {}
    rules: list[FTestRule] = []
    if statistics.function == "auto":
        for window in windows.windows:
            how: dict[str, Any] = {"window": (window.low, window.high), "seed": run.config.seed}
            choices[window.name] = _attempt(f_test, data, sqrt_s=statistics.sqrt_s, **how)
            if not isinstance(choices[window.name], str):
                rules.append(f_test_rule(data, sqrt_s=statistics.sqrt_s, **how))
        chosen = [choice.function for choice in choices.values() if isinstance(choice, FTest)]
        statistics = statistics.model_copy(
            update={"function": max(chosen, key=DIJET_FAMILY.index, default=DIJET_FAMILY[0])}
        )
        run = replace(run, config=run.config.model_copy(update={"statistics": statistics}))
    uncertainties: dict[str, FunctionUncertainty | str] = {}
    spurious: dict[str, SpuriousYields | str] = {}
    others = [name for name in ALTERNATES if name != statistics.function]
    for window in windows.windows:
        shared: dict[str, Any] = {"window": (window.low, window.high), "sqrt_s": statistics.sqrt_s}
        toys = statistics.goodness_toys
        shared |= {"toys": toys, "seed": run.config.seed}
        uncertainties[window.name] = _attempt(function_uncertainty, data, statistics.function, others, **shared)
        spurious[window.name] = _attempt(spurious_yields, data, statistics.function, others, **shared)
    return run, FunctionStudy(statistics.function, choices, uncertainties, spurious), tuple(rules)


def _attempt(study: Callable[..., T], *args: Any, **options: Any) -> T | str:
    """What a study finds, or why it finds nothing: a study that fails must not end the hunt."""
    try:
        return study(*args, **options)
    except (FitError, HistogramError) as error:
        return str(error)
