"""The background under a bump: a smooth function fitted to the spectrum beside the window, or along with a signal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from iminuit import Minuit
from scipy import stats

from jepa_coffea.bumphunt.background import BackgroundFit
from jepa_coffea.bumphunt.functions import check_masses, get_function
from jepa_coffea.bumphunt.likelihood import BackgroundModel, fit_batch
from jepa_coffea.bumphunt.newton import Array, deviance
from jepa_coffea.bumphunt.reference import reference_model
from jepa_coffea.bumphunt.spectrum import Interval, Spectrum, SpectrumLike, as_spectrum
from jepa_coffea.errors import FitError, HistogramError

FEWEST_ON_A_SIDE = 5.0
"""Expected events on each side of a window with which less than one spectrum in a hundred has none there."""

ADVICE = "Loosen the selection, widen the fit range"
"""How a message that there are too few events ends, or goes on."""


def fit_background(
    data: SpectrumLike,
    function: str = "dijet3",
    *,
    sqrt_s: float = 13000.0,
    window: Interval | None = None,
    fit_range: Interval | None = None,
    signal: npt.ArrayLike | None = None,
    toys: int = 500,
    seed: int = 0,
) -> BackgroundFit:
    """Fit a smooth background to a spectrum by an extended binned likelihood on bin integrals.

    Parameters
    ----------
    data
        Spectrum, GeV.
    function
        A name of :data:`jepa_coffea.bumphunt.functions.FUNCTIONS`.
    sqrt_s
        Centre-of-mass energy, GeV.
    window
        Mass interval at bin edges, GeV. Without ``signal`` its bins are masked: the fit sees the sidebands only.
    fit_range
        Mass interval at bin edges, GeV; by default the whole spectrum.
    signal
        [bin] of the fit range: events for a yield of 1. All bins are then used and the signal's yield is fitted along,
        free in sign.
    toys
        Pseudo-experiments for the goodness of fit; 0 takes the asymptotic one.
    seed
        Of these.

    Returns
    -------
    BackgroundFit

    Raises
    ------
    HistogramError
        For spectra and windows that cannot be used.
    FitError
        For a fit that cannot be trusted.

    Examples
    --------
    A falling spectrum without fluctuations, the window from 2400 to 2800 GeV masked:

    >>> import numpy as np
    >>> edges = np.linspace(1600.0, 4800.0, 17)
    >>> counts = 1e5 * np.exp(-(edges[:-1] - 1600) / 400)
    >>> fit = fit_background((counts, edges), "dijet3", window=(2400.0, 2800.0), toys=0)
    >>> prediction = fit.prediction()
    >>> round(float(prediction.total / counts[4:6].sum()), 2), bool(prediction.sigma < 200)
    (1.0, True)
    """
    spectrum, shape = as_spectrum(data), get_function(function)
    if fit_range is not None:
        spectrum = spectrum.within(fit_range)
    check_masses(spectrum.edges, sqrt_s)
    used = np.ones(len(spectrum.counts), dtype=bool)
    template = None if signal is None else _check_template(np.asarray(signal, dtype=float), spectrum)
    if window is not None:
        inside = spectrum.inside(window)
        if template is None:
            used = ~inside
            check_sidebands(spectrum, inside, window)
    pilot = reference_model(shape, sqrt_s, spectrum.edges, spectrum.counts, used)
    result = _minuit(pilot, spectrum, used, template)
    result = replace(result, window=None if window is None else np.asarray(window, dtype=float))
    return result if toys == 0 else replace(result, p_value=_goodness(result, toys, seed, template), toys=toys)


def check_sidebands(spectrum: Spectrum, inside: npt.NDArray[np.bool_], window: Interval) -> None:
    """Refuse a window without events on one of its sides.

    Parameters
    ----------
    spectrum
        The fit range.
    inside
        [bin]: the window's bins.
    window
        GeV, for the message.

    Raises
    ------
    HistogramError
        If there are none.
    """
    first, last = np.flatnonzero(inside)[[0, -1]]
    for side, bins in (("below", spectrum.counts[:first]), ("above", spectrum.counts[last + 1 :])):
        if bins.sum() == 0:
            msg = (
                f"there are no events {side} the window {window[0]:g} to {window[1]:g} within the fit range "
                f"{spectrum.edges[0]:g} to {spectrum.edges[-1]:g}: the function would be an extrapolation from one "
                f"side. Widen the fit range, move the window or loosen the selection"
            )
            raise HistogramError(msg)


def check_expected_sides(data: SpectrumLike, *, window: Interval, efficiency: float = 1.0) -> None:
    """Say before any work whether a selection leaves enough events on both sides of the window.

    It is what is expected that counts. Where as few events are found decides whether there is a number, there is one
    for some data and none for others, and those that have one are no fair sample of all.

    Parameters
    ----------
    data
        Spectrum before the selection, GeV.
    window
        Mass interval at bin edges, GeV.
    efficiency
        Share of sideband events that the selection keeps.

    Raises
    ------
    HistogramError
        If fewer than 5 events are expected on one side of the window.

    Examples
    --------
    >>> check_expected_sides(([500, 300, 200, 90], [1000, 1200, 1500, 1900, 2400]), window=(1200, 1500))
    """
    below, above = _expected_beside(as_spectrum(data), window, efficiency)
    if min(below, above) < FEWEST_ON_A_SIDE:
        msg = (
            f"{_beside(window, efficiency)} {below:.3g} events are expected below and {above:.3g} above it: fewer than "
            f"{FEWEST_ON_A_SIDE:g} on a side leave too many fits without any. {ADVICE} or move the window"
        )
        raise HistogramError(msg)


def _expected_beside(spectrum: Spectrum, window: Interval, efficiency: float) -> tuple[float, float]:
    """Events below and above the window after the selection."""
    first, last = np.flatnonzero(spectrum.inside(window))[[0, -1]]
    return efficiency * float(spectrum.counts[:first].sum()), efficiency * float(spectrum.counts[last + 1 :].sum())


def _beside(window: Interval, efficiency: float) -> str:
    selection = "" if efficiency == 1 else f"at efficiency {efficiency:g} "
    return f"{selection}beside the window {window[0]:g} to {window[1]:g}"


def check_expected_events(
    data: SpectrumLike, function: str = "dijet3", *, window: Interval, efficiency: float = 1.0
) -> None:
    """Say before any work whether a selection leaves enough events to fit a function beside the window.

    Parameters
    ----------
    data
        Spectrum before the selection, GeV.
    function
        Of the background.
    window
        Mass interval at bin edges, GeV.
    efficiency
        Share of sideband events that the selection keeps.

    Raises
    ------
    HistogramError
        If fewer events are expected in the sidebands than the function needs, or fewer than 5 on one side of the
        window.

    Examples
    --------
    >>> check_expected_events(([500, 300, 200, 90], [1000, 1200, 1500, 1900, 2400]), "dijet2", window=(1200, 1500))
    """
    check_expected_sides(data, window=window, efficiency=efficiency)
    expected, shape = sum(_expected_beside(as_spectrum(data), window, efficiency)), get_function(function)
    if expected < shape.minimum_events:
        msg = (
            f"{_beside(window, efficiency)} {expected:.3g} events are expected, and {function} needs "
            f"{shape.minimum_events:g} to be fitted reliably. {ADVICE} or take a function with fewer parameters"
        )
        raise HistogramError(msg)


def _check_template(template: Array, spectrum: Spectrum) -> Array:
    if template.shape != spectrum.counts.shape:
        msg = f"the signal needs one entry for each of the {len(spectrum.counts)} bins of the fit, got {template.shape}"
        raise HistogramError(msg)
    if not (np.isfinite(template).all() and (template >= 0).all() and template.sum() > 0):
        msg = "the signal shape must be finite, not negative, and positive somewhere in the fit range"
        raise HistogramError(msg)
    return template


def _minuit(
    pilot: BackgroundModel, spectrum: Spectrum, used: npt.NDArray[np.bool_], template: Array | None
) -> BackgroundFit:
    """The final fit by Minuit, from the Newton solution, in uncorrelated coordinates."""
    n, model = spectrum.counts[used], pilot.bins(used)
    n_phi = pilot.design.shape[-1]
    shape = None if template is None else template[used]
    start = np.zeros(n_phi)
    if shape is not None:
        newton = fit_batch(model, n[None], shape)
        start = np.append(newton.phi[0], newton.signal[0])

    def split(values: Array) -> tuple[Array, Array]:
        mu, slope = model.expected_and_slope(values[None, :n_phi])
        if shape is None:
            return mu[0], slope[0]
        return mu[0] + values[n_phi] * shape, np.column_stack([slope[0], shape])

    def cost(values: Array) -> float:
        mu = split(values)[0]
        # Minuit steps back from a large number; an infinity would end it.
        return float(deviance(n, mu)) if (mu > 0).all() else 1e15

    def gradient(values: Array) -> Array:
        mu, slope = split(values)
        return np.asarray(2 * (1 - n / np.where(mu > 0, mu, np.inf)) @ slope)

    minuit = Minuit(cost, start, grad=gradient)
    minuit.errordef = Minuit.LEAST_SQUARES
    minuit.errors[:n_phi] = 0.5
    if shape is not None:
        minuit.errors[n_phi] = max(float(newton.signal_error[0]), 1e-3)
    minuit.migrad()
    minuit.hesse()
    where = f"{pilot.function.name} on {len(n)} bins with {n.sum():g} events"
    if not (minuit.valid and minuit.accurate):
        msg = (
            f"Minuit did not converge in the fit of {where} (valid: {minuit.valid}, accurate errors: "
            f"{minuit.accurate}, edm {minuit.fmin.edm:.2g}). Try fewer parameters, a wider fit range or wider bins"
        )
        raise FitError(msg)
    values, covariance = np.asarray(minuit.values), np.asarray(minuit.covariance)
    phi = values[:n_phi]
    theta = pilot.theta + pilot.transform @ phi
    final = BackgroundModel.build(pilot.function, pilot.sqrt_s, pilot.edges, theta, pilot.transform)
    ndof = len(n) - len(values)
    return BackgroundFit(
        function=pilot.function.name,
        formula=pilot.function.formula,
        sqrt_s=pilot.sqrt_s,
        edges=spectrum.edges,
        counts=spectrum.counts,
        used=used,
        window=None,
        parameters=theta,
        transform=pilot.transform,
        covariance=covariance[:n_phi, :n_phi],
        expected=final.expected(np.zeros(n_phi)),
        signal_yield=None if shape is None else float(values[n_phi]),
        signal_error=None if shape is None else float(np.sqrt(covariance[n_phi, n_phi])),
        deviance=float(minuit.fval),
        ndof=ndof,
        p_chi2=float(stats.chi2.sf(minuit.fval, ndof)) if ndof > 0 else 1.0,
        p_value=float(stats.chi2.sf(minuit.fval, ndof)) if ndof > 0 else 1.0,
        toys=0,
    )


def _goodness(fit: BackgroundFit, toys: int, seed: int, template: Array | None) -> float:
    """Share of refitted pseudo-experiments with at least the deviance of the data, the data counted as one of them."""
    rng = np.random.default_rng(seed)
    shape = None if template is None else template[fit.used]
    mean = fit.expected[fit.used]
    if shape is not None and fit.signal_yield is not None:
        mean = np.maximum(mean + fit.signal_yield * shape, 0)
    pseudo = rng.poisson(mean, (toys, len(mean))).astype(float)
    refit = fit_batch(fit.model.bins(fit.used), pseudo, shape)
    lost = int((~refit.converged).sum())
    if lost > 0.02 * toys:
        msg = f"{lost} of {toys} pseudo-experiments of the fitted {fit.function} did not refit; use fewer parameters"
        raise FitError(msg)
    # A toy whose fit failed has an unknown deviance: it counts as a worse one, which can only raise the p-value.
    return float((1 + lost + (refit.deviance[refit.converged] >= fit.deviance).sum()) / (1 + toys))
