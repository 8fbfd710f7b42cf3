"""Hypotheses of a signal over a background, each fitted to data of its own: what limits are made of.

Limits are by CLs in the asymptotic form of Cowan, Cranmer, Gross, Vitells, Eur. Phys. J. C 71 (2011) 1554. Differences
of likelihoods are computed without cancellation, and steps are scaled by the Fisher information, so that a limit on
3700 events of two million is the same problem as one on 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from jepa_coffea.bumphunt.limits.cls import asymptotic_log_cls
from jepa_coffea.bumphunt.limits.signal_model import BackgroundPart, SignalPart, WithSignal
from jepa_coffea.bumphunt.newton import Array, Minimum, Rows, last_error, minimise
from jepa_coffea.errors import FitError

STEPS = 1000
"""Most of a fit with a signal. Where the Fisher information is far from the true curvature, as where nuisances of the
signal are pulled by several errors, each brings the minimum closer by less than a tenth."""


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
        """[hypothesis]: fitted strength, not negative; NaN where the fit failed.

        Returns
        -------
        Array
        """
        return self._least[1]

    @cached_property
    def _least(self) -> tuple[Array, Array]:
        """[hypothesis] each: smallest deviance at a strength that is not negative, that strength; NaN without a fit.

        The strength is fitted where the likelihood rises with it. A negative one is not needed, and may have no minimum
        where bins hold no events.
        """
        none = self.at_strengths(np.zeros((len(self.counts), 1)))
        start = np.append(none.values, np.zeros((len(self.counts), 1)), axis=1)
        model = WithSignal(self.background.model, self.signal, self._every, None)
        mu, slope = model.mean_and_slope(start, self._every)
        with np.errstate(divide="ignore", invalid="ignore"):
            score = ((self.counts / mu - 1) * slope[..., -1]).sum(axis=1)
        least, best, known = none.deviance.copy(), np.zeros(len(self.counts)), none.converged.copy()
        rows = np.flatnonzero(score > 0)
        if len(rows):
            prior = np.concatenate([self.background.prior, np.ones(self.signal.nuisances), [0.0]])
            centre = self._start(rows, 1)[1]
            model = WithSignal(self.background.model, self.signal, rows, None)
            how: dict[str, Any] = {"prior": prior, "centre": centre, "free": start.shape[1] - 1, "steps": STEPS}
            fit = minimise(model, self.counts[rows], start[rows], **how)
            better = fit.deviance < least[rows]
            best[rows] = np.where(better, np.maximum(fit.values[:, -1], 0.0), 0.0)
            least[rows] = np.where(better, fit.deviance, least[rows])
            known[rows] = fit.converged
        return np.where(known, least, np.nan), np.where(known, best, np.nan)

    def _start(self, of: Rows, more: int) -> tuple[Array, Array]:
        width = len(self.background.prior) + self.signal.nuisances + more
        centre = np.zeros((len(of), width))
        if self.centre is not None:
            centre[:, : self.centre.shape[1]] = self.centre[of]
        start = centre.copy()  # a nuisance measured to be negative may leave no events: those begin at 0
        start[:, : len(self.background.prior)][:, self.background.prior > 0] = 0.0
        return start, centre

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
        return minimise(model, self.counts[of], start, prior=prior, centre=centre, steps=STEPS)

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
