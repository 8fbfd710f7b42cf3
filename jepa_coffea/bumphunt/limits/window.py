"""Upper limits of a window model: counted events, or the bins of a window with correlated uncertainties."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jepa_coffea.bumphunt.limits.cls import check_level
from jepa_coffea.bumphunt.limits.counting_limit import FEW, counting_limit
from jepa_coffea.bumphunt.limits.limit import Limit, make_limit
from jepa_coffea.bumphunt.limits.problem import make_problem
from jepa_coffea.bumphunt.limits.profile import profile_limits
from jepa_coffea.bumphunt.limits.signal_model import BackgroundPart, SignalPart, shape_nuisances
from jepa_coffea.bumphunt.limits.toy_limits import toy_limits
from jepa_coffea.bumphunt.newton import Array, Rows
from jepa_coffea.bumphunt.significance import Constraint
from jepa_coffea.bumphunt.window_model import WindowModel
from jepa_coffea.errors import FitError

SOFT = 0.05
"""Below this share of its nominal content a bin's background falls exponentially, not linearly, and never to 0."""


def cls_limit(
    model: WindowModel,
    *,
    level: float = 0.95,
    constraint: Constraint = "poisson",
    luminosity: float | None = None,
    efficiency: float = 1.0,
    toys: int = 0,
    seed: int = 0,
) -> Limit:
    """CLs upper limit on the strength of a window model's signal.

    One bin without uncertainties of the signal has closed forms, and exact sums where few events are expected: see
    :func:`~jepa_coffea.bumphunt.limits.counting_limit`. Otherwise all nuisances are fitted, and the limit is
    asymptotic (Cowan et al., Eur. Phys. J. C 71 (2011) 1554) unless toys are asked for.

    Parameters
    ----------
    model
        The window.
    level
        Confidence level.
    constraint
        Of a single bin's background, ``"poisson"`` or ``"gaussian"``; several bins have normal constraints.
    luminosity
        In 1/fb, for a limit in fb.
    efficiency
        Of the whole selection for signal, the model's bins included: ``cross_section = events / (luminosity *
        efficiency)``.
    toys
        Pseudo-experiments with and without a signal, at each of nine strengths, for several bins or an uncertain signal
        where fewer than ten background events are expected: the asymptotic limit is up to a third too tight there.
    seed
        Of these.

    Returns
    -------
    Limit

    Raises
    ------
    HistogramError
        For a level, a luminosity or an efficiency that is none.
    FitError
        If a fit does not converge.
    """
    check_level(level)
    events = float(model.signal.sum())
    if len(model.background) == 1 and not model.signal_rates and not model.signal_shifts:
        n, b, sigma = (float(values[0]) for values in (model.observed, model.background, model.sigma))
        limit = counting_limit(n, b, sigma, level=level, constraint=constraint)
        band, method = limit.expected_events / events, limit.method
        return make_limit(level, limit.events / events, band, events, luminosity, efficiency, method)
    make_limit(level, 1.0, np.ones(5), events, luminosity, efficiency, "asymptotic")  # bad arguments before the work
    background = BackgroundPart(_Shifted(model.background, model.shifts), np.ones(len(model.shifts)))
    shifts = np.array(list(model.signal_shifts.values())).reshape(1, -1, len(model.signal))
    shapes = shape_nuisances(*(np.maximum(model.signal + sign * shifts, 0.0) for sign in (1, -1)))
    signal = SignalPart(model.signal[None], np.array(list(model.signal_rates.values())), shapes)
    problem = make_problem(background, signal, model.observed, [model.name])
    strengths, bands, problems = profile_limits(problem, 1 - level)
    if problems[0]:
        raise FitError(problems[0])
    strength, band, method = float(strengths[0]), bands[0], "asymptotic"
    if toys and model.background.sum() < FEW:
        strength, band = toy_limits(problem, 0, strength, band, 1 - level, toys, seed)
        method = f"{toys} toys per strength"
    return make_limit(level, strength, band, events, luminosity, efficiency, method)


@dataclass(frozen=True, eq=False)
class _Shifted:
    """Nominal background plus shifts; parameters: one per shift."""

    background: Array
    """[bin]."""
    shifts: Array
    """[nuisance, bin]."""

    def mean(self, values: Array, rows: Rows) -> Array:
        return self.mean_and_slope(values, rows)[0]

    def mean_and_slope(self, values: Array, rows: Rows) -> tuple[Array, Array]:  # noqa: ARG002
        linear = self.background + values @ self.shifts
        floor = SOFT * self.background
        below = linear < floor
        soft = floor * np.exp(np.minimum((linear - floor) / floor, 0.0))
        derivative = np.where(below, soft / floor, 1.0)
        return np.where(below, soft, linear), derivative[..., None] * self.shifts.T
