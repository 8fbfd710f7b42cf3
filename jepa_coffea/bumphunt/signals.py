"""What a resonance looks like in the spectrum: expected events per bin for a yield of 1, at any mass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy import stats

from jepa_coffea.bumphunt.spectrum import check_edges
from jepa_coffea.errors import HistogramError

Array = npt.NDArray[np.float64]


class Signal(Protocol):
    """Anything that gives a template at a mass."""

    @property
    def relative_width(self) -> float:
        """Standard deviation over mass; sets the default spacing of a scan."""

    def template(self, edges: Array, mass: float) -> Array:
        """[bin]: events per bin of a resonance at ``mass`` with a yield of 1; what falls outside the edges is lost."""


@dataclass(frozen=True)
class Gaussian:
    """A Gaussian peak whose width is a fixed fraction of its mass."""

    relative_width: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.relative_width < 1:
            msg = f"relative_width is sigma / mass, between 0 and 1, got {self.relative_width:g}"
            raise HistogramError(msg)

    def template(self, edges: Array, mass: float) -> Array:
        return np.diff(stats.norm.cdf(edges, mass, self.relative_width * mass))


@dataclass(frozen=True, eq=False)
class SignalTemplate:
    """A simulated peak at one mass, moved to others by stretching its mass axis in proportion."""

    counts: Array
    """[bin] of the simulated signal; any normalisation, negative weights not allowed."""
    edges: Array
    mass: float
    """The mass that was simulated."""

    def __post_init__(self) -> None:
        check_edges(self.edges)
        if self.counts.shape != (len(self.edges) - 1,) or not (self.counts >= 0).all() or not self.counts.sum() > 0:
            msg = "a signal template needs one non-negative count per bin, and something in them"
            raise HistogramError(msg)

    @property
    def relative_width(self) -> float:
        centres = (self.edges[1:] + self.edges[:-1]) / 2
        mean = np.average(centres, weights=self.counts)
        return float(np.sqrt(np.average((centres - mean) ** 2, weights=self.counts)) / self.mass)

    def template(self, edges: Array, mass: float) -> Array:
        cumulative = np.concatenate([[0], np.cumsum(self.counts)]) / self.counts.sum()
        return np.diff(np.interp(edges, self.edges * mass / self.mass, cumulative))


def default_masses(edges: Array, signal: Signal) -> Array:
    """Hypotheses half a width apart, starting and ending where the peak is still whole inside the edges."""
    w = signal.relative_width
    low, high = edges[0] / (1 - 2 * w), edges[-1] / (1 + 2 * w)
    if not low < high:
        msg = f"a signal of relative width {w:g} does not fit between {edges[0]:g} and {edges[-1]:g}"
        raise HistogramError(msg)
    return np.geomspace(low, high, max(2, int(np.ceil(np.log(high / low) / (w / 2)))))
