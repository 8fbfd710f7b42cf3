"""Maximum likelihood for many binned spectra at once, by Newton steps with Fisher information.

A model says what it expects in every bin and how that changes with its parameters; everything else is array
operations, so that a thousand pseudo-experiments are fitted in a fraction of a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

TOLERANCE = 1e-8
"""A fit has converged when a Newton step promises to lower the deviance by less than this."""

STEPS = 100
SUFFICIENT = 0.2
"""Share of the promised fall of the deviance that makes a step good enough. Where a bin has more events than expected
its true curvature is larger than the Fisher information says, and steps that are taken for any fall would jump across
the minimum again and again (Nocedal and Wright, Numerical Optimization, 2nd ed., section 3.1)."""

LARGEST_STEP = 8.0
"""Longest step in units of standard deviations: the quadratic picture is not trusted further away."""


class Expectation(Protocol):
    """A model of many spectra; ``rows`` says which of them the parameters are for."""

    def mean(self, values: Array, rows: Rows) -> Array:
        """Expected events.

        Parameters
        ----------
        values
            [row, parameter].
        rows
            [row]: which spectra the parameters are for.

        Returns
        -------
        Array
            [row, bin]; a step that makes one of them not positive is rejected.
        """

    def mean_and_slope(self, values: Array, rows: Rows) -> tuple[Array, Array]:
        """Expected events and their derivatives.

        Parameters
        ----------
        values
            [row, parameter].
        rows
            [row]: which spectra the parameters are for.

        Returns
        -------
        mean
            [row, bin].
        slope
            [row, bin, parameter].
        """


@dataclass(frozen=True, eq=False)
class Minimum:
    """Minima of the deviance, one per row."""

    values: Array
    """[row, parameter]."""
    deviance: Array
    """[row]: with the constraints' terms."""
    information: Array
    """[row, parameter, parameter]: Fisher information, with that of the constraints."""
    converged: npt.NDArray[np.bool_]
    """[row]."""


def deviance(counts: Array, expected: Array) -> Array:
    """Twice the logarithm of the likelihood ratio of a saturated model to the given one, for Poisson counts.

    Parameters
    ----------
    counts
        [..., bin] observed events.
    expected
        [..., bin] expected events.

    Returns
    -------
    Array
        [...]: ``2 sum_bins [mu - n + n ln(n / mu)]`` (Baker, Cousins, NIM 221 (1984) 437); inf where an expectation is
        negative, or 0 with events. Exact also where ``n`` and ``mu`` are large and nearly equal.
    """
    n, mu = np.broadcast_arrays(counts, expected)
    seen = n > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(seen, (mu - n) / np.where(seen, n, 1.0), 0.0)
        terms = np.where(seen, n * (relative - np.log1p(relative)), mu)
    return np.asarray(2 * np.where(mu >= 0, terms, np.inf).sum(axis=-1))


def minimise(
    model: Expectation,
    counts: Array,
    start: Array,
    *,
    prior: Array | None = None,
    centre: Array | None = None,
    free: int = 0,
    steps: int = STEPS,
) -> Minimum:
    """Fit many spectra.

    Parameters
    ----------
    model
        What is expected.
    counts
        [row, bin] observed events.
    start
        [row, parameter] where to begin.
    prior
        [parameter]: inverse variance of a Gaussian constraint on each parameter; 0 is no constraint.
    centre
        [row, parameter]: what the constraints pull towards; by default 0.
    free
        Parameters, from the first on, whose steps together are kept below ``LARGEST_STEP``; 0 for all of them.
    steps
        At most so many.

    Returns
    -------
    Minimum
        Rows whose fit failed are not ``converged``.
    """
    values = start.copy()
    rows, size = values.shape
    weight = np.zeros(size) if prior is None else prior
    middle = np.zeros_like(start) if centre is None else centre
    capped = free or size
    value = np.full(rows, np.inf)
    information = np.full((rows, size, size), np.nan)
    converged = np.zeros(rows, dtype=bool)
    active = np.arange(rows)
    for _ in range(steps):
        n, x = counts[active], values[active]
        pull = x - middle[active]
        mu, slope = model.mean_and_slope(x, active)
        value[active] = deviance(n, mu) + (weight * pull**2).sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            gradient = np.einsum("rb,rbp->rp", 1 - n / mu, slope) + weight * pull
            fisher = np.matmul(slope.transpose(0, 2, 1), slope / mu[..., None]) + np.diag(weight)
        usable = np.isfinite(fisher).all(axis=(1, 2)) & np.isfinite(gradient).all(axis=1) & np.isfinite(value[active])
        step = np.zeros_like(gradient)
        step[usable] = solve(fisher[usable], -gradient[usable])
        usable &= np.isfinite(step).all(axis=1)
        information[active] = fisher
        gain = -np.einsum("rp,rp->r", gradient, step)
        done = usable & (gain < TOLERANCE)
        converged[active[done]] = True
        moving = usable & ~done
        active, step = active[moving], step[moving]
        if not len(active):
            break
        length = np.linalg.norm(step[:, :capped], axis=1)
        shortened = np.minimum(1, LARGEST_STEP / np.maximum(length, 1e-300))
        step, enough = step * shortened[:, None], SUFFICIENT * gain[moving] * shortened
        stuck = _advance(model, counts, weight, middle, active, step, enough, values, value)
        # Rounding hides the last crumbs of an improvement: a tiny promised gain that cannot be cashed is convergence.
        converged[active[stuck & (gain[moving] < 1e-5)]] = True
        active = active[~stuck]
    return Minimum(values, value, information, converged)


def solve(matrix: Array, vector: Array) -> Array:
    """Solve linear equations row by row.

    Parameters
    ----------
    matrix
        [row, parameter, parameter], symmetric.
    vector
        [row, parameter].

    Returns
    -------
    Array
        [row, parameter]; NaN where a matrix is singular.
    """
    if not len(matrix):
        return vector
    # Scaled to a unit diagonal: a yield's information has another unit than that of the other parameters.
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = 1 / np.sqrt(np.diagonal(matrix, axis1=1, axis2=2))
        scaled = matrix * scale[:, :, None] * scale[:, None, :]
    try:
        return np.asarray(np.linalg.solve(scaled, (vector * scale)[..., None])[..., 0] * scale)
    except np.linalg.LinAlgError:
        if len(matrix) == 1:
            return np.full_like(vector, np.nan)
        return np.concatenate([solve(matrix[i : i + 1], vector[i : i + 1]) for i in range(len(matrix))])


def last_error(information: Array) -> Array:
    """Standard deviation of the last parameter, all others being fitted.

    Parameters
    ----------
    information
        [row, parameter, parameter].

    Returns
    -------
    Array
        [row]: root of the last element of the inverse, by the Schur complement.
    """
    block, mixed, last = information[:, :-1, :-1], information[:, :-1, -1], information[:, -1, -1]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(1 / np.sqrt(last - np.einsum("rp,rp->r", mixed, solve(block, mixed))))


def _advance(
    model: Expectation,
    counts: Array,
    weight: Array,
    middle: Array,
    active: Rows,
    step: Array,
    enough: Array,
    values: Array,
    value: Array,
) -> npt.NDArray[np.bool_]:
    """Move each active row along its step, halved until the deviance falls by enough; True where it never does."""
    waiting = np.arange(len(active))
    for _ in range(40):
        rows = active[waiting]
        trial = values[rows] + step[waiting]
        mu = model.mean(trial, rows)
        fallen = deviance(counts[rows], np.where(mu > 0, mu, -1.0)) + (weight * (trial - middle[rows]) ** 2).sum(axis=1)
        better = fallen < value[rows] - enough[waiting]
        values[rows[better]] = trial[better]
        waiting = waiting[~better]
        if not len(waiting):
            break
        step[waiting] /= 2
        enough[waiting] /= 2
    stuck = np.zeros(len(active), dtype=bool)
    stuck[waiting] = True
    return stuck
