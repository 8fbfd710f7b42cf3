"""The spectrum without a selection: which background function it asks for, peaks at every mass, and limits on them.

The order of the function is chosen by F-test, other functions show how wrong it may be. An order that is chosen on the
data, beside the windows, is chosen again in every pseudo-experiment by the same rule.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from jepa_coffea.bumphunt import (
    BackgroundFit,
    Scan,
    ShapeSearch,
    SignalSystematics,
    fit_background,
    mass_limits,
    scan,
    shape_search,
    width_limits,
)
from jepa_coffea.bumphunt.envelope import FunctionUncertainty, SpuriousYields, function_uncertainty, spurious_yields
from jepa_coffea.bumphunt.ftest import FTest, FTestRule, f_test, f_test_rule
from jepa_coffea.bumphunt.functions import ALTERNATES, DIJET_FAMILY, get_function
from jepa_coffea.bumphunt.limits import LimitCurve
from jepa_coffea.cwola.windows import Windows
from jepa_coffea.errors import HistogramError, SpectrumError
from jepa_coffea.hunt.config import HuntConfig
from jepa_coffea.hunt.selections import Floats, Selection
from jepa_coffea.hunt.state import FunctionStudy, MassScan, Run
from jepa_coffea.tasks import run_tasks

T = TypeVar("T")

EXCESS, MIDDLE = "largest excess", "middle of the scan"
"""Where a scan without windows has limits against width."""

Spectrum = tuple[Floats, Floats]
"""Counts per bin and edges, GeV."""


def with_function(run: Run, counts: Floats, windows: Windows) -> tuple[Run, FunctionStudy, tuple[FTestRule, ...]]:
    """Study the background function, and choose its order where the document says ``auto``.

    With several windows the richest of the orders chosen with each one masked is taken, without windows the one of the
    whole spectrum; where no order can be chosen, the one with the fewest parameters.

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
        How pseudo-experiments choose theirs, one for each window or for the whole spectrum; empty when the document
        names the function.
    """
    statistics, data = run.config.statistics, (counts, np.asarray(windows.edges))
    choices: dict[str, FTest | str] = {}
    rules: list[FTestRule] = []
    if statistics.function == "auto":
        masked: dict[str, tuple[float, float] | None] = {one.name: (one.low, one.high) for one in windows.windows}
        for name, ends in (masked or {"none": None}).items():
            how: dict[str, Any] = {"window": ends, "seed": run.config.seed}
            choices[name] = attempt(f_test, data, sqrt_s=statistics.energy, **how)
            if not isinstance(choices[name], str):
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
        uncertainties[window.name] = attempt(function_uncertainty, data, statistics.function, others, **shared)
        shared["signal"] = run.config.peak(run.config.widths[0])
        spurious[window.name] = attempt(spurious_yields, data, statistics.function, others, **shared)
    return run, FunctionStudy(statistics.function, choices, uncertainties, spurious), tuple(rules)


def attempt(study: Callable[..., T], *args: Any, **options: Any) -> T | str:
    """The result of a study, or why there is none: a study that fails must not end the hunt.

    Parameters
    ----------
    study
        What to do.
    *args, **options
        Its arguments.

    Returns
    -------
    T or str
        Why there is none, never empty: the message of an error of the spectrum or of the arithmetic.
    """
    try:
        return study(*args, **options)
    except (SpectrumError, ArithmeticError, np.linalg.LinAlgError) as error:
        return str(error) or type(error).__name__


def in_words(width: float) -> str:
    """The name of a width over mass in results.

    Parameters
    ----------
    width
        Of the signal, over its mass.

    Returns
    -------
    str
    """
    return f"width {width:g}"


@dataclass(frozen=True)
class PeakScan:
    """A spectrum searched for a peak of one width at every mass; made by :func:`peak_scan`."""

    scan: Scan
    """The signal that the function may fake is counted where it is known."""
    fit: BackgroundFit
    """Of background alone beside the largest excess, or of the whole spectrum where nothing is left beside it."""
    spurious: SpuriousYields | str
    """The signal that the function may fake, an uncertainty of the yield, where another function that describes the
    spectrum beside the largest excess is the truth; or why it is not known."""


def peak_scan(data: Spectrum, width: float, config: HuntConfig) -> PeakScan:
    """Look for a peak of one width at every mass.

    Parameters
    ----------
    data
        The spectrum.
    width
        Of the peak, over its mass.
    config
        The document, its function named.

    Returns
    -------
    PeakScan

    Raises
    ------
    SpectrumError
        If a fit of the data fails.
    """
    fit, spurious = _beside_excess(data, width, config)
    how: dict[str, Any] = {"function": config.statistics.function, "sqrt_s": config.statistics.energy, "toys": 0}
    return PeakScan(scan(data, signal=config.peak(width), spurious=_events(spurious), **how), fit, spurious)


def _beside_excess(data: Spectrum, width: float, config: HuntConfig) -> tuple[BackgroundFit, SpuriousYields | str]:
    """Background alone beside the largest excess, and the signal that the function may fake if others hold there."""
    statistics, signal = config.statistics, config.peak(width)
    shared: dict[str, Any] = {"function": statistics.function, "sqrt_s": statistics.energy}
    toys: dict[str, Any] = {"toys": statistics.goodness_toys, "seed": config.seed}
    first = scan(data, signal=signal, toys=0, **shared)
    fit = _beside(data, float(first.masses[first.best]), 2 * width, **shared, **toys)
    window = None if fit.window is None else (float(fit.window[0]), float(fit.window[1]))
    return fit, attempt(spurious_yields, data, signal=signal, window=window, **shared, **toys)


def _events(spurious: SpuriousYields | str) -> Floats | None:
    """The events that may be faked; None where they are not known."""
    return None if isinstance(spurious, str) else spurious.events


def mass_scan(
    run: Run, counts: Floats, windows: Windows
) -> tuple[MassScan, dict[str, SpuriousYields | str], list[ShapeSearch]]:
    """Look for a peak of every width at every mass, as trials: that what the function fakes is not known is said.

    Parameters
    ----------
    run
        The hunt, its function chosen.
    counts
        The spectrum, (bins,).
    windows
        Its bins.

    Returns
    -------
    found : MassScan
    spurious : dict
        Of each :class:`PeakScan`, by width in words.
    searches : list of ShapeSearch
        The same search for toys, one for each width.

    Raises
    ------
    HistogramError
        If there are fewer events than the function needs.
    SpectrumError
        If a fit of the data fails.
    """
    statistics, data = run.config.statistics, (counts, np.asarray(windows.edges))
    fewest = get_function(statistics.function).minimum_events
    if counts.sum() < fewest:
        msg = (
            f"the spectrum holds {counts.sum():g} events, and {statistics.function} needs {fewest:g} to be fitted "
            f"reliably. Widen the fit range, or take a function with fewer parameters"
        )
        raise HistogramError(msg)
    found = {in_words(width): peak_scan(data, width, run.config) for width in run.config.widths}
    run.failed.extend(
        f"the signal that {statistics.function} may fake in the scan for peaks of {name} is not known and not counted: "
        f"{one.spurious}"
        for name, one in found.items()
        if isinstance(one.spurious, str)
    )
    searches = [
        shape_search(
            data,
            signal=run.config.peak(width),
            function=statistics.function,
            sqrt_s=statistics.energy,
            spurious=_events(found[in_words(width)].spurious),
            name=f"mass scan, {in_words(width)}",
        )
        for width in run.config.widths
    ]
    strongest = max(found.values(), key=lambda one: float(one.scan.z[one.scan.best]))
    scanned = MassScan({name: one.scan for name, one in found.items()}, strongest.fit)
    return scanned, {name: one.spurious for name, one in found.items()}, searches


def selected_scans(
    selections: Sequence[Selection],
    inclusive: Sequence[Selection],
    study: FunctionStudy,
    windows: Windows,
    config: HuntConfig,
) -> list[Scan | None]:
    """Local significances of peaks in selected spectra, for pictures: only the windows are trials.

    What the function may fake is counted as in the windows: its share of the background is measured without a
    selection, and taken to be the same after one.

    Parameters
    ----------
    selections
        Of the data.
    inclusive
        Every window without a selection.
    study
        Of the background function, for peaks of the first width of the document.
    windows
        Bins and windows.
    config
        The document, its function named.

    Returns
    -------
    list of Scan or None
        For each selection; None where its fit fails, which the selection says as well. Without ``spurious`` where it is
        not known.
    """
    edges, signal, statistics = np.asarray(windows.edges), config.peak(config.widths[0]), config.statistics
    everything = {one.window: one.function.fit for one in inclusive}
    found = []
    for selection in selections:
        known, of_all, fit = (
            study.spurious.get(selection.window),
            everything.get(selection.window),
            selection.function.fit,
        )
        masses = faked = None
        if isinstance(known, SpuriousYields) and of_all is not None and fit is not None:
            masses = known.masses
            under = np.array([signal.template(edges, mass) for mass in masses])
            faked = known.events * (under @ fit.expected) / (under @ of_all.expected)
        how: dict[str, Any] = {"function": statistics.function, "sqrt_s": statistics.energy, "toys": 0}
        one = attempt(scan, (selection.counts, edges), masses, signal=signal, spurious=faked, **how)
        found.append(None if isinstance(one, str) else one)
    return found


def _beside(data: Spectrum, mass: float, share: float, **how: Any) -> BackgroundFit:
    """A fit of background alone without the bins at a mass, or of all bins where those beside it do not suffice."""
    edges = data[1]
    touched = np.flatnonzero((edges[1:] > mass * (1 - share)) & (edges[:-1] < mass * (1 + share)))
    try:
        return fit_background(data, window=(edges[touched[0]], edges[touched[-1] + 1]), **how)
    except SpectrumError:
        return fit_background(data, **how)


def inclusive_limits(
    counts: Floats,
    windows: Windows,
    config: HuntConfig,
    known: Mapping[str, SpuriousYields | str] | None = None,
    scanned: MassScan | None = None,
    **execution: Any,
) -> tuple[dict[str, LimitCurve | str], dict[str, LimitCurve | str]]:
    """95 % CLs limits, observed and expected, against mass and against width.

    Against mass for every width that the document asks for; where these are several, also against width: in the middle
    of every window, or without windows at the mass of the largest excess, where the question arises, and in the middle
    of the scan, which no data choose. What the background function may fake as a signal, with every other function that
    describes the spectrum as the truth, is a nuisance.

    Parameters
    ----------
    counts
        Events per bin without a selection, (bins,).
    windows
        Their bins.
    config
        The document, its function named: signal and luminosity say which limits; without a signal there are none.
    known
        By width in words: the signal that the function may fake; found here where it is not given.
    scanned
        Of a hunt without windows: where the largest excess is.
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
        _against_mass,
        signal.widths,
        (data, config, dict(known or {})),
        description="Limits against mass",
        unit="widths",
        **execution,
    )
    against_mass = {in_words(width): curve for width, (_, curve) in zip(signal.widths, of_width, strict=True)}
    if len(signal.widths) == 1:
        return against_mass, {}
    places = {f"mass {mass:g} GeV": mass for mass in ((one.low + one.high) / 2 for one in windows.windows)}
    faked = [faked for faked, _ in of_width if not isinstance(faked, str)]
    if len(faked) < len(of_width):
        problem = "there are no limits against mass for every width"
        return against_mass, dict.fromkeys(places or [MIDDLE], problem)
    if not places:
        places = _places(faked, scanned)
    curves = run_tasks(
        _against_width,
        list(places.values()),
        (data, config, faked),
        description="Limits against width",
        unit="masses",
        **execution,
    )
    return against_mass, dict(zip(places, curves, strict=True))


def _places(faked: Sequence[SpuriousYields], scanned: MassScan | None) -> dict[str, float]:
    """Name and mass of the places of a scan at which there are limits against width."""
    shortest = min((one.masses for one in faked), key=lambda masses: float(masses[-1] - masses[0]))
    places = {} if scanned is None else {EXCESS: float(scanned.largest[1].masses[scanned.largest[1].best])}
    places[MIDDLE] = float(shortest[len(shortest) // 2])
    return {f"mass {mass:.4g} GeV, {name}": mass for name, mass in places.items()}


def _against_mass(
    width: float, data: Spectrum, config: HuntConfig, known: Mapping[str, SpuriousYields | str]
) -> tuple[SpuriousYields | str, LimitCurve | str]:
    """What the function may fake, and the limits of one width."""
    faked = known.get(in_words(width))
    if faked is None:
        beside = attempt(_beside_excess, data, width, config)
        faked = beside if isinstance(beside, str) else beside[1]
    if isinstance(faked, str):
        return faked, faked
    shape = config.peak(width)
    curve = attempt(mass_limits, data, faked.masses, signal=shape, spurious=faked.events, **_setting(config))
    return faked, curve


def _against_width(
    mass: float, data: Spectrum, config: HuntConfig, faked: Sequence[SpuriousYields]
) -> LimitCurve | str:
    """The limits at one mass."""
    assert config.signal is not None
    spurious = [float(np.interp(mass, one.masses, one.events)) for one in faked]
    widths = config.signal.widths
    shape = config.peak(widths[0])
    return attempt(width_limits, data, mass, widths, signal=shape, spurious=spurious, **_setting(config))


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
