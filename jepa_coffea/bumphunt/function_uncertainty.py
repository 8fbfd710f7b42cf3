"""The uncertainty that comes with the choice of a background function, in events, so that it can be counted.

Every alternate that describes the data is tried as the truth. What the nominal function then gets wrong, in the window
or as a signal against mass, is an uncertainty of the background, to be added in quadrature to that of the fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jepa_coffea.bumphunt.envelope import ACCEPTED, Envelope, SpuriousSignal, function_envelope, spurious_signal
from jepa_coffea.bumphunt.fit import fit_background
from jepa_coffea.bumphunt.functions import ALTERNATES
from jepa_coffea.bumphunt.newton import Array
from jepa_coffea.bumphunt.records import Record
from jepa_coffea.bumphunt.signals import Signal
from jepa_coffea.bumphunt.spectrum import Interval, Spectrum, SpectrumLike, as_spectrum
from jepa_coffea.errors import FitError


@dataclass(frozen=True, eq=False)
class FunctionUncertainty(Record):
    """How far the nominal function may be off in a window; made by :func:`function_uncertainty`."""

    function: str
    envelope: Envelope
    """What each function predicts from the data's sidebands."""
    truths: tuple[str, ...]
    """Accepted alternates, each taken as the truth."""
    biases: Array
    """[truth]: events by which the nominal function, fitted beside the window, misses the truth's curve inside it."""
    error: float
    """Events: the largest of the biases and of the differences between the functions' predictions."""
    total: float
    """Events that the nominal function predicts in the window."""
    failed: tuple[str, ...]
    """Truths that the nominal function could not be fitted to, with the reason."""

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
        Goodness of fit of a function that is accepted.
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
    others = [name for name in alternates if name != function]
    how = {"window": window, "sqrt_s": sqrt_s}
    envelope = function_envelope(data, function, others, threshold=threshold, toys=toys, seed=seed, **how)  # type: ignore[arg-type]
    edges = as_spectrum(data).edges
    truths, biases, failed = [], [], []
    for name, accepted in zip(envelope.functions[1:], envelope.accepted[1:], strict=True):
        if not accepted:
            continue
        truth = fit_background(data, name, window=window, sqrt_s=sqrt_s, toys=0)
        try:
            nominal = fit_background(Spectrum(truth.expected, edges), function, window=window, sqrt_s=sqrt_s, toys=0)
        except FitError as error:
            failed.append(f"{name}: {error}")
            continue
        truths.append(name)
        biases.append(nominal.prediction().total - truth.prediction().total)
    largest = float(np.abs(biases).max(initial=0.0))
    return FunctionUncertainty(
        function=function,
        envelope=envelope,
        truths=tuple(truths),
        biases=np.array(biases),
        error=max(largest, envelope.systematic),
        total=float(envelope.totals[0]),
        failed=tuple(failed),
    )


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
        Goodness of fit of an alternate that is accepted.
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
    studies, rejected = [], []
    for name in (name for name in alternates if name != function):
        try:
            truth = fit_background(data, name, sqrt_s=sqrt_s, window=window, toys=toys, seed=seed)
            if truth.p_value < threshold:
                rejected.append(f"{name}: goodness of fit {truth.p_value:.2g}")
                continue
            studies.append(
                spurious_signal(
                    data,
                    function,
                    name,
                    masses=masses,
                    signal=signal,
                    sqrt_s=sqrt_s,
                    window=window,
                    tolerance=tolerance,
                )
            )
        except FitError as error:
            rejected.append(f"{name}: {error}")
    if not studies:
        msg = f"no alternate to {function} describes the data, so that its spurious signal is unknown: {rejected}"
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
