"""The spectrum without a selection: which background function it asks for, and limits on a resonance.

The order of the function is chosen by F-test, other functions show how wrong it may be. An order that is chosen on the
data, beside the windows, is chosen again in every pseudo-experiment by the same rule.
"""

from collections.abc import Callable, Sequence
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
from jepa_coffea.hunt.config import HuntConfig
from jepa_coffea.hunt.selections import Floats
from jepa_coffea.hunt.state import FunctionStudy, Run
from jepa_coffea.tasks import run_tasks

T = TypeVar("T")

Spectrum = tuple[Floats, Floats]
"""Counts per bin and edges, GeV."""


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
    counts: Floats, windows: Windows, config: HuntConfig, **execution: Any
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
    config
        The document, its function named: signal and luminosity say which limits; without a signal there are none.
    **execution
        ``client`` and ``progress`` of :func:`~jepa_coffea.tasks.run_tasks`.

    Returns
    -------
    against_mass : dict
        Relative width in words to the limits, or to why there are none.
    against_width : dict
        Mass in words to the limits, or to why there are none.
    """
    signal = config.signal
    if signal is None:
        return {}, {}
    data = counts, np.asarray(windows.edges)
    of_width = run_tasks(
        _against_mass, signal.widths, (data, config), description="Limits against mass", unit="widths", **execution
    )
    against_mass = {f"width {width:g}": curve for width, (_, curve) in zip(signal.widths, of_width, strict=True)}
    middles = [(window.low + window.high) / 2 for window in windows.windows] if len(signal.widths) > 1 else []
    if any(isinstance(faked, str) for faked, _ in of_width):
        curves: list[LimitCurve | str] = ["there are no limits against mass for every width"] * len(middles)
    else:
        faked = [faked for faked, _ in of_width]
        curves = run_tasks(
            _against_width,
            middles,
            (data, config, faked),
            description="Limits against width",
            unit="masses",
            **execution,
        )
    return against_mass, {f"mass {mass:g} GeV": curve for mass, curve in zip(middles, curves, strict=True)}


def _against_mass(width: float, data: Spectrum, config: HuntConfig) -> tuple[SpuriousYields | str, LimitCurve | str]:
    """What the function may fake, and the limits of one width."""
    statistics, shape = config.statistics, Gaussian(width)
    faked = _attempt(
        spurious_yields,
        data,
        statistics.function,
        signal=shape,
        sqrt_s=statistics.energy,
        toys=statistics.goodness_toys,
    )
    if isinstance(faked, str):
        return faked, faked
    curve = _attempt(mass_limits, data, faked.masses, signal=shape, spurious=faked.events, **_setting(config))
    return faked, curve


def _against_width(
    mass: float, data: Spectrum, config: HuntConfig, faked: Sequence[SpuriousYields]
) -> LimitCurve | str:
    """The limits at one mass."""
    assert config.signal is not None
    spurious = [float(np.interp(mass, one.masses, one.events)) for one in faked]
    return _attempt(width_limits, data, mass, config.signal.widths, spurious=spurious, **_setting(config))


def _setting(config: HuntConfig) -> dict[str, Any]:
    """What all limits share."""
    assert config.signal is not None
    return {
        "systematics": SignalSystematics(**config.signal.uncertainties.model_dump()),
        "luminosity": config.luminosity,
        "efficiency": config.signal.efficiency,
        "function": config.statistics.function,
        "sqrt_s": config.statistics.energy,
        "toys": config.signal.toys,
        "seed": config.seed,
    }
