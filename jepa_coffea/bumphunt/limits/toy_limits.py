"""CLs by pseudo-experiments, where so few events are expected that the asymptotic formulas are too tight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from jepa_coffea.bumphunt.limits.cls import BAND, crossing
from jepa_coffea.bumphunt.limits.problem import Problem
from jepa_coffea.bumphunt.limits.signal_model import BackgroundPart, ShapeNuisances, SignalPart, WithSignal
from jepa_coffea.bumphunt.newton import Array, Expectation, Rows
from jepa_coffea.errors import FitError

FEWEST = 3
"""Fewest toys of either kind beyond the data that make a CLs."""

STRENGTHS = 9
"""Signal strengths at which CLs is computed."""


def toy_limits(
    problem: Problem, hypothesis: int, observed: float, band: Array, alpha: float, toys: int, seed: int
) -> tuple[float, Array]:
    """CLs limits of one hypothesis by toys, every fit redone and every constraint measured anew.

    The statistic is q-tilde (Cowan, Cranmer, Gross, Vitells, Eur. Phys. J. C 71 (2011) 1554, section 2). Toys are drawn
    at the nuisances that fit the data best for each strength, and without a signal (ATL-PHYS-PUB-2011-11).

    Parameters
    ----------
    problem
        Of the data.
    hypothesis
        Its number.
    observed
        Asymptotic limit, which the strengths are placed around.
    band
        [5]: asymptotic expected limits.
    alpha
        1 - confidence level.
    toys
        Pseudo-experiments with and as many without a signal, at each strength.
    seed
        Of their random numbers.

    Returns
    -------
    observed
        Excluded strength.
    expected
        [5]: an edge of the band beyond which too few toys lie is the asymptotic one, scaled as the median.

    Raises
    ------
    FitError
        If too many fits fail, or too few toys are beyond the data.
    """
    one = _alone(problem, hypothesis)
    low, high = 0.6 * min(observed, float(band[0])), 2.2 * max(observed, float(band[-1]))
    grid = np.geomspace(low, high, STRENGTHS)
    at_grid, null = one.at_strengths(grid[None]), one.at_strengths(np.zeros((1, 1)))
    measured = one.root_q(grid[None])[0]
    curves = np.full((STRENGTHS, 1 + len(BAND)), np.nan)
    for index, strength in enumerate(grid):
        rng = np.random.default_rng([seed, hypothesis, index])
        with_signal = _statistics(one, at_grid.values[index], strength, strength, toys, rng)
        without = np.sort(_statistics(one, null.values[0], 0.0, strength, toys, rng))
        at_band = np.append(measured[index], np.quantile(without, stats.norm.sf(BAND)))
        beyond = [(q[:, None] >= at_band - 1e-9).sum(axis=0) for q in (with_signal, without)]
        known = np.minimum(*beyond) >= FEWEST
        cls = np.maximum(beyond[0], 1) / len(with_signal) / (np.maximum(beyond[1], 1) / len(without))
        curves[index] = np.where(known, np.log(cls), np.nan)
    limits = [_smooth_crossing(grid, curve, np.log(alpha)) for curve in curves.T]
    if limits[0] is None or limits[3] is None:
        msg = f"too few of {toys} toys are beyond the data of {one.names[0]} to find a limit; use more toys"
        raise FitError(msg)
    # The lower edges of the band rest on the few toys of both tails: where they do not suffice, on the median.
    ratio = limits[3] / float(band[2])
    edges = [ratio * float(other) if limit is None else limit for limit, other in zip(limits[1:], band, strict=True)]
    return limits[0], np.maximum.accumulate(edges)


def _smooth_crossing(grid: Array, curve: Array, target: float) -> float | None:
    """Where a curve with the noise of toys falls through a value: of a parabola through its logarithm.

    None where too few points are known.
    """
    used = np.isfinite(curve) & (curve > target + np.log(0.2))
    if np.count_nonzero(used) < 3:
        return None
    # Not far beyond the last strength that toys reached.
    fine = np.geomspace(grid[0], min(1.6 * grid[used][-1], grid[-1]), 400)
    degree = 2 if np.count_nonzero(used) > 4 else 1
    smooth = np.minimum.accumulate(np.polynomial.Polynomial.fit(grid[used], curve[used], degree)(fine))
    return crossing(fine, smooth, target) if smooth[0] > target >= smooth[-1] else None


def _statistics(
    one: Problem, values: Array, strength: float, tested: float, toys: int, rng: np.random.Generator
) -> Array:
    """Root of q-tilde of toys that converged, drawn at ``values`` and ``strength`` and tested for ``tested``."""
    first = np.zeros(1, dtype=np.intp)
    model = WithSignal(one.background.model, one.signal, first, np.array([strength]))
    counts = rng.poisson(model.mean(values[None], first), (toys, one.counts.shape[1])).astype(float)
    constrained = np.concatenate([one.background.prior, np.ones(one.signal.nuisances)]) > 0
    centre = values + np.where(constrained, rng.standard_normal((toys, len(values))), 0.0)
    problem = Problem(one.background, _repeated(one.signal, toys), counts, one.names * toys, centre)
    q = problem.root_q(np.full((toys, 1), tested))[:, 0]
    good = np.isfinite(q)
    if good.mean() < 0.9:
        msg = (
            f"{int((~good).sum())} of {toys} toys did not refit for {one.names[0]}; use wider bins or fewer parameters"
        )
        raise FitError(msg)
    return q[good]


def _alone(problem: Problem, hypothesis: int) -> Problem:
    """One hypothesis as a problem of its own."""
    chosen = slice(hypothesis, hypothesis + 1)
    shapes = problem.signal.shapes
    signal = SignalPart(
        problem.signal.shape[chosen], problem.signal.rates, ShapeNuisances(shapes.tilts[chosen], shapes.norms[chosen])
    )
    background = BackgroundPart(_Picked(problem.background.model, hypothesis), problem.background.prior)
    return Problem(background, signal, problem.counts[chosen], problem.names[chosen])


def _repeated(signal: SignalPart, times: int) -> SignalPart:
    def many(array: Array) -> Array:
        return np.broadcast_to(array, (times, *array.shape[1:]))

    return SignalPart(
        many(signal.shape), signal.rates, ShapeNuisances(many(signal.shapes.tilts), many(signal.shapes.norms))
    )


@dataclass(frozen=True, eq=False)
class _Picked:
    """The background of one hypothesis, whatever the row."""

    model: Expectation
    hypothesis: int

    def _of(self, rows: Rows) -> npt.NDArray[np.intp]:
        return np.full(len(rows), self.hypothesis, dtype=np.intp)

    def mean(self, values: Array, rows: Rows) -> Array:
        return self.model.mean(values, self._of(rows))

    def mean_and_slope(self, values: Array, rows: Rows) -> tuple[Array, Array]:
        return self.model.mean_and_slope(values, self._of(rows))
