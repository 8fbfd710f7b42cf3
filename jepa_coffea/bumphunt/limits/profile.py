"""Asymptotic limits of models with several bins: many profile-likelihood fits at once."""

from __future__ import annotations

import numpy as np

from jepa_coffea.bumphunt.limits.cls import crossing
from jepa_coffea.bumphunt.limits.problem import Problem
from jepa_coffea.bumphunt.newton import Array
from jepa_coffea.errors import FitError

MOST_LOST = 0.3
"""Largest share of signal strengths whose fit may fail, of those between strengths with a fit."""

ADVICE = "use fewer or wider bins, or fewer parameters"
"""What helps a fit."""

POINTS = 14
"""Signal strengths at which CLs is computed first."""


def profile_limits(problem: Problem, alpha: float) -> tuple[Array, Array, list[str]]:
    """CLs limits (asymptotic, q-tilde) on the strengths of many signals.

    Source: Cowan, Cranmer, Gross, Vitells, Eur. Phys. J. C 71 (2011) 1554. The Asimov data of the expected limits have
    no signal and the nuisances that fit the data best without one.

    Parameters
    ----------
    problem
        Hypotheses and data.
    alpha
        1 - confidence level.

    Returns
    -------
    observed
        [hypothesis]: excluded strengths.
    expected
        [hypothesis, 5].
    problems
        [hypothesis]: why there is no limit, both of which are NaN then; empty where there is one.

    Raises
    ------
    FitError
        If a fit without a signal does not converge.
    """
    null = problem.without_signal()
    asimov = problem.at_null(null)
    error, best = asimov.error(), problem.best
    steps = np.linspace(0.3, 4.6, POINTS)
    grid = error[:, None] * steps + np.maximum(best, 0.0)[:, None] * np.linspace(0, 1, POINTS)
    target, every = np.log(alpha), np.arange(len(grid))
    curves = problem.log_cls(asimov, grid)
    for _ in range(20):
        known = np.isfinite(curves[..., 0])
        first, last = known.argmax(axis=1), known.shape[1] - 1 - known[:, ::-1].argmax(axis=1)
        low, high = (curves[every, first] < target).any(axis=1), (curves[every, last] > target).any(axis=1)
        if not low.any() and not high.any():
            break
        # The same two points are added to every hypothesis, so that the arrays keep one shape.
        below = _beyond(grid[every, first], grid[every, np.maximum(first - 1, 0)], np.where(low, 0.4, 0.9))
        above = _beyond(
            grid[every, last], grid[every, np.minimum(last + 1, known.shape[1] - 1)], np.where(high, 1.6, 1.02)
        )
        more = np.stack([below, above], axis=1)
        grid, curves = np.append(grid, more, axis=1), np.append(curves, problem.log_cls(asimov, more), axis=1)
        order = grid.argsort(axis=1)
        grid, curves = np.take_along_axis(grid, order, 1), np.take_along_axis(curves, order[..., None], 1)
    limits, problems = np.full((len(grid), curves.shape[-1]), np.nan), [""] * len(grid)
    for index, (x, curve) in enumerate(zip(grid, curves, strict=True)):
        known = np.flatnonzero(np.isfinite(curve[:, 0]))
        try:
            limits[index] = [crossing(x, one, target) for one in curve.T]
        except FitError as failure:
            problems[index] = str(failure)
        if len(known) < (1 - MOST_LOST) * (np.ptp(known) + 1 if len(known) else len(x)):
            limits[index] = np.nan
            problems[index] = f"no limit: the fits with a signal did not converge for {problem.names[index]}; {ADVICE}"
    return limits[:, 0], limits[:, 1:], problems


def _beyond(known: Array, failed: Array, factor: Array) -> Array:
    """Strengths further out than the last ones with a fit; half of the way, where a fit further out has failed."""
    return np.where(known == failed, known * factor, np.sqrt(known * failed))
