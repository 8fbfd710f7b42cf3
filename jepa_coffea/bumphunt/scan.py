"""Local p0 against mass: how well a resonance at each mass explains the spectrum better than background alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jepa_coffea.bumphunt.fit import fit_background
from jepa_coffea.bumphunt.newton import Array
from jepa_coffea.bumphunt.records import Record
from jepa_coffea.bumphunt.searches import ShapeSearch
from jepa_coffea.bumphunt.signals import Gaussian, Signal, default_masses
from jepa_coffea.bumphunt.significance import p_value
from jepa_coffea.bumphunt.spectrum import Interval, SpectrumLike, as_spectrum
from jepa_coffea.errors import FitError, HistogramError


@dataclass(frozen=True, eq=False)
class Scan(Record):
    """Local significance against mass; made by :func:`scan`."""

    function: str
    masses: Array
    """[hypothesis], GeV."""
    z: Array
    """[hypothesis]: root of q0, the spurious signal counted; for a deficit the negative score statistic."""
    p0: Array
    """[hypothesis]: one-sided p-value of background alone, Z > 0 for an excess (asymptotic)."""
    yields: Array
    """[hypothesis]: fitted signal events; for a deficit the one-step estimate, negative."""
    errors: Array
    """[hypothesis]: of the yields, statistical."""
    background_p_value: float
    """Goodness of fit of background alone, from toys."""
    spurious: Array | None = None
    """[hypothesis]: standard deviation of the signal that the function may fake, contained in z; None for none."""

    @property
    def best(self) -> int:
        """Index of the hypothesis with the largest excess.

        Returns
        -------
        int
        """
        return int(np.argmax(self.z))


def shape_search(
    data: SpectrumLike,
    masses: npt.ArrayLike | None = None,
    *,
    signal: Signal | None = None,
    function: str = "dijet3",
    sqrt_s: float = 13000.0,
    fit_range: Interval | None = None,
    spurious: npt.ArrayLike | None = None,
    name: str = "spectrum",
) -> ShapeSearch:
    """The search that :func:`scan` does, as an object that can also be run on toys.

    Parameters
    ----------
    data
        Spectrum, GeV.
    masses
        [hypothesis], GeV; by default half a width apart.
    signal
        Its shape; by default a Gaussian of 5 %.
    function
        Of the background.
    sqrt_s
        Centre-of-mass energy, GeV.
    fit_range
        Mass interval at bin edges, GeV.
    spurious
        [hypothesis]: signal events that the function may fake.
    name
        What was searched.

    Returns
    -------
    ShapeSearch

    Raises
    ------
    HistogramError
        For masses whose signal lies outside the fit range, and for spurious signals that are no numbers of events.
    """
    spectrum = as_spectrum(data)
    if fit_range is not None:
        spectrum = spectrum.within(fit_range)
    shape = signal or Gaussian()
    hypotheses = default_masses(spectrum.edges, shape) if masses is None else np.asarray(masses, dtype=float)
    if hypotheses.ndim != 1 or not len(hypotheses):
        msg = f"the scan needs a row of masses, got shape {hypotheses.shape}"
        raise HistogramError(msg)
    templates = np.array([shape.template(spectrum.edges, mass) for mass in hypotheses])
    outside = np.flatnonzero(templates.sum(axis=1) < 0.5)
    if len(outside):
        msg = (
            f"less than half of the signal lies in the fit range {spectrum.edges[0]:g} to {spectrum.edges[-1]:g} "
            f"at {hypotheses[outside]}; move the masses or widen the range"
        )
        raise HistogramError(msg)
    faked = None if spurious is None else np.asarray(spurious, dtype=float)
    if faked is not None and (faked.shape != hypotheses.shape or not (np.isfinite(faked) & (faked >= 0)).all()):
        msg = f"spurious signals must be one non-negative number for each of {len(hypotheses)} masses, got {faked}"
        raise HistogramError(msg)
    return ShapeSearch(name, spectrum, function, sqrt_s, hypotheses, templates, faked)


def width_searches(
    data: SpectrumLike,
    widths: Sequence[float],
    *,
    signal: Signal | None = None,
    function: str = "dijet3",
    sqrt_s: float = 13000.0,
    fit_range: Interval | None = None,
    name: str = "spectrum",
) -> list[ShapeSearch]:
    """Mass scans for peaks of several widths, so that all of them are trials of one search.

    Parameters
    ----------
    data
        Spectrum, GeV.
    widths
        Standard deviations of the peak over its mass.
    signal
        Its shape, stretched to each width; by default a Gaussian.
    function
        Of the background.
    sqrt_s
        Centre-of-mass energy, GeV.
    fit_range
        Mass interval at bin edges, GeV.
    name
        What was searched; the width is added to it.

    Returns
    -------
    list of ShapeSearch
        One family for :func:`~jepa_coffea.bumphunt.global_significance.global_significance`: all of them are redone on
        the same toys.
    """
    base = signal or Gaussian()
    return [
        shape_search(
            data,
            signal=base.widened(width / base.relative_width),
            function=function,
            sqrt_s=sqrt_s,
            fit_range=fit_range,
            name=f"{name}, width {100 * width:.3g} %",
        )
        for width in widths
    ]


def scan(
    data: SpectrumLike,
    masses: npt.ArrayLike | None = None,
    *,
    signal: Signal | None = None,
    function: str = "dijet3",
    sqrt_s: float = 13000.0,
    fit_range: Interval | None = None,
    spurious: npt.ArrayLike | None = None,
    toys: int = 500,
    seed: int = 0,
) -> Scan:
    """Profile-likelihood scan for a resonance over a fitted background.

    At each mass the signal yield and all background parameters are fitted to the whole range, and
    ``q0 = -2 ln L(0) / L(best)``, ``Z = sqrt(q0)`` (Cowan, Cranmer, Gross, Vitells, Eur. Phys. J. C 71 (2011) 1554).

    Parameters
    ----------
    data
        Spectrum, GeV.
    masses
        [hypothesis], GeV; by default half a width apart.
    signal
        A shape from ``signals``; by default a Gaussian of 5 %.
    function
        Of the background.
    sqrt_s
        Centre-of-mass energy, GeV.
    fit_range
        Mass interval at bin edges, GeV.
    spurious
        [hypothesis]: signal events that the function may fake, counted as an uncertainty of the yield; see
        :func:`~jepa_coffea.bumphunt.envelope.spurious_yields`.
    toys
        Pseudo-experiments for the goodness of fit of background alone.
    seed
        Of these.

    Returns
    -------
    Scan

    Raises
    ------
    HistogramError
        For input that cannot be used.
    FitError
        For fits that do not converge.

    Examples
    --------
    >>> import numpy as np
    >>> edges = np.linspace(1600.0, 4800.0, 33)
    >>> centres = (edges[1:] + edges[:-1]) / 2
    >>> counts = 1e4 * np.exp(-(centres - 1600) / 400) + 600 * Gaussian(0.05).template(edges, 2500.0)
    >>> found = scan((counts, edges), [2300.0, 2500.0, 2700.0], toys=0)
    >>> float(found.masses[found.best]), bool(found.z[found.best] > 3)
    (2500.0, True)
    """
    search = shape_search(
        data, masses, signal=signal, function=function, sqrt_s=sqrt_s, fit_range=fit_range, spurious=spurious
    )
    null = fit_background(search.spectrum, function, sqrt_s=sqrt_s, toys=toys, seed=seed)
    fits = search.fits(search.spectrum.counts[None])
    z = fits.z[0]
    bad = ~(np.isfinite(z) & np.isfinite(fits.errors[0]))
    if bad.any():
        failed = ", ".join(f"{mass:.4g}" for mass in search.masses[bad])
        msg = f"the fit of signal and {null.function} did not converge at masses {failed}; use wider bins"
        raise FitError(msg)
    return Scan(
        function=null.function,
        masses=search.masses,
        z=z,
        p0=p_value(z),
        yields=fits.yields[0],
        errors=fits.errors[0],
        background_p_value=null.p_value,
        spurious=search.spurious,
    )
