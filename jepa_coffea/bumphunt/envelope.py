"""How much the result depends on the background function, in events, so that it can be an uncertainty.

Several functions are fitted to the spectrum beside a window. Those that describe it give the envelope of what may be
expected in the window. Each of them is then tried as the truth: what the nominal function gets wrong of its curve, in
the window or as a spurious signal against mass, is an uncertainty of the background, to be added in quadrature to that
of the fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from jepa_coffea.bumphunt.background import BackgroundFit
from jepa_coffea.bumphunt.fit import fit_background
from jepa_coffea.bumphunt.functions import ALTERNATES
from jepa_coffea.bumphunt.newton import Array
from jepa_coffea.bumphunt.records import Record
from jepa_coffea.bumphunt.scan import scan
from jepa_coffea.bumphunt.signals import Signal
from jepa_coffea.bumphunt.spectrum import Interval, Spectrum, SpectrumLike, as_spectrum
from jepa_coffea.errors import FitError, HistogramError

ACCEPTED = 0.05
"""Goodness of fit from which on a function counts as one that the data may follow."""

POOR = 0.01
"""The same where the nominal function does not reach ``ACCEPTED`` itself: a spectrum that fluctuates is described
poorly by all functions alike."""

FAILED = (FitError, ArithmeticError, np.linalg.LinAlgError)
"""What leaves out one alternate; the others count."""


@dataclass(frozen=True, eq=False)
class FunctionUncertainty(Record):
    """How far the nominal function may be off in a window; made by :func:`function_uncertainty`."""

    functions: tuple[str, ...]
    """Those that could be fitted; the first is the nominal one."""
    p_values: Array
    """[function]: goodness of fit."""
    accepted: npt.NDArray[np.bool_]
    """[function]: whether the goodness of fit reaches the threshold, or 0.01 where that of the nominal one does not."""
    totals: Array
    """[function]: events predicted in the window."""
    sigmas: Array
    """[function]: fit uncertainty of each."""
    biases: Array
    """[function]: events by which the nominal function, fitted beside the window to this function's curve, misses the
    curve inside it. 0 for the nominal one; NaN where it is not tried as the truth."""
    envelope: float
    """Events: largest difference of an accepted function's prediction from the nominal one."""
    error: float
    """Events: the envelope, or the largest of the biases if that is larger."""
    failed: tuple[str, ...]
    """Functions that could not be fitted, and truths that the nominal one could not be fitted to, with the reason."""

    @property
    def truths(self) -> tuple[str, ...]:
        """Accepted alternates, each tried as the truth.

        Returns
        -------
        tuple of str
        """
        known = np.isfinite(self.biases)
        return tuple(name for name, tried in zip(self.functions[1:], known[1:], strict=True) if tried)

    @property
    def total(self) -> float:
        """Events that the nominal function predicts in the window.

        Returns
        -------
        float
        """
        return float(self.totals[0])

    @property
    def relative(self) -> float:
        """``error`` over the predicted background; for selections that keep the shape of the spectrum.

        Returns
        -------
        float
        """
        return self.error / self.total


def function_uncertainty(
    data: SpectrumLike,
    function: str = "dijet3",
    alternates: Sequence[str] = ALTERNATES,
    *,
    window: Interval,
    sqrt_s: float = 13000.0,
    threshold: float = ACCEPTED,
    toys: int = 500,
    seed: int = 0,
) -> FunctionUncertainty:
    """Measure how much the background in a window depends on the function.

    Parameters
    ----------
    data
        Spectrum, GeV.
    function
        The nominal one.
    alternates
        The others; those that describe the data are tried as the truth, one after the other.
    window
        Mass interval at bin edges, GeV.
    sqrt_s
        Centre-of-mass energy, GeV.
    threshold
        Goodness of fit of a function that is accepted; at most 0.01 where the nominal one does not reach it.
    toys
        Pseudo-experiments for each goodness of fit.
    seed
        Of these.

    Returns
    -------
    FunctionUncertainty
        Add ``error`` in quadrature to the uncertainty of the fit: ``Prediction.widened(error)``.

    Raises
    ------
    FitError
        When the nominal function cannot be fitted.

    Examples
    --------
    >>> import numpy as np
    >>> edges = np.linspace(1600.0, 4800.0, 17)
    >>> counts = 1e4 * np.exp(-(edges[:-1] - 1600) / 400)
    >>> found = function_uncertainty((counts, edges), window=(2400.0, 2800.0), toys=0)
    >>> found.truths, bool(found.relative < 0.05)
    (('expdijet2', 'expdijet3', 'powexp3'), True)
    """
    how: dict[str, Any] = {"window": window, "sqrt_s": sqrt_s}
    fits = [fit_background(data, function, toys=toys, seed=seed, **how)]
    failed: list[str] = []
    for name in (name for name in alternates if name != function):
        try:
            fits.append(fit_background(data, name, toys=toys, seed=seed, **how))
        except FAILED as error:
            failed.append(f"{name}: {error}")
    p_values = np.array([fit.p_value for fit in fits])
    accepted = p_values >= _required(threshold, p_values[0])
    predictions = [fit.prediction() for fit in fits]
    totals = np.array([prediction.total for prediction in predictions])
    biases, edges = np.full(len(fits), np.nan), as_spectrum(data).edges
    biases[0] = 0.0
    for i in np.flatnonzero(accepted[1:]) + 1:
        try:
            nominal = fit_background(Spectrum(fits[i].expected, edges), function, toys=0, **how)
        except FAILED as error:
            failed.append(f"{fits[i].function} as the truth: {error}")
            continue
        biases[i] = nominal.prediction().total - totals[i]
    envelope = float(np.abs(totals - totals[0])[accepted].max(initial=0.0))
    return FunctionUncertainty(
        functions=tuple(fit.function for fit in fits),
        p_values=p_values,
        accepted=accepted,
        totals=totals,
        sigmas=np.array([prediction.sigma for prediction in predictions]),
        biases=biases,
        envelope=envelope,
        error=max(envelope, float(np.nanmax(np.abs(biases)))),
        failed=tuple(failed),
    )


def _required(threshold: float, nominal: float) -> float:
    """The goodness of fit of an alternate, given that of the nominal function."""
    return threshold if nominal >= threshold else min(threshold, POOR)


@dataclass(frozen=True, eq=False)
class SpuriousSignal(Record):
    """Signal that a function fits into a smooth spectrum of another; made by :func:`spurious_signal`."""

    truth: str
    function: str
    masses: Array
    """[mass], GeV."""
    spurious: Array
    """[mass]: fitted signal events where there are none."""
    errors: Array
    """[mass]: statistical error of the signal yield at the data's number of events."""
    tolerance: float

    @property
    def ratios(self) -> Array:
        """[mass]: spurious signal over its statistical error.

        Returns
        -------
        Array
        """
        return np.asarray(self.spurious / self.errors)

    @property
    def passed(self) -> bool:
        """Whether every ratio is within the tolerance.

        Returns
        -------
        bool
        """
        return bool(np.abs(self.ratios).max() < self.tolerance)


def spurious_signal(
    data: SpectrumLike,
    function: str = "dijet3",
    truth: str = "expdijet3",
    *,
    masses: npt.ArrayLike | None = None,
    signal: Signal | None = None,
    sqrt_s: float = 13000.0,
    window: Interval | None = None,
    tolerance: float = 0.2,
) -> SpuriousSignal:
    """Fit another function to the data, then signal plus the function to that smooth curve.

    The curve has no fluctuations, so any fitted yield is the function's failure to follow it.

    Parameters
    ----------
    data
        Spectrum, GeV.
    function
        The one that is examined.
    truth
        The one that makes the curve.
    masses
        [mass], GeV; by default half a width apart.
    signal
        Its shape; by default a Gaussian of 5 %.
    sqrt_s
        Centre-of-mass energy, GeV.
    window
        Masked in the fit of ``truth``, GeV.
    tolerance
        Largest allowed share of the statistical error, 0.2 as in ATLAS, Phys. Lett. B 716 (2012) 1.

    Returns
    -------
    SpuriousSignal

    Raises
    ------
    HistogramError
        For a function examined with itself.
    FitError
        When a fit does not converge.
    """
    if function == truth:
        msg = f"the spurious signal of {function} on itself is 0 by construction; take another truth"
        raise HistogramError(msg)
    curve = fit_background(data, truth, sqrt_s=sqrt_s, window=window, toys=0)
    return _of_curve(curve, as_spectrum(data).edges, function, masses, signal, sqrt_s, tolerance)


def _of_curve(
    curve: BackgroundFit,
    edges: Array,
    function: str,
    masses: npt.ArrayLike | None,
    signal: Signal | None,
    sqrt_s: float,
    tolerance: float,
) -> SpuriousSignal:
    """What a function fakes where the truth is a fitted curve."""
    result = scan(Spectrum(curve.expected, edges), masses, signal=signal, function=function, sqrt_s=sqrt_s, toys=0)
    return SpuriousSignal(curve.function, function, result.masses, result.yields, result.errors, tolerance)


@dataclass(frozen=True, eq=False)
class SpuriousYields(Record):
    """Signal that the nominal function may fake, against mass; made by :func:`spurious_yields`."""

    function: str
    masses: Array
    """[mass], GeV."""
    events: Array
    """[mass]: largest absolute spurious signal of any accepted truth."""
    errors: Array
    """[mass]: statistical error of a fitted yield."""
    studies: tuple[SpuriousSignal, ...]
    """One for each accepted truth."""
    rejected: tuple[str, ...]
    """Alternates that do not describe the data or cannot be fitted, with the reason."""
    tolerance: float

    @property
    def ratios(self) -> Array:
        """[mass]: largest spurious signal over the statistical error.

        Returns
        -------
        Array
        """
        return self.events / self.errors

    @property
    def passed(self) -> bool:
        """Whether the spurious signal is small enough to be left out: every ratio within the tolerance.

        Returns
        -------
        bool
        """
        return bool(self.ratios.max() < self.tolerance)


def spurious_yields(
    data: SpectrumLike,
    function: str = "dijet3",
    alternates: Sequence[str] = ALTERNATES,
    *,
    masses: npt.ArrayLike | None = None,
    signal: Signal | None = None,
    sqrt_s: float = 13000.0,
    window: Interval | None = None,
    threshold: float = ACCEPTED,
    tolerance: float = 0.2,
    toys: int = 500,
    seed: int = 0,
) -> SpuriousYields:
    """Spurious signal against mass, every accepted alternate taken as the truth.

    Parameters
    ----------
    data
        Spectrum, GeV.
    function
        The nominal one.
    alternates
        The others.
    masses
        [mass], GeV; by default half a width apart.
    signal
        Its shape; by default a Gaussian of 5 %.
    sqrt_s
        Centre-of-mass energy, GeV.
    window
        Masked in the fits of the truths, GeV.
    threshold
        Goodness of fit of an alternate that is accepted; at most 0.01 where the nominal one does not reach it.
    tolerance
        Largest share of the statistical error that may be left out.
    toys
        Pseudo-experiments for each goodness of fit.
    seed
        Of these.

    Returns
    -------
    SpuriousYields
        Give ``events`` to :func:`~jepa_coffea.bumphunt.scan.scan` or
        :func:`~jepa_coffea.bumphunt.limits.mass_limits` as ``spurious``.

    Raises
    ------
    FitError
        When no alternate describes the data, or the nominal function cannot be fitted.
    """
    studies, rejected, edges = [], [], as_spectrum(data).edges
    how: dict[str, Any] = {"sqrt_s": sqrt_s, "window": window, "toys": toys, "seed": seed}
    threshold = _required(threshold, fit_background(data, function, **how).p_value)
    for name in (name for name in alternates if name != function):
        try:
            truth = fit_background(data, name, **how)
            if truth.p_value < threshold:
                rejected.append(f"{name}: goodness of fit {truth.p_value:.2g}")
                continue
            studies.append(_of_curve(truth, edges, function, masses, signal, sqrt_s, tolerance))
        except FAILED as error:
            rejected.append(f"{name}: {error}")
    if not studies:
        reasons = "; ".join(rejected)
        msg = f"no alternate to {function} describes the data, so that its spurious signal is unknown: {reasons}"
        raise FitError(msg)
    return SpuriousYields(
        function=function,
        masses=studies[0].masses,
        events=np.abs([study.spurious for study in studies]).max(axis=0),
        errors=np.median([study.errors for study in studies], axis=0),
        studies=tuple(studies),
        rejected=tuple(rejected),
        tolerance=tolerance,
    )
