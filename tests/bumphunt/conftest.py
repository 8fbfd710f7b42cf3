"""A falling dijet spectrum with known truth, and a Gaussian bump to put on it."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from scipy import integrate, stats

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    edges: Array
    background: Array
    """[bin] expected events, by adaptive quadrature of a three-parameter dijet function."""
    window: tuple[float, float]
    inside: npt.NDArray[np.bool_]

    def bump(self, mass: float = 2700.0, width: float = 120.0) -> Array:
        """[bin] share of a Gaussian signal's events."""
        return np.diff(stats.norm.cdf(self.edges, mass, width))

    def observed(self, seed: int, signal: float = 0.0, scale: float = 1.0) -> Array:
        return np.random.default_rng(seed).poisson(scale * self.background + signal * self.bump()).astype(float)


@pytest.fixture(scope="session")
def truth() -> Truth:
    edges = np.geomspace(1500, 6000, 31)

    def density(m: float) -> float:
        x = m / 13000
        return (1 - x) ** 10 / x ** (5 + 0.2 * np.log(x))

    shape = np.array([integrate.quad(density, a, b)[0] for a, b in pairwise(edges)])
    window = (float(edges[11]), float(edges[15]))
    inside = (edges[:-1] >= window[0]) & (edges[1:] <= window[1])
    return Truth(edges, 20000 * shape / shape.sum(), window, inside)
