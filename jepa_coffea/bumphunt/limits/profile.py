"""Limits of models with several bins: many profile-likelihood fits at once, in coordinates of order 1.

A model is a background with parameters of its own and a signal of fixed strength with nuisances: rates that multiply
it (log-normal) and shapes that reweight its bins. Differences of likelihoods are computed without cancellation, and
steps are scaled by the Fisher information, so that a limit on 3700 events of two million is the same problem as one on
4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from jepa_coffea.bumphunt.limits.cls import asymptotic_log_cls, crossing
from jepa_coffea.bumphunt.newton import Array, Expectation, Minimum, Rows, last_error, minimise
from jepa_coffea.errors import FitError

LARGEST_TILT = 3.0
"""Largest logarithm by which a nuisance changes a bin: in a signal's tails the ratio of two shapes is no number."""

MOST_LOST = 0.3
"""Largest share of signal strengths whose fit may fail."""

POINTS = 14
"""Signal strengths at which CLs is computed first."""


@dataclass(frozen=True, eq=False)
class ShapeNuisances:
    """Changes of a signal's shape; at x a bin is multiplied by ``exp(x tilt)``, and the whole kept at ``exp(x norm)``.

    So bins stay positive at any x, and a Gaussian peak that moves keeps its shape.
    """

    tilts: Array
    """[hypothesis, nuisance, bin]."""
    norms: Array
    """[hypothesis, nuisance]."""


def shape_nuisances(up: Array, down: Array) -> ShapeNuisances:
    """Changes of shape from the signals at +1 and -1.

    Parameters
    ----------
    up
        [hypothesis, nuisance, bin]: events at +1.
    down
        [hypothesis, nuisance, bin]: events at -1.

    Returns
    -------
    ShapeNuisances
    """
    floor = 1e-9 * np.maximum(up, down).max(axis=-1, initial=0.0, keepdims=True) + 1e-300
    tilts = np.log(np.maximum(up, floor) / np.maximum(down, floor)) / 2
    norms = np.log(np.maximum(up.sum(axis=-1), 1e-300) / np.maximum(down.sum(axis=-1), 1e-300)) / 2
    return ShapeNuisances(np.clip(tilts, -LARGEST_TILT, LARGEST_TILT), norms)


@dataclass(frozen=True, eq=False)
class SignalPart:
    """The signal of several hypotheses; all share the kind of their nuisances."""

    shape: Array
    """[hypothesis, bin]: events at a strength of 1."""
    rates: Array
    """[rate]: relative uncertainties; a nuisance at x multiplies the signal by ``exp(x log(1 + rate))``."""
    shapes: ShapeNuisances
    """Of all hypotheses."""

    @property
    def nuisances(self) -> int:
        """How many."""
        return len(self.rates) + self.shapes.norms.shape[1]


@dataclass(frozen=True, eq=False)
class BackgroundPart:
    """The background of several hypotheses."""

    model: Expectation
    """For one hypothesis a row."""
    prior: Array
    """[parameter]: inverse variance of the constraint on each; 0 for a free one."""


def profile_limits(
    background: BackgroundPart, signal: SignalPart, counts: Array, alpha: float, names: Sequence[str]
) -> tuple[Array, Array]:
    """CLs limits (asymptotic, q-tilde) on the strengths of many signals.

    Source: Cowan, Cranmer, Gross, Vitells, Eur. Phys. J. C 71 (2011) 1554. The Asimov data of the expected limits have
    no signal and the nuisances that fit the data best without one.

    Parameters
    ----------
    background
        Of each hypothesis.
    signal
        Of each hypothesis.
    counts
        [bin]: observed events.
    alpha
        1 - confidence level.
    names
        [hypothesis], for messages.

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
    problem = _Problem(background, signal, np.broadcast_to(counts, signal.shape.shape), tuple(names))
    null = problem.without_signal()
    asimov = problem.at_null(null)
    error, best = asimov.error(), problem.best()
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
        bad = ", ".join(name for name, share in zip(names, lost, strict=True) if share > MOST_LOST)
        msg = f"the fits with a signal did not converge for {bad}; use fewer or wider bins, or fewer parameters"
        raise FitError(msg)
    found = np.array([[crossing(x, y, np.log(alpha)) for y in curve.T] for x, curve in zip(grid, curves, strict=True)])
    return found[:, 0], found[:, 1:]


@dataclass(frozen=True, eq=False)
class _WithSignal:
    """Background and signal; parameters: those of the background, rates, shapes, and the strength if it is free."""

    background: Expectation
    signal: SignalPart
    of: Rows
    """[row]: hypothesis of each row."""
    strength: Array | None
    """[row]; None for a free one."""

    def mean(self, values: Array, rows: Rows) -> Array:
        return self.mean_and_slope(values, rows)[0]

    def mean_and_slope(self, values: Array, rows: Rows) -> tuple[Array, Array]:
        k, r = self.signal.nuisances, len(self.signal.rates)
        free = self.strength is None
        end = values.shape[1] - free
        mu, slope = self.background.mean_and_slope(values[:, : end - k], self.of[rows])
        strength = values[:, -1] if self.strength is None else self.strength[rows]
        rate, shape = values[:, end - k : end - k + r], values[:, end - k + r : end]
        logs = np.log1p(self.signal.rates)
        factor = np.exp(rate @ logs)[:, None]
        nominal = self.signal.shape[self.of[rows]]
        tilts, norms = self.signal.shapes.tilts[self.of[rows]], self.signal.shapes.norms[self.of[rows]]
        tilted = nominal * np.exp(np.einsum("rk,rkb->rb", shape, tilts))
        kept = nominal.sum(axis=1) * np.exp((shape * norms).sum(axis=1)) / np.maximum(tilted.sum(axis=1), 1e-300)
        share = tilted / np.maximum(tilted.sum(axis=1, keepdims=True), 1e-300)
        change = tilts - np.einsum("rb,rkb->rk", share, tilts)[..., None] + norms[..., None]
        whole = factor * kept[:, None] * tilted
        columns = [slope, (strength[:, None] * whole)[..., None] * logs]
        columns.append((strength[:, None] * whole)[..., None] * change.transpose(0, 2, 1))
        if free:
            columns.append(whole[..., None])
        return mu + strength[:, None] * whole, np.concatenate(columns, axis=-1)


@dataclass(frozen=True, eq=False)
class _Problem:
    background: BackgroundPart
    signal: SignalPart
    counts: Array
    """[hypothesis, bin]."""
    names: tuple[str, ...]
    centre: Array | None = None
    """[hypothesis, background parameter]: where the constraints pull to; None for 0."""

    @property
    def _every(self) -> Rows:
        return np.arange(len(self.counts))

    def without_signal(self) -> Array:
        """[hypothesis, background parameter]: best fit without a signal."""
        prior = self.background.prior
        start = np.zeros((len(self.counts), len(prior)))
        fit = minimise(self.background.model, self.counts, start, prior=prior, centre=self.centre)
        self._check(fit, self._every, "without a signal")
        return fit.values

    def at_null(self, null: Array) -> _Problem:
        """The same problem for data without fluctuations, drawn at ``null``."""
        return replace(self, counts=self.background.model.mean(null, self._every), centre=null)

    def error(self) -> Array:
        """[hypothesis]: error of the strength where there is none, at the constraints' centre."""
        assert self.centre is not None
        values = np.concatenate([self.centre, np.zeros((len(self.counts), self.signal.nuisances + 1))], axis=1)
        mu, slope = _WithSignal(self.background.model, self.signal, self._every, None).mean_and_slope(
            values, self._every
        )
        # The signal's own nuisances do nothing at a strength of 0: their constraint is their information.
        prior = np.concatenate([self.background.prior, np.ones(self.signal.nuisances), [0.0]])
        return last_error(np.matmul(slope.transpose(0, 2, 1), slope / mu[..., None]) + np.diag(prior))

    def best(self) -> Array:
        """[hypothesis]: fitted strength."""
        return self._free(self._every).values[:, -1]

    def _free(self, of: Rows) -> Minimum:
        prior = np.concatenate([self.background.prior, np.ones(self.signal.nuisances), [0.0]])
        start, centre = self._start(of, 1)
        model = _WithSignal(self.background.model, self.signal, of, None)
        return minimise(model, self.counts[of], start, prior=prior, centre=centre, free=start.shape[1] - 1)

    def _start(self, of: Rows, more: int) -> tuple[Array, Array]:
        width = len(self.background.prior) + self.signal.nuisances + more
        centre = np.zeros((len(of), width))
        if self.centre is not None:
            centre[:, : len(self.background.prior)] = self.centre[of]
        return centre.copy(), centre

    def root_q(self, strengths: Array) -> Array:
        """[hypothesis, point]: root of q-tilde for each of ``strengths`` [hypothesis, point]."""
        points = strengths.shape[1]
        of = np.repeat(self._every, points)
        prior = np.concatenate([self.background.prior, np.ones(self.signal.nuisances)])
        start, centre = self._start(of, 0)
        fixed = minimise(
            _WithSignal(self.background.model, self.signal, of, strengths.ravel()),
            self.counts[of],
            start,
            prior=prior,
            centre=centre,
        )
        free = self._free(self._every)
        start, centre = self._start(self._every, 0)
        zero = _WithSignal(self.background.model, self.signal, self._every, np.zeros(len(self.counts)))
        none = minimise(zero, self.counts, start, prior=prior, centre=centre)
        # A negative strength may have no minimum where bins hold no events; q-tilde compares with 0 there.
        usable = free.converged & (free.values[:, -1] > 0)
        least = np.where(usable, free.deviance, none.deviance)
        best = np.where(usable, free.values[:, -1], 0.0)
        q = np.maximum(fixed.deviance.reshape(-1, points) - least[:, None], 0.0)
        root = np.where(best[:, None] >= strengths, 0.0, np.sqrt(q))
        # A strength at which the fit failed is left out of the curve; it is smooth between the others.
        return np.where(fixed.converged.reshape(-1, points), root, np.nan)

    def log_cls(self, asimov: _Problem, strengths: Array) -> Array:
        """[hypothesis, point, 6]: ln CLs, observed and expected."""
        return asymptotic_log_cls(self.root_q(strengths), asimov.root_q(strengths))

    def _check(self, fit: Minimum, of: Rows, what: str) -> None:
        bad = sorted({self.names[i] for i in of[~fit.converged]})
        if bad:
            msg = f"the fit {what} did not converge for {', '.join(bad)}; use fewer or wider bins, or fewer parameters"
            raise FitError(msg)
