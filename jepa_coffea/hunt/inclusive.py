"""The spectrum without a selection: which background function it asks for, and limits on a resonance.

The order of the function is chosen by F-test, other functions show how wrong it may be. An order that is chosen on the
data, beside the windows, is chosen again in every pseudo-experiment by the same rule.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from jepa_coffea.bumphunt import Gaussian, SignalSystematics, mass_limits, width_limits
from jepa_coffea.bumphunt.envelope import FunctionUncertainty, SpuriousYields, function_uncertainty, spurious_yields
from jepa_coffea.bumphunt.ftest import FTest, FTestRule, f_test, f_test_rule
from jepa_coffea.bumphunt.functions import ALTERNATES, DIJET_FAMILY
from jepa_coffea.bumphunt.limits import LimitCurve
from jepa_coffea.cwola.windows import Windows
from jepa_coffea.errors import SpectrumError
from jepa_coffea.hunt.config import SignalConfig, StatisticsConfig
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
            choices[window.name] = _attempt(f_test, data, sqrt_s=statistics.energy, **how)
            if not isinstance(choices[window.name], str):
                rules.append(f_test_rule(data, sqrt_s=statistics.energy, **how))
        chosen = [choice.function for choice in choices.values() if isinstance(choice, FTest)]
        statistics = statistics.model_copy(
            update={"function": max(chosen, key=DIJET_FAMILY.index, default=DIJET_FAMILY[0])}
        )
        run = replace(run, config=run.config.model_copy(update={"statistics": statistics}))
    uncertainties: dict[str, FunctionUncertainty | str] = {}
    spurious: dict[str, SpuriousYields | str] = {}
    others = [name for name in ALTERNATES if name != statistics.function]
    for window in windows.windows:
        shared: dict[str, Any] = {"window": (window.low, window.high), "sqrt_s": statistics.energy}
        toys = statistics.goodness_toys
        shared |= {"toys": toys, "seed": run.config.seed}
        uncertainties[window.name] = _attempt(function_uncertainty, data, statistics.function, others, **shared)
        spurious[window.name] = _attempt(spurious_yields, data, statistics.function, others, **shared)
    return run, FunctionStudy(statistics.function, choices, uncertainties, spurious), tuple(rules)


def _attempt(study: Callable[..., T], *args: Any, **options: Any) -> T | str:
    """The result of a study, or why there is none: a study that fails must not end the hunt."""
    try:
        return study(*args, **options)
    except SpectrumError as error:
        return str(error)


def inclusive_limits(
    counts: Floats,
    windows: Windows,
    statistics: StatisticsConfig,
    signal: SignalConfig | None,
    luminosity: float | None = None,
) -> tuple[dict[str, LimitCurve | str], dict[str, LimitCurve | str]]:
    """95 % CLs limits, observed and expected, against mass and against width.

    Against mass for every width that the document asks for; where these are several, also against width in the middle
    of every window. What the background function may fake as a signal, with every other function that describes the
    spectrum as the truth, is a nuisance.

    Parameters
    ----------
    counts
        Events per bin without a selection, (bins,).
    windows
        Their bins.
    statistics
        The background function.
    signal
        Widths, efficiency and uncertainties; None for no limits.
    luminosity
        In 1/fb, for limits in fb.

    Returns
    -------
    against_mass : dict
        Relative width in words to the limits, or to why there are none.
    against_width : dict
        Mass in words to the limits, or to why there are none.
    """
    if signal is None:
        return {}, {}
    against_mass: dict[str, LimitCurve | str] = {}
    against_width: dict[str, LimitCurve | str] = {}
    data, function = (counts, np.asarray(windows.edges)), statistics.function
    how: dict[str, Any] = {
        "systematics": SignalSystematics(**signal.uncertainties.model_dump()),
        "luminosity": luminosity,
        "efficiency": signal.efficiency,
        "function": function,
        "sqrt_s": statistics.energy,
    }
    faked: dict[float, SpuriousYields] = {}
    for width in signal.widths:
        shape = Gaussian(width)
        try:
            faked[width] = spurious_yields(
                data, function, signal=shape, sqrt_s=statistics.energy, toys=statistics.goodness_toys
            )
            yields = faked[width]
            against_mass[f"width {width:g}"] = mass_limits(
                data, yields.masses, signal=shape, spurious=yields.events, **how
            )
        except SpectrumError as error:
            against_mass[f"width {width:g}"] = str(error)
    for window in windows.windows if len(signal.widths) > 1 else ():
        mass = (window.low + window.high) / 2
        name = f"mass {mass:g} GeV"
        if len(faked) < len(signal.widths):
            against_width[name] = "there are no limits against mass for every width"
            continue
        spurious = [float(np.interp(mass, one.masses, one.events)) for one in faked.values()]
        try:
            against_width[name] = width_limits(data, mass, list(faked), spurious=spurious, **how)
        except SpectrumError as error:
            against_width[name] = str(error)
    return against_mass, against_width
