"""Upper limits of counting experiments: closed forms, and exact sums over all outcomes where few events are expected.

``n ~ Poisson(s + b)``; the background is constrained as in :mod:`jepa_coffea.bumphunt.significance`. For given ``s``
the background that fits best is the root of a quadratic equation, so that nothing is minimised numerically and the
numbers hold from 0 to a thousand million events.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from jepa_coffea.bumphunt.limits.cls import BAND, Curves, asymptotic_log_cls, check_level, crossings
from jepa_coffea.bumphunt.limits.limit import Limit, make_limit
from jepa_coffea.bumphunt.newton import Array, deviance
from jepa_coffea.bumphunt.significance import Constraint
from jepa_coffea.errors import HistogramError

FEW = 10.0
"""Expected events below which the asymptotic formulas are replaced by sums over all outcomes."""

NODES = 120
"""Outcomes of the background's measurement that a sum goes over, all equally probable."""


def counting_limit(
    n: float,
    b: float,
    sigma_b: float,
    *,
    level: float = 0.95,
    constraint: Constraint = "poisson",
    luminosity: float | None = None,
    efficiency: float = 1.0,
) -> Limit:
    """CLs upper limit on the signal events of a counting experiment, observed and expected without a signal.

    Statistic q-tilde (Cowan et al., Eur. Phys. J. C 71 (2011) 1554). Below 10 expected events, where the
    asymptotic limit is up to a third too tight, its distributions are exact sums over all outcomes of ``n`` and of the
    measurement of the background; that is what infinitely many toys would give. So it is where the background is so
    uncertain that the data fit best to less than 10 events of it.

    Parameters
    ----------
    n
        Observed events.
    b
        Expected background events.
    sigma_b
        Absolute uncertainty of ``b``; it may be larger than ``b``.
    level
        Confidence level.
    constraint
        How ``b`` is known: by a Poisson count in a control region, or by a normal measurement of a background that is
        not negative.
    luminosity
        In 1/fb, for a limit in fb.
    efficiency
        Of the whole selection for signal, the window included; see ``luminosity``.

    Returns
    -------
    Limit

    Raises
    ------
    HistogramError
        Unless n, b and sigma_b are finite and not negative and ``level`` is between 0 and 1.

    Examples
    --------
    Nothing seen excludes three events, whatever was expected:

    >>> limit = counting_limit(0, 2.0, 0.5)
    >>> round(limit.events, 2)
    3.0
    >>> large = counting_limit(2_100_000, 2_100_000, 1200)
    >>> round(large.events), round(large.expected_events[2])
    (3689, 3689)
    """
    check_level(level)
    if not (np.isfinite([n, b, sigma_b]).all() and n >= 0 and b >= 0 and sigma_b >= 0):
        msg = f"expected finite n >= 0, b >= 0 and sigma_b >= 0, got {n:g}, {b:g} and {sigma_b:g}"
        raise HistogramError(msg)
    sigma_b = sigma_b if sigma_b**2 > 0 else 0.0  # so small that its square is no number
    counting = _Poisson(b, sigma_b) if constraint == "poisson" and b > 0 and sigma_b > 0 else _Gaussian(b, sigma_b)
    null = _null(counting, n)
    exact = min(b, null) < FEW
    # With a large error few observed events say that there is less background than was thought.
    width = float(np.sqrt(null + 1.0 if exact and b >= FEW else max(b, 1.0) + sigma_b**2))
    grid = np.linspace(0.4, 4.5, 14) * width + max(n - b, 0.0) * np.linspace(0.0, 1.0, 14)
    curves = _exact_curves(counting, n) if exact else _asymptotic_curves(counting, n)
    events, band = crossings(curves, grid, 1 - level)
    band = np.maximum.accumulate(band)  # few outcomes make steps, which an interpolated curve may meet out of order
    return make_limit(
        level, events, band, 1.0, luminosity, efficiency, "sums over all outcomes" if exact else "asymptotic"
    )


@dataclass(frozen=True)
class _Gaussian:
    """A normal measurement of the background; an outcome is ``n`` and what was measured."""

    b: float
    sigma: float

    def profiled(self, s: Array, n: Array, measured: Array) -> Array:
        """The background that fits best along with ``s``, not negative."""
        if self.sigma == 0:
            return np.broadcast_to(measured, np.broadcast_shapes(np.shape(s), np.shape(n), np.shape(measured)))
        v = self.sigma**2
        half = (s - measured + v) / 2
        product = (n - s) * v + s * measured
        root = np.sqrt(np.maximum(half**2 + product, 0.0))
        # Two forms of one root, each without cancellation.
        with np.errstate(divide="ignore", invalid="ignore"):
            value = np.where(half > 0, product / (root + half), root - half)
        return np.maximum(np.nan_to_num(value), 0.0)

    def cost(self, s: Array, background: Array, n: Array, measured: Array) -> Array:
        """-2 ln likelihood, up to what does not depend on ``s`` and the background."""
        pull = 0.0 if self.sigma == 0 else ((background - measured) / self.sigma) ** 2
        return deviance(np.asarray(n, dtype=float)[..., None], (s + background)[..., None]) + pull

    def outcomes(self, background: float) -> Array:
        """What may be measured where there is ``background``: equally probable values."""
        if self.sigma == 0:
            return np.array([background])
        return np.asarray(stats.norm.ppf((np.arange(NODES) + 0.5) / NODES, background, self.sigma))

    def asimov(self, background: float) -> float:
        """What is measured without a fluctuation."""
        return background


@dataclass(frozen=True)
class _Poisson:
    """A background measured by a Poisson count of mean ``tau`` times it; an outcome is ``n`` and what was measured."""

    b: float
    sigma: float

    @property
    def tau(self) -> float:
        return self.b / self.sigma**2

    def profiled(self, s: Array, n: Array, measured: Array) -> Array:
        """The background that fits best along with ``s``."""
        a, m = 1 + self.tau, self.tau * measured
        half = (n + m - a * s) / 2
        product = a * m * s
        root = np.sqrt(half**2 + product)
        with np.errstate(divide="ignore", invalid="ignore"):
            value = np.where(half < 0, product / (root - half), root + half) / a
        return np.maximum(np.nan_to_num(value), 0.0)

    def cost(self, s: Array, background: Array, n: Array, measured: Array) -> Array:
        """-2 ln likelihood, up to what does not depend on ``s`` and the background."""
        m = self.tau * np.broadcast_to(measured, np.shape(background))
        aside = deviance(m[..., None], self.tau * background[..., None])
        return deviance(np.asarray(n, dtype=float)[..., None], (s + background)[..., None]) + aside

    def outcomes(self, background: float) -> Array:
        """What may be measured where there is ``background``: equally probable values."""
        middle = (np.arange(NODES) + 0.5) / NODES
        return np.asarray(stats.poisson.ppf(middle, self.tau * background) / self.tau)

    def asimov(self, background: float) -> float:
        """What is measured without a fluctuation."""
        return background


def _root_q(counting: _Gaussian | _Poisson, s: Array, n: Array, measured: Array) -> Array:
    """Root of q-tilde: 0 where the data prefer more signal than ``s``."""
    best = np.maximum(n - np.maximum(measured, 0.0), 0.0)
    free = counting.cost(best, counting.profiled(best, n, measured), n, measured)
    fixed = counting.cost(s, counting.profiled(s, n, measured), n, measured)
    return np.where(best >= s, 0.0, np.sqrt(np.maximum(fixed - free, 0.0)))


def _null(counting: _Gaussian | _Poisson, n: float) -> float:
    """The background that fits the data best without a signal."""
    return float(counting.profiled(np.zeros(1), np.array([n]), np.array([counting.b]))[0])


def _asymptotic_curves(counting: _Gaussian | _Poisson, n: float) -> Curves:
    null = _null(counting, n)  # of the Asimov data, which have no signal

    def curves(s: Array) -> Array:
        data, asimov = (np.full(len(s), value) for value in (n, null))
        root = _root_q(counting, s, data, np.full(len(s), counting.b))
        return asymptotic_log_cls(root, _root_q(counting, s, asimov, asimov))

    return curves


def _exact_curves(counting: _Gaussian | _Poisson, n: float) -> Curves:
    null = _null(counting, n)

    def at(s: float) -> Array:
        fitted = float(counting.profiled(np.array([s]), np.array([n]), np.array([counting.b]))[0])
        observed = float(_root_q(counting, np.array([s]), np.array([n]), np.array([counting.b]))[0])
        most = int(stats.poisson.isf(1e-9, s + fitted + null + 1))
        counts = np.arange(most + 1, dtype=float)[:, None]
        tails = []
        for signal, background in ((s, fitted), (0.0, null)):
            measured = counting.outcomes(background)[None, :]
            q = _root_q(counting, np.full((1, 1), s), counts, measured)
            weight = np.broadcast_to(stats.poisson.pmf(counts, signal + background) / measured.size, q.shape)
            tails.append(_Tail(q.ravel(), weight.ravel()))
        with_signal, without = tails
        at_band = np.append(observed, [without.quantile(p) for p in stats.norm.cdf(BAND)])
        return np.log(np.maximum(with_signal.above(at_band), 1e-300) / np.maximum(without.above(at_band), 1e-300))

    return lambda points: np.array([at(float(s)) for s in points])


class _Tail:
    """The upper tail of a discrete distribution."""

    def __init__(self, values: Array, weights: Array) -> None:
        order = np.argsort(values)
        self.values = values[order]
        self.tail = np.cumsum(weights[order][::-1])[::-1]

    def above(self, x: Array) -> Array:
        """Probability of at least ``x``, where values that differ by rounding count as equal."""
        place = np.asarray(np.searchsorted(self.values, x - 1e-9), dtype=np.intp)
        return np.asarray(np.append(self.tail, 0.0)[place])

    def quantile(self, p: float) -> float:
        """The largest value that is reached with a probability of at least ``p``."""
        return float(self.values[max(int(np.count_nonzero(self.tail >= p)) - 1, 0)])
