"""What is counted in a window after a selection, and what two background estimates expect there."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from jepa_coffea.bumphunt import (
    BackgroundFit,
    Prediction,
    check_expected_events,
    check_expected_sides,
    counting_significance,
    fit_background,
    p_value,
)
from jepa_coffea.bumphunt.pass_fail import TransferFactorFit, fit_transfer_factor
from jepa_coffea.cwola.efficiency import WindowScores
from jepa_coffea.cwola.windows import Window, Windows
from jepa_coffea.errors import HistogramError, SpectrumError
from jepa_coffea.hunt.config import StatisticsConfig

Floats = npt.NDArray[np.float64]

FUNCTION, SIDEBAND_EFFICIENCY = "function", "sideband_efficiency"
ESTIMATES = (FUNCTION, SIDEBAND_EFFICIENCY)
"""The background estimates of a selection: a function fitted to the selected spectrum beside the window, and the
sideband efficiency, that is the events that fail the selection times the pass/fail transfer factor of the sidebands.
Arrays of experiments have this order."""


@dataclass(frozen=True)
class Estimate:
    """A background estimate in the window, and the significance of the count by it; all NaN where there is none."""

    b: float = np.nan
    """Expected background events."""
    sigma_b: float = np.nan
    """Its error: of the sum over the window's bins, with their full covariance, and the choice of the function."""
    z: float = np.nan
    """Signed significance of the count, before any calibration."""
    p: float = np.nan
    """Its p-value."""
    fit_p: float = np.nan
    """Goodness of the fit behind the estimate."""
    problem: str = ""
    """Why there are no numbers; empty when there are."""
    function_error: float = 0.0
    """Events by which the choice of the function may be wrong; part of ``sigma_b``."""
    fit: BackgroundFit | None = field(default=None, repr=False, compare=False)
    """The fit of the spectrum, where that is the estimate."""
    transfer_factor: TransferFactorFit | None = field(default=None, repr=False, compare=False)
    """The fit of the transfer factor, where that is the estimate."""

    @property
    def function_share(self) -> float:
        """The error of the choice of the function over that of the whole count without signal.

        Returns
        -------
        float
            Between 0 and 1.
        """
        return self.function_error / float(np.hypot(np.sqrt(self.b), self.sigma_b)) if self.function_error else 0.0

    def record(self) -> dict[str, Any]:
        """The numbers as JSON can say them.

        Returns
        -------
        dict
        """
        names = ("b", "sigma_b", "z", "p", "fit_p", "function_error", "function_share", "problem")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Selection:
    """One selection of an experiment: what is counted in a window, and what is expected there."""

    window: str
    efficiency: float
    """Sideband efficiency of the selection; 1 is no selection."""
    n: int
    """Events in the window."""
    counts: Floats = field(repr=False, compare=False)
    """Events per bin, (bins,)."""
    function: Estimate
    sideband_efficiency: Estimate | None = None
    """None without a selection: nothing fails then. Its transfer factor is a straight line unless another degree is
    given or was chosen."""
    parabola: Estimate | None = None
    """The sideband efficiency with a transfer factor of degree 2, while the degree is open; see :meth:`with_degree`."""

    @property
    def label(self) -> str:
        """Window and efficiency, for tables and pictures.

        Returns
        -------
        str
        """
        return f"{self.window}, " + ("all events" if self.efficiency == 1 else f"efficiency {self.efficiency:g}")

    def with_degree(self, degree: int) -> "Selection":
        """The selection with the degree of the transfer factor decided.

        Parameters
        ----------
        degree
            1 for the straight line, 2 for the parabola.

        Returns
        -------
        Selection
            Itself where the degree was not open.
        """
        if self.parabola is None:
            return self
        chosen = self.parabola if degree > 1 else self.sideband_efficiency
        return replace(self, sideband_efficiency=chosen, parabola=None)

    @property
    def degree(self) -> int | None:
        """Degree of the transfer factor.

        Returns
        -------
        int or None
            None where there is no such fit.
        """
        other = self.sideband_efficiency
        return None if other is None or other.transfer_factor is None else other.transfer_factor.degree

    @property
    def estimates(self) -> dict[str, Estimate]:
        """The background estimates by name, in the order of ``ESTIMATES``.

        Returns
        -------
        dict
        """
        return {name: found for name in ESTIMATES if (found := getattr(self, name)) is not None}

    def by(self, estimate: str) -> Estimate:
        """One of the estimates.

        Parameters
        ----------
        estimate
            One of ``ESTIMATES``.

        Returns
        -------
        Estimate
            That by the function where there is no other, without a selection.
        """
        return self.estimates.get(estimate, self.function)

    @property
    def pull(self) -> float:
        """Difference of the two estimates over both errors in quadrature.

        Both use the sideband events that pass, so they are correlated and the true pull is at least as large.

        Returns
        -------
        float
            NaN where an estimate has no number.
        """
        other = self.sideband_efficiency
        if other is None:
            return np.nan
        return (other.b - self.function.b) / float(np.hypot(other.sigma_b, self.function.sigma_b))

    def record(self) -> dict[str, Any]:
        """The numbers as JSON can say them.

        Returns
        -------
        dict
        """
        estimates = {name: estimate.record() for name, estimate in self.estimates.items()}
        if self.degree is not None:
            estimates[SIDEBAND_EFFICIENCY]["degree"] = self.degree
        return {"window": self.window, "efficiency": self.efficiency, "n": self.n, **estimates, "pull": self.pull}


def unseen(selection: Selection, statistics: StatisticsConfig) -> Selection:
    """A selection as it is expected from the events beside its window: what lies in the window has no part in it.

    The function is fitted beside the window anyway. The sideband efficiency needs the events of the window that fail;
    here it has those that a fit of all scored events, with the window masked, expects to fail.

    Parameters
    ----------
    selection
        Of the data.
    statistics
        The function of that fit.

    Returns
    -------
    Selection
        Without count and significances; it has the errors that the estimates are expected to have.
    """
    function, other = selection.function, selection.sideband_efficiency
    if other is not None:
        other = replace(_expecting(other, statistics), z=np.nan, p=np.nan)
    return replace(selection, n=0, function=replace(function, z=np.nan, p=np.nan), sideband_efficiency=other)


def _expecting(estimate: Estimate, statistics: StatisticsConfig) -> Estimate:
    """The sideband efficiency, with the events that are expected to fail in the window."""
    factor = estimate.transfer_factor
    if factor is None:
        return estimate
    window = float(factor.window[0]), float(factor.window[1])
    total = factor.counts + factor.failing, factor.edges
    try:
        fit = fit_background(total, statistics.function, sqrt_s=statistics.energy, window=window, toys=0)
    except SpectrumError as error:
        return Estimate(problem=str(error))
    expected = factor.expecting(fit.expected)
    prediction = expected.prediction()
    return replace(estimate, b=prediction.total, sigma_b=prediction.sigma, transfer_factor=expected)


def select(
    scores: WindowScores,
    mass: Floats,
    windows: Windows,
    efficiency: float,
    statistics: StatisticsConfig,
    goodness_toys: int = 0,
    function_error: float = 0.0,
    degree: int | Literal["auto"] = 1,
) -> Selection:
    """Select by scores, count in the window, estimate the background in both ways.

    Parameters
    ----------
    scores
        Of one window.
    mass
        GeV, (events,).
    windows
        Bins and fit range.
    efficiency
        Sideband efficiency of the selection.
    statistics
        Function and constraint.
    goodness_toys
        Toys for the goodness of the fit; without them it is that of chi-squared.
    function_error
        Share of the background by which the choice of the function may be wrong.
    degree
        Of the transfer factor; ``auto`` gives both.

    Returns
    -------
    Selection
        Without events if the efficiency has no threshold; without estimates where fewer than 5 events are expected on
        a side of the window, and without one by the function where it needs more.
    """
    refusal, window = scores.refusal(efficiency), scores.window
    open_degree = degree == "auto"
    if refusal:
        nothing = Estimate(problem=refusal)
        counts = np.zeros(len(windows.edges) - 1)
        return Selection(window.name, efficiency, 0, counts, nothing, nothing, nothing if open_degree else None)
    counts = windows.histogram(mass[scores.selected(efficiency)])
    total = windows.histogram(mass[scores.scored])
    n = _inside(counts, windows, window)
    spectrum, where = (total, np.asarray(windows.edges)), (window.low, window.high)
    # Where so few are expected, those fits that work would be a choice among searches.
    try:
        check_expected_sides(spectrum, window=where, efficiency=efficiency)
    except HistogramError as error:
        nothing = Estimate(problem=str(error))
        return Selection(window.name, efficiency, n, counts, nothing, nothing, nothing if open_degree else None)
    fit = partial(by_function, counts, windows, window, statistics, goodness_toys, function_error)
    function = _if_enough(total, efficiency, windows, window, statistics, fit)
    line, *parabola = (
        by_sideband_efficiency(counts, total, windows, window, statistics, one, goodness_toys)
        for one in ((1, 2) if degree == "auto" else (degree,))
    )
    return Selection(window.name, efficiency, n, counts, function, line, *parabola)


def count_inclusive(
    counts: Floats,
    windows: Windows,
    statistics: StatisticsConfig,
    goodness_toys: int = 0,
    function_errors: Mapping[str, float] | None = None,
) -> list[Selection]:
    """Every window of a spectrum without a selection.

    Parameters
    ----------
    counts
        Events per bin, (bins,).
    windows
        Bins and fit range.
    statistics
        Function and constraint.
    goodness_toys
        Toys for the goodness of the fit; without them it is that of chi-squared.
    function_errors
        Name of a window to the share of its background by which the choice of the function may be wrong; 0 by default.

    Returns
    -------
    list of Selection
    """
    errors, found = function_errors or {}, []
    for window in windows.windows:
        how = (windows, window, statistics, goodness_toys, errors.get(window.name, 0.0))
        estimate = _if_enough(counts, 1.0, windows, window, statistics, partial(by_function, counts, *how))
        found.append(Selection(window.name, 1.0, _inside(counts, windows, window), counts, estimate))
    return found


def uncounted(counts: Floats, windows: Windows, problem: str) -> list[Selection]:
    """Every window of a spectrum without a selection, where nothing is known but the events.

    Parameters
    ----------
    counts
        Events per bin, (bins,).
    windows
        Bins and fit range.
    problem
        Why there are no numbers.

    Returns
    -------
    list of Selection
    """
    nothing = Estimate(problem=problem)
    return [
        Selection(window.name, 1.0, _inside(counts, windows, window), counts, nothing) for window in windows.windows
    ]


def _if_enough(
    total: Floats,
    efficiency: float,
    windows: Windows,
    window: Window,
    statistics: StatisticsConfig,
    fit: Callable[[], Estimate],
) -> Estimate:
    """The estimate by the function, or why there is no number: fewer events are expected than the function needs."""
    try:
        check_expected_events(
            (total, np.asarray(windows.edges)),
            statistics.function,
            window=(window.low, window.high),
            efficiency=efficiency,
        )
    except HistogramError as error:
        return Estimate(problem=str(error))
    return fit()


def by_function(
    counts: Floats,
    windows: Windows,
    window: Window,
    statistics: StatisticsConfig,
    goodness_toys: int = 0,
    function_error: float = 0.0,
) -> Estimate:
    """The background by a function fitted to the spectrum beside the window.

    Parameters
    ----------
    counts
        Events per bin, (bins,).
    windows, window
        Bins, and the window that is masked.
    statistics
        Function and constraint.
    goodness_toys
        Toys for the goodness of the fit; without them it is that of chi-squared.
    function_error
        Share of the background by which the choice of the function may be wrong, measured without a selection.

    Returns
    -------
    Estimate
    """
    try:
        fit = fit_background(
            (counts, np.asarray(windows.edges)),
            statistics.function,
            sqrt_s=statistics.energy,
            window=(window.low, window.high),
            toys=goodness_toys,
        )
    except SpectrumError as error:
        return Estimate(problem=str(error))
    events = function_error * fit.prediction().total
    expected = fit.prediction().widened(events) if events > 0 else fit.prediction()
    judged = _judged(counts, windows, window, expected, fit.p_value, statistics)
    return replace(judged, fit=fit, function_error=events)


def by_sideband_efficiency(
    counts: Floats,
    total: Floats,
    windows: Windows,
    window: Window,
    statistics: StatisticsConfig,
    degree: int = 1,
    goodness_toys: int = 0,
) -> Estimate:
    """The background as the events that fail the selection times the pass/fail transfer factor of the sidebands.

    It assumes nothing about the spectrum, only that the transfer factor is smooth in mass.

    Parameters
    ----------
    counts, total
        Events per bin after and before the selection, (bins,).
    windows, window
        Bins, and the window that is masked.
    statistics
        The constraint.
    degree
        Of the polynomial in mass of the logarithm of the transfer factor.
    goodness_toys
        Toys for the goodness of the fit; without them it is that of chi-squared.

    Returns
    -------
    Estimate
    """
    how: dict[str, Any] = {"window": (window.low, window.high), "degree": degree, "toys": goodness_toys}
    try:
        edges = np.asarray(windows.edges)
        fit = fit_transfer_factor((counts, edges), (total, edges), **how)
    except SpectrumError as error:
        return Estimate(problem=str(error))
    return replace(_judged(counts, windows, window, fit.prediction(), fit.p_value, statistics), transfer_factor=fit)


def _inside(counts: Floats, windows: Windows, window: Window) -> int:
    return int(counts[windows.bins_of(window)].sum())


def _judged(
    counts: Floats, windows: Windows, window: Window, expected: Prediction, fit_p: float, statistics: StatisticsConfig
) -> Estimate:
    """The count in the window against what is expected there."""
    n = _inside(counts, windows, window)
    z = float(counting_significance(n, expected.total, expected.sigma, statistics.constraint))
    return Estimate(expected.total, expected.sigma, z, float(p_value(z)), fit_p)
