"""Hypotheses of a signal over a background, each fitted to data of its own: what limits are made of.

A model is a background with parameters of its own and a signal of fixed strength with nuisances: rates that multiply
it (log-normal, as in ATL-PHYS-PUB-2011-11) and shapes that reweight its bins. HistFactory (CERN-OPEN-2012-016)
interpolates exponentially in two pieces, (up / nominal)^x above 0 and (down / nominal)^-x below; here both are one
piece without a kink, (up / down)^(x / 2). Limits are by CLs in the asymptotic form of Cowan, Cranmer, Gross, Vitells,
Eur. Phys. J. C 71 (2011) 1554.

Differences of likelihoods are computed without cancellation, and steps are scaled by the Fisher information, so that a
limit on 3700 events of two million is the same problem as one on 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from jepa_coffea.bumphunt.limits.cls import asymptotic_log_cls
from jepa_coffea.bumphunt.newton import Array, Expectation, Minimum, Rows, last_error, minimise
from jepa_coffea.errors import FitError

LARGEST_TILT = 3.0
"""Largest logarithm by which a nuisance changes a bin: in a signal's tails the ratio of two shapes is no number."""


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
        """How many.

        Returns
        -------
        int
        """
        return len(self.rates) + self.shapes.norms.shape[1]


@dataclass(frozen=True, eq=False)
class BackgroundPart:
    """The background of several hypotheses."""

    model: Expectation
    """One hypothesis per row."""
    prior: Array
    """[parameter]: inverse variance of the constraint on each; 0 for a free one."""


def make_problem(background: BackgroundPart, signal: SignalPart, counts: Array, names: Sequence[str]) -> Problem:
    """Several hypotheses for the same data.

    Parameters
    ----------
    background
        Of each hypothesis.
    signal
        Of each hypothesis.
    counts
        [bin]: observed events.
    names
        [hypothesis], for messages.

    Returns
    -------
    Problem
    """
    return Problem(background, signal, np.broadcast_to(counts, signal.shape.shape), tuple(names))


@dataclass(frozen=True, eq=False)
class WithSignal:
    """Background and signal; parameters: those of the background, rates, shapes, and the strength if it is free."""

    background: Expectation
    signal: SignalPart
    of: Rows
    """[row]: hypothesis of each row."""
    strength: Array | None
    """[row]; None for a free one."""

    def mean(self, values: Array, rows: Rows) -> Array:
        """Expected events.

        Parameters
        ----------
        values
            [row, parameter].
        rows
            [row].

        Returns
        -------
        Array
            [row, bin].
        """
        k, r = self.signal.nuisances, len(self.signal.rates)
        end = values.shape[1] - (self.strength is None)
        strength = values[:, -1] if self.strength is None else self.strength[rows]
        mu = self.background.mean(values[:, : end - k], self.of[rows])
        signal = self._signal(values[:, end - k : end - k + r], values[:, end - k + r : end], rows)
        return mu + strength[:, None] * signal

    def _signal(self, rate: Array, shape: Array, rows: Rows) -> Array:
        """[row, bin]: events at a strength of 1."""
        nominal = self.signal.shape[self.of[rows]]
        factor = np.exp(rate @ np.log1p(self.signal.rates))
        if not shape.shape[1]:
            return factor[:, None] * nominal
        tilts, norms = self.signal.shapes.tilts[self.of[rows]], self.signal.shapes.norms[self.of[rows]]
        tilted = nominal * np.exp(np.einsum("rk,rkb->rb", shape, tilts))
        kept = factor * nominal.sum(axis=1) * np.exp((shape * norms).sum(axis=1))
        return (kept / np.maximum(tilted.sum(axis=1), 1e-300))[:, None] * tilted

    def mean_and_slope(self, values: Array, rows: Rows) -> tuple[Array, Array]:
        """Expected events and their derivatives.

        Parameters
        ----------
        values
            [row, parameter].
        rows
            [row].

        Returns
        -------
        mean
            [row, bin].
        slope
            [row, bin, parameter].
        """
        k, r = self.signal.nuisances, len(self.signal.rates)
        free = self.strength is None
        end = values.shape[1] - free
        mu, slope = self.background.mean_and_slope(values[:, : end - k], self.of[rows])
        strength = values[:, -1] if self.strength is None else self.strength[rows]
        whole = self._signal(values[:, end - k : end - k + r], values[:, end - k + r : end], rows)
        columns = [slope, (strength[:, None] * whole)[..., None] * np.log1p(self.signal.rates)]
        if k > r:
            tilts, norms = self.signal.shapes.tilts[self.of[rows]], self.signal.shapes.norms[self.of[rows]]
            share = whole / np.maximum(whole.sum(axis=1, keepdims=True), 1e-300)
            change = tilts - np.einsum("rb,rkb->rk", share, tilts)[..., None] + norms[..., None]
            columns.append((strength[:, None] * whole)[..., None] * change.transpose(0, 2, 1))
        if free:
            columns.append(whole[..., None])
        return mu + strength[:, None] * whole, np.concatenate(columns, axis=-1)


@dataclass(frozen=True, eq=False)
class Problem:
    """Fits of several hypotheses to data of their own."""

    background: BackgroundPart
    signal: SignalPart
    counts: Array
    """[hypothesis, bin]: events."""
    names: tuple[str, ...]
    """[hypothesis]."""
    centre: Array | None = None
    """[hypothesis, parameter of background and signal]: where the constraints pull to; None for 0."""

    @property
    def _every(self) -> Rows:
        return np.arange(len(self.counts))

    def without_signal(self) -> Array:
        """Best fit without a signal.

        Returns
        -------
        Array
            [hypothesis, background parameter].

        Raises
        ------
        FitError
            If one does not converge.
        """
        prior = self.background.prior
        start = np.zeros((len(self.counts), len(prior)))
        centre = None if self.centre is None else self.centre[:, : len(prior)]
        fit = minimise(self.background.model, self.counts, start, prior=prior, centre=centre)
        self._check(fit, self._every, "without a signal")
        return fit.values

    def at_null(self, null: Array) -> Problem:
        """The same problem for data without fluctuations.

        Parameters
        ----------
        null
            [hypothesis, background parameter]: what the data are.

        Returns
        -------
        Problem
        """
        centre = np.concatenate([null, np.zeros((len(null), self.signal.nuisances))], axis=1)
        return replace(self, counts=self.background.model.mean(null, self._every), centre=centre)

    def error(self) -> Array:
        """Error of the strength where there is none, at the constraints' centre.

        Returns
        -------
        Array
            [hypothesis].
        """
        assert self.centre is not None
        values = np.append(self.centre, np.zeros((len(self.counts), 1)), axis=1)
        mu, slope = WithSignal(self.background.model, self.signal, self._every, None).mean_and_slope(
            values, self._every
        )
        # The signal's own nuisances do nothing at a strength of 0: their constraint is their information.
        prior = np.concatenate([self.background.prior, np.ones(self.signal.nuisances), [0.0]])
        return last_error(np.matmul(slope.transpose(0, 2, 1), slope / mu[..., None]) + np.diag(prior))

    @property
    def best(self) -> Array:
        """[hypothesis]: fitted strength, not negative.

        Returns
        -------
        Array
        """
        return self._least[1]

    @cached_property
    def _least(self) -> tuple[Array, Array]:
        """[hypothesis] each: smallest deviance at a strength that is not negative, and that strength.

        The strength is fitted where the likelihood rises with it. A negative one is not needed, and may have no minimum
        where bins hold no events.
        """
        none = self.at_strengths(np.zeros((len(self.counts), 1)))
        start = np.append(none.values, np.zeros((len(self.counts), 1)), axis=1)
        model = WithSignal(self.background.model, self.signal, self._every, None)
        mu, slope = model.mean_and_slope(start, self._every)
        with np.errstate(divide="ignore", invalid="ignore"):
            score = ((self.counts / mu - 1) * slope[..., -1]).sum(axis=1)
        least, best = none.deviance.copy(), np.zeros(len(self.counts))
        rows = np.flatnonzero(score > 0)
        if len(rows):
            prior = np.concatenate([self.background.prior, np.ones(self.signal.nuisances), [0.0]])
            centre = self._start(rows, 1)[1]
            model = WithSignal(self.background.model, self.signal, rows, None)
            fit = minimise(model, self.counts[rows], start[rows], prior=prior, centre=centre, free=start.shape[1] - 1)
            better = fit.deviance < least[rows]
            best[rows] = np.where(better, np.maximum(fit.values[:, -1], 0.0), 0.0)
            least[rows] = np.where(better, fit.deviance, least[rows])
        return least, best

    def _start(self, of: Rows, more: int) -> tuple[Array, Array]:
        width = len(self.background.prior) + self.signal.nuisances + more
        centre = np.zeros((len(of), width))
        if self.centre is not None:
            centre[:, : self.centre.shape[1]] = self.centre[of]
        return centre.copy(), centre

    def at_strengths(self, strengths: Array) -> Minimum:
        """Fits at given strengths.

        Parameters
        ----------
        strengths
            [hypothesis, point].

        Returns
        -------
        Minimum
            A row for each point; the points of a hypothesis are neighbours.
        """
        of = np.repeat(self._every, strengths.shape[1])
        start, centre = self._start(of, 0)
        prior = np.concatenate([self.background.prior, np.ones(self.signal.nuisances)])
        model = WithSignal(self.background.model, self.signal, of, strengths.ravel())
        return minimise(model, self.counts[of], start, prior=prior, centre=centre)

    def root_q(self, strengths: Array) -> Array:
        """Root of the statistic q-tilde.

        Parameters
        ----------
        strengths
            [hypothesis, point].

        Returns
        -------
        Array
            [hypothesis, point]; NaN where a fit failed.
        """
        points = strengths.shape[1]
        fixed = self.at_strengths(strengths)
        least, best = self._least
        q = np.maximum(fixed.deviance.reshape(-1, points) - least[:, None], 0.0)
        root = np.where(best[:, None] >= strengths, 0.0, np.sqrt(q))
        # A strength at which the fit failed is left out of the curve; it is smooth between the others.
        return np.where(fixed.converged.reshape(-1, points), root, np.nan)

    def log_cls(self, asimov: Problem, strengths: Array) -> Array:
        """Asymptotic CLs.

        Parameters
        ----------
        asimov
            The same problem without fluctuations.
        strengths
            [hypothesis, point].

        Returns
        -------
        Array
            [hypothesis, point, 6]: its logarithm, observed and expected.
        """
        return asymptotic_log_cls(self.root_q(strengths), asimov.root_q(strengths))

    def _check(self, fit: Minimum, of: Rows, what: str) -> None:
        bad = sorted({self.names[i] for i in of[~fit.converged]})
        if bad:
            msg = f"the fit {what} did not converge for {', '.join(bad)}; use fewer or wider bins, or fewer parameters"
            raise FitError(msg)
