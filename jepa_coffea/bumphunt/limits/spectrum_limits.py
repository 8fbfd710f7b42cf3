"""Upper limits of a resonance over a falling function, against its mass or its width: the usual band."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jepa_coffea.bumphunt.fit import fit_background
from jepa_coffea.bumphunt.likelihood import BackgroundModel
from jepa_coffea.bumphunt.limits.cls import check_level
from jepa_coffea.bumphunt.limits.counting_limit import FEW
from jepa_coffea.bumphunt.limits.limit import Limit, LimitCurve, limit_curve, make_limit
from jepa_coffea.bumphunt.limits.problem import make_problem
from jepa_coffea.bumphunt.limits.profile import profile_limits
from jepa_coffea.bumphunt.limits.signal_model import BackgroundPart, SignalPart, shape_nuisances
from jepa_coffea.bumphunt.limits.toy_limits import toy_limits
from jepa_coffea.bumphunt.newton import Array, Rows
from jepa_coffea.bumphunt.scan import shape_search
from jepa_coffea.bumphunt.signals import Gaussian, Signal, SignalSystematics
from jepa_coffea.bumphunt.spectrum import Interval, Spectrum, SpectrumLike
from jepa_coffea.errors import FitError, HistogramError


def mass_limits(
    data: SpectrumLike,
    masses: npt.ArrayLike | None = None,
    *,
    signal: Signal | None = None,
    function: str = "dijet3",
    sqrt_s: float = 13000.0,
    fit_range: Interval | None = None,
    spurious: npt.ArrayLike | None = None,
    systematics: SignalSystematics | None = None,
    level: float = 0.95,
    luminosity: float | None = None,
    efficiency: npt.ArrayLike = 1.0,
    toys: int = 0,
    seed: int = 0,
) -> LimitCurve:
    """CLs upper limits against mass, all background parameters fitted to the whole spectrum.

    Asymptotic, q-tilde (Cowan, Cranmer, Gross, Vitells, Eur. Phys. J. C 71 (2011) 1554). Where fewer than 10
    events are expected under the peak that is up to a third too tight: ask for toys there.

    Parameters
    ----------
    data
        Spectrum, GeV.
    masses
        [mass], GeV; by default half a width apart.
    signal
        Its shape; by default a Gaussian of 5 %.
    function
        Background function.
    sqrt_s
        Centre-of-mass energy, GeV.
    fit_range
        Of the fit, GeV; by default the whole spectrum.
    spurious
        [mass]: signal events that the function may fake, the standard deviation of a nuisance; see
        :func:`~jepa_coffea.bumphunt.envelope.spurious_yields`.
    systematics
        Uncertainties of the signal, each a nuisance.
    level
        Confidence level.
    luminosity
        In 1/fb, for limits in fb.
    efficiency
        Acceptance and selection efficiency of the signal, one number or [mass].
    toys
        Pseudo-experiments with and without a signal, at each of nine strengths, for the masses with fewer than 10
        expected events under the peak. A thousand take some seconds for a mass.
    seed
        Of these.

    Returns
    -------
    LimitCurve
        NaN at a mass without a limit, whose method says why.

    Raises
    ------
    HistogramError
        For input that cannot be used.
    FitError
        If no mass has a limit.
    """
    search = shape_search(data, masses, signal=signal, function=function, sqrt_s=sqrt_s, fit_range=fit_range)
    shapes = [signal or Gaussian()] * len(search.masses)
    setting = _Setting(function, sqrt_s, spurious, systematics, level, luminosity, efficiency, toys, seed)
    limits = _limits(search.spectrum, search.masses, shapes, setting)
    return limit_curve(search.masses, limits)


def width_limits(
    data: SpectrumLike,
    mass: float,
    widths: Sequence[float],
    *,
    signal: Signal | None = None,
    function: str = "dijet3",
    sqrt_s: float = 13000.0,
    fit_range: Interval | None = None,
    spurious: npt.ArrayLike | None = None,
    systematics: SignalSystematics | None = None,
    level: float = 0.95,
    luminosity: float | None = None,
    efficiency: npt.ArrayLike = 1.0,
    toys: int = 0,
    seed: int = 0,
) -> LimitCurve:
    """CLs upper limits at one mass against the width of the peak; see :func:`mass_limits`.

    Parameters
    ----------
    data
        Spectrum, GeV.
    mass
        GeV.
    widths
        [width]: standard deviations of the observed peak over its mass.
    signal
        Its shape, stretched to each width; by default a Gaussian.
    function
        Background function.
    sqrt_s
        Centre-of-mass energy, GeV.
    fit_range
        Of the fit, GeV.
    spurious
        [width]: see :func:`mass_limits`.
    systematics
        Uncertainties of the signal.
    level
        Confidence level.
    luminosity
        In 1/fb, for limits in fb.
    efficiency
        Of the signal, one number or [width].
    toys
        See :func:`mass_limits`.
    seed
        Of these.

    Returns
    -------
    LimitCurve
        Its points are the widths; NaN at one without a limit, whose method says why.

    Raises
    ------
    HistogramError
        For input that cannot be used.
    FitError
        If no width has a limit.
    """
    base = signal or Gaussian()
    shapes = [base.widened(width / base.relative_width) for width in widths]
    spectrum = shape_search(data, [mass], signal=base, function=function, sqrt_s=sqrt_s, fit_range=fit_range).spectrum
    masses = np.full(len(shapes), float(mass))
    setting = _Setting(function, sqrt_s, spurious, systematics, level, luminosity, efficiency, toys, seed)
    limits = _limits(spectrum, masses, shapes, setting)
    return limit_curve(widths, limits, "width")


@dataclass(frozen=True, eq=False)
class _Setting:
    """The arguments that limits against mass and against width share."""

    function: str
    sqrt_s: float
    spurious: npt.ArrayLike | None
    systematics: SignalSystematics | None
    level: float
    luminosity: float | None
    efficiency: npt.ArrayLike
    toys: int
    seed: int


def _limits(spectrum: Spectrum, masses: Array, shapes: Sequence[Signal], setting: _Setting) -> list[Limit]:
    level, luminosity = setting.level, setting.luminosity
    check_level(level)
    share = np.broadcast_to(np.asarray(setting.efficiency, dtype=float), masses.shape)
    faked = np.zeros(len(masses)) if setting.spurious is None else np.asarray(setting.spurious, dtype=float)
    if faked.shape != masses.shape or not (np.isfinite(faked) & (faked >= 0)).all():
        msg = f"spurious signals must be one non-negative number for each of {len(masses)} points, got {faked}"
        raise HistogramError(msg)
    for value in share:
        make_limit(level, 1.0, np.ones(5), 1.0, luminosity, float(value), "asymptotic")  # bad arguments before the work
    templates = np.array([shape.template(spectrum.edges, mass) for shape, mass in zip(shapes, masses, strict=True)])
    uncertain = setting.systematics or SignalSystematics()
    varied = [uncertain.shapes(shape, spectrum.edges, mass) for shape, mass in zip(shapes, masses, strict=True)]
    names = list(varied[0])
    table = np.array([[one[name] for name in names] for one in varied]).reshape(
        len(masses), len(names), 2, templates.shape[1]
    )
    varying = shape_nuisances(table[:, :, 0], table[:, :, 1])
    signal = SignalPart(templates, np.array(list(uncertain.rates().values())), varying)
    model = fit_background(spectrum, setting.function, sqrt_s=setting.sqrt_s, toys=0).model
    parameters = model.design.shape[-1]
    background = BackgroundPart(_Spurious(model, faked[:, None] * templates), np.append(np.zeros(parameters), 1.0))
    labels = [f"m = {mass:.4g}, width {shape.relative_width:.3g}" for mass, shape in zip(masses, shapes, strict=True)]
    problem = make_problem(background, signal, spectrum.counts, labels)
    strengths, bands, problems = profile_limits(problem, 1 - level)
    if all(problems):
        raise FitError(problems[0])
    under = ((templates > 0.1 * templates.max(axis=1, keepdims=True)) * model.expected(np.zeros(parameters))).sum(
        axis=1
    )
    limits = []
    for index, (strength, band, value) in enumerate(zip(strengths, bands, share, strict=True)):
        failure = problems[index]
        limit, expected, method = float(strength), band, failure or "asymptotic"
        if setting.toys and not failure and under[index] < FEW:
            try:
                limit, expected = toy_limits(problem, index, limit, band, 1 - level, setting.toys, setting.seed)
                method = f"{setting.toys} toys per strength"
            except FitError as error:  # one point must not take the curve along
                method = f"asymptotic, no toys: {error}"
        limits.append(make_limit(level, limit, expected, 1.0, luminosity, float(value), method))
    return limits


@dataclass(frozen=True, eq=False)
class _Spurious:
    """A function and a spurious signal; parameters: phi and the spurious signal in its standard deviations.

    A negative one, which may be larger than what the function expects, empties a bin and takes no more from it: it
    multiplies the expected events by exp(theta faked / expected), with the same value and slope at theta = 0.
    """

    model: BackgroundModel
    faked: Array
    """[hypothesis, bin]: events at +1."""

    def mean(self, values: Array, rows: Rows) -> Array:
        return self._with(self.model.expected(values[:, :-1]), values[:, -1:], self.faked[rows])[0]

    def mean_and_slope(self, values: Array, rows: Rows) -> tuple[Array, Array]:
        mu, slope = self.model.expected_and_slope(values[:, :-1])
        faked = self.faked[rows]
        mean, by_function, by_theta = self._with(mu, values[:, -1:], faked)
        return mean, np.concatenate([by_function[..., None] * slope, (by_theta * faked)[..., None]], axis=-1)

    @staticmethod
    def _with(mu: Array, theta: Array, faked: Array) -> tuple[Array, Array, Array]:
        """[row, bin] each: expected events, and their derivatives by ``mu`` and by ``theta * faked``."""
        with np.errstate(divide="ignore", invalid="ignore"):
            exponent = np.where(theta < 0, np.nan_to_num(theta * faked / mu), 0.0)
        factor = np.exp(exponent)
        return np.where(theta < 0, mu * factor, mu + theta * faked), (1 - exponent) * factor, factor
