"""How much depends on the function: the envelope of all that fit, and the spurious signal that a wrong one fakes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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


@dataclass(frozen=True, eq=False)
class Envelope(Record):
    """What different functions predict for the window; made by :func:`function_envelope`."""

    functions: tuple[str, ...]
    """Those that could be fitted; the first is the nominal one."""
    p_values: Array
    """[function]: goodness of fit."""
    accepted: npt.NDArray[np.bool_]
    """[function]: whether the goodness of fit reaches the threshold."""
    totals: Array
    """[function]: events predicted in the window."""
    sigmas: Array
    """[function]: fit uncertainty of each."""
    systematic: float
    """Largest difference of an accepted function from the nominal one, events."""
    failed: tuple[str, ...]
    """Functions that could not be fitted, with the reason."""

    @property
    def sigma(self) -> float:
        """Fit uncertainty of the nominal function and the systematic, in quadrature.

        Returns
        -------
        float
        """
        return float(np.hypot(self.sigmas[0], self.systematic))


def function_envelope(
    data: SpectrumLike,
    function: str = "dijet3",
    alternates: Sequence[str] = ALTERNATES,
    *,
    window: Interval,
    sqrt_s: float = 13000.0,
    threshold: float = ACCEPTED,
    toys: int = 500,
    seed: int = 0,
) -> Envelope:
    """Fit several functions with the window masked and compare what they predict in it.

    Parameters
    ----------
    data
        Spectrum, GeV.
    function
        The nominal one.
    alternates
        The others.
    window
        Masked mass interval, GeV.
    sqrt_s
        Centre-of-mass energy, GeV.
    threshold
        Goodness of fit of a function that is accepted.
    toys
        Pseudo-experiments for each goodness of fit.
    seed
        Of these.

    Returns
    -------
    Envelope
        Alternates that cannot be fitted are listed in ``failed``.

    Raises
    ------
    FitError
        When the nominal function cannot be fitted.
    """
    fits = [fit_background(data, function, sqrt_s=sqrt_s, window=window, toys=toys, seed=seed)]
    failed: list[str] = []
    for name in alternates:
        try:
            fits.append(fit_background(data, name, sqrt_s=sqrt_s, window=window, toys=toys, seed=seed))
        except FitError as error:
            failed.append(f"{name}: {error}")
    predictions = [fit.prediction() for fit in fits]
    totals = np.array([prediction.total for prediction in predictions])
    p_values = np.array([fit.p_value for fit in fits])
    accepted = p_values >= threshold
    return Envelope(
        functions=tuple(fit.function for fit in fits),
        p_values=p_values,
        accepted=accepted,
        totals=totals,
        sigmas=np.array([prediction.sigma for prediction in predictions]),
        systematic=float(np.abs(totals - totals[0])[accepted].max(initial=0.0)),
        failed=tuple(failed),
    )


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
    spectrum = Spectrum(curve.expected, as_spectrum(data).edges)
    result = scan(spectrum, masses, signal=signal, function=function, sqrt_s=sqrt_s, toys=0)
    return SpuriousSignal(truth, function, result.masses, result.yields, result.errors, tolerance)
