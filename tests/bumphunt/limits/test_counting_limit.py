"""Limits of counting experiments against independent calculations: minimisation by numbers, sums, and toys."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest
from scipy import optimize, special, stats

from jepa_coffea.bumphunt.limits import counting_limit
from jepa_coffea.errors import HistogramError

Constraint = Literal["gaussian", "poisson"]


@dataclass(frozen=True)
class Counting:
    """Asymptotic CLs with every likelihood minimised by a one-dimensional search."""

    n: float
    b: float
    sigma: float
    constraint: Constraint

    def twice_nll(self, s: float, b: float, n: float, measured: float) -> float:
        """Relative to a saturated model, so that large counts leave digits."""
        x = (s + b - n) / n
        if self.constraint == "gaussian":
            return 2 * n * (x - np.log1p(x)) + ((b - measured) / self.sigma) ** 2
        events, y = self.b * measured / self.sigma**2, (b - measured) / measured  # of the measurement of the background
        return 2 * n * (x - np.log1p(x)) + 2 * events * (y - np.log1p(y))

    def minimised(self, s: float, n: float, measured: float) -> tuple[float, float]:
        """The smallest over the background, in units of its error, and the background there."""

        def cost(t: float) -> float:
            return self.twice_nll(s, measured + t * self.sigma, n, measured)

        lowest = max(-12.0, -measured / self.sigma + 1e-9)  # no background
        found = optimize.minimize_scalar(cost, bounds=(lowest, 12), method="bounded", options={"xatol": 1e-9})
        best = min((float(found.x), lowest), key=cost)
        return cost(best), measured + best * self.sigma

    def root_q(self, s: float, n: float, measured: float) -> float:
        best = max(n - measured, 0.0)
        if best >= s:
            return 0.0
        return np.sqrt(max(self.minimised(s, n, measured)[0] - self.minimised(best, n, measured)[0], 0))

    def limit(self) -> float:
        asimov = self.minimised(0, self.n, self.b)[1]

        def excess(s: float) -> float:
            q, a = self.root_q(s, self.n, self.b), self.root_q(s, asimov, asimov)
            if q <= a:
                return float(stats.norm.logsf(q) - stats.norm.logsf(q - a) - np.log(0.05))
            return float(stats.norm.logsf((q**2 / a + a) / 2) - stats.norm.logsf((q**2 / a - a) / 2) - np.log(0.05))

        width, surplus = np.sqrt(self.b + self.sigma**2), max(self.n - self.b, 0)
        return float(optimize.brentq(excess, 0.3 * width + surplus / 2, surplus + 8 * width))


@pytest.mark.parametrize("constraint", ["gaussian", "poisson"])
@pytest.mark.parametrize(
    ("n", "b", "sigma"),
    [
        (14, 12, 3),
        (10, 12, 2),
        (60, 40, 5),
        (30, 20, 40),
        (480, 500, 18),
        (2_100_000, 2_100_000, 1200),
        (2_104_000, 2_100_000, 800),
        (40_000_000, 40_010_000, 20_000),
        (1e9, 1e9, 3e4),
    ],
)
def test_equals_an_independent_minimisation_up_to_a_thousand_million_events(
    constraint: Constraint, n: float, b: float, sigma: float
) -> None:
    assert counting_limit(n, b, sigma, constraint=constraint).events == pytest.approx(
        Counting(n, b, sigma, constraint).limit(), rel=2e-3
    )


def test_two_million_events_exclude_some_thousand() -> None:
    """A window of 2.1 M events known to 1232: 3743 signal events are excluded, not a fifth of all."""
    limit = counting_limit(2_100_000, 2_100_000, 1232)
    assert limit.events == pytest.approx(1.95996 * np.hypot(np.sqrt(2.1e6), 1232), rel=2e-3)
    assert 3600 < limit.events < 3800


def test_a_known_large_background_gives_the_gaussian_limit() -> None:
    # CLs with n = b: the tail beyond the limit is 0.05 of the half above the median.
    limit = counting_limit(1e6, 1e6, 1.0)
    assert limit.events == pytest.approx(1.95996 * 1e3, rel=2e-3)
    fluctuated = [stats.norm.isf(0.05 * stats.norm.cdf(k)) + k for k in (-2, -1, 0, 1, 2)]
    assert limit.expected_events == pytest.approx(np.array(fluctuated) * 1e3, rel=5e-3)


@pytest.mark.parametrize(("n", "b"), [(0, 0.0), (0, 0.5), (0, 3.0), (3, 3.0), (7, 2.5), (2, 8.0)])
def test_few_events_with_a_known_background_are_summed_exactly(n: int, b: float) -> None:
    """CLs is then a ratio of two Poisson sums (Read)."""
    exact = optimize.brentq(lambda s: special.pdtr(n, b + s) / special.pdtr(n, b) - 0.05, 0.1, 50)
    limit = counting_limit(n, b, 0.0)
    assert limit.events == pytest.approx(exact, rel=5e-3)
    assert limit.method == "sums over all outcomes"


@pytest.mark.parametrize(("n", "b", "sigma"), [(1, 3.0, 1.5), (6, 4.0, 2.0)])
def test_few_events_with_an_uncertain_background_equal_toys(n: int, b: float, sigma: float) -> None:
    """CLs by 100 000 toys at the limit is 0.05."""
    s = counting_limit(n, b, sigma, constraint="gaussian").events
    rng = np.random.default_rng(1)

    def fitted(signal: float, counts: np.ndarray, measured: np.ndarray) -> np.ndarray:
        """The background from the quadratic equation, by polynomial roots on a grid of toys."""
        v = sigma**2
        half = (signal - measured + v) / 2
        return np.maximum(-half + np.sqrt(np.maximum(half**2 + (counts - signal) * v + signal * measured, 0)), 0)

    def q(counts: np.ndarray, measured: np.ndarray) -> np.ndarray:
        def cost(signal: np.ndarray | float, background: np.ndarray) -> np.ndarray:
            mu = signal + background
            return 2 * (mu - special.xlogy(counts, np.maximum(mu, 1e-300))) + ((background - measured) / sigma) ** 2

        best = np.maximum(counts - np.maximum(measured, 0), 0)
        least = cost(best, np.maximum(measured * (best > 0) + fitted(0, counts, measured) * (best == 0), 0))
        return np.where(best >= s, 0, np.maximum(cost(s, fitted(s, counts, measured)) - least, 0))

    observed = q(np.array([float(n)]), np.array([b]))[0]
    tails = []
    for signal in (s, 0.0):
        background = float(fitted(signal, np.array([float(n)]), np.array([b]))[0])
        counts = rng.poisson(signal + background, 100_000).astype(float)
        tails.append((q(counts, rng.normal(background, sigma, 100_000)) >= observed - 1e-9).mean())
    assert tails[0] / tails[1] == pytest.approx(0.05, abs=0.004)


def test_an_uncertainty_larger_than_the_background_weakens_the_limit() -> None:
    for constraint in ("gaussian", "poisson"):
        limits = [counting_limit(30, 20, sigma, constraint=constraint).events for sigma in (2, 10, 30, 60)]
        assert np.all(np.diff(limits) > 0)
        # All events may be signal, and a few more.
        assert limits[-1] < 30 + 3 * np.sqrt(30)


def test_no_outcome_excludes_less_than_three_events() -> None:
    """Nothing seen has CLs = exp(-s), whatever was expected: any other limit is weaker."""
    for constraint in ("gaussian", "poisson"):
        for b, sigma in ((12.0, 12.0), (100.0, 500.0), (1e-200, 1e-200)):
            limit = counting_limit(0, b, sigma, constraint=constraint)
            assert limit.method == "sums over all outcomes"
            assert limit.events == pytest.approx(-np.log(0.05), rel=0.01)
            assert np.all(limit.expected_events > 2.96)


def test_more_uncertainty_and_more_events_mean_weaker_limits() -> None:
    assert counting_limit(50, 50, 10).events > counting_limit(50, 50, 1).events
    assert counting_limit(0, 3, 1).events == pytest.approx(2.9957, rel=1e-3)
    limit = counting_limit(50, 50, 5, luminosity=137.0, efficiency=0.1)
    assert limit.cross_section == pytest.approx(limit.events / 13.7)


@pytest.mark.parametrize(("constraint", "n", "b", "sigma"), [("poisson", 3, 0.36, 1.34), ("gaussian", 2, 0.45, 0.63)])
def test_the_band_rises_where_few_outcomes_make_steps(constraint: str, n: float, b: float, sigma: float) -> None:
    assert (np.diff(counting_limit(n, b, sigma, constraint=constraint).expected_events) >= 0).all()


@pytest.mark.parametrize("bad", [(5, 5, float("nan")), (-1, 5, 1), (5, -5, 1), (5, 5, -1)])
def test_refuses(bad: tuple[float, float, float]) -> None:
    with pytest.raises(HistogramError, match="expected finite n >= 0"):
        counting_limit(*bad)
    with pytest.raises(HistogramError, match="confidence level"):
        counting_limit(5, 5, 1, level=95)
