"""Asymptotic limits of models with several bins: many profile-likelihood fits at once."""

from __future__ import annotations

import numpy as np

from jepa_coffea.bumphunt.limits.cls import crossing
from jepa_coffea.bumphunt.limits.problem import Problem
from jepa_coffea.bumphunt.newton import Array
from jepa_coffea.errors import FitError

MOST_LOST = 0.3
"""Largest share of signal strengths whose fit may fail."""

POINTS = 14
"""Signal strengths at which CLs is computed first."""


def profile_limits(problem: Problem, alpha: float) -> tuple[Array, Array]:
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

    Raises
    ------
    FitError
        If a fit does not converge.
    """
    null = problem.without_signal()
    asimov = problem.at_null(null)
    error, best = asimov.error(), problem.best
    steps = np.linspace(0.3, 4.6, POINTS)
    grid = error[:, None] * steps + np.maximum(best, 0.0)[:, None] * np.linspace(0, 1, POINTS)
    curves = problem.log_cls(asimov, grid)
    for _ in range(20):
        low, high = (curves[:, 0] < np.log(alpha)).any(axis=1), (curves[:, -1] > np.log(alpha)).any(axis=1)
        if not low.any() and not high.any():
            break
        # The same two points are added to every hypothesis, so that the arrays keep one shape.
        more = np.stack([grid[:, 0] * np.where(low, 0.4, 0.9), grid[:, -1] * np.where(high, 1.6, 1.02)], axis=1)
        extra = problem.log_cls(asimov, more)
        grid = np.concatenate([more[:, :1], grid, more[:, 1:]], axis=1)
        curves = np.concatenate([extra[:, :1], curves, extra[:, 1:]], axis=1)
    lost = np.isnan(curves[..., 0]).mean(axis=1)
    if (lost > MOST_LOST).any():
        bad = ", ".join(name for name, share in zip(problem.names, lost, strict=True) if share > MOST_LOST)
        msg = f"the fits with a signal did not converge for {bad}; use fewer or wider bins, or fewer parameters"
        raise FitError(msg)
    found = np.array([[crossing(x, y, np.log(alpha)) for y in curve.T] for x, curve in zip(grid, curves, strict=True)])
    return found[:, 0], found[:, 1:]
