"""A binned spectrum, checked once so that everything after it can trust it.

Bins and windows are half open everywhere: an event at the lower edge is inside, one at the upper edge is not. What lies
at or beyond the last edge is overflow and no part of a spectrum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import hist
import numpy as np
import numpy.typing as npt

from jepa_coffea.errors import HistogramError

Array = npt.NDArray[np.float64]
Interval = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Event counts in bins of a mass. Build it with :func:`as_spectrum`.

    Raises
    ------
    HistogramError
        If counts and edges do not belong together, or are not counts of events.
    """

    counts: Array
    """[bin]; not negative. Whole numbers in data; fractional in Asimov spectra."""
    edges: Array
    """[bin + 1]; strictly rising, in the unit of ``sqrt_s`` (GeV)."""

    def __post_init__(self) -> None:
        check_edges(self.edges)
        if self.counts.shape != (len(self.edges) - 1,):
            msg = f"{len(self.edges)} edges need {len(self.edges) - 1} counts, got shape {self.counts.shape}"
            raise HistogramError(msg)
        bad = np.flatnonzero(~(np.isfinite(self.counts) & (self.counts >= 0)))
        if len(bad):
            i = bad[0]
            msg = (
                f"counts must be finite and not negative; bin {i} ({self.edges[i]:g} to {self.edges[i + 1]:g}) "
                f"holds {self.counts[i]:g} ({len(bad)} such bins). Negative event weights cannot be fitted as counts"
            )
            raise HistogramError(msg)

    @property
    def centres(self) -> Array:
        """[bin], GeV.

        Returns
        -------
        Array
        """
        return (self.edges[:-1] + self.edges[1:]) / 2

    @property
    def widths(self) -> Array:
        """[bin], GeV.

        Returns
        -------
        Array
        """
        return np.diff(self.edges)

    def inside(self, interval: Interval) -> npt.NDArray[np.bool_]:
        """Which bins belong to an interval.

        Parameters
        ----------
        interval
            Lower and upper end, GeV; both must be bin edges.

        Returns
        -------
        Array
            [bin] mask.

        Raises
        ------
        HistogramError
            If an end is no bin edge, or the ends are not in order.
        """
        low, high = interval
        if not low < high:
            msg = f"an interval needs low < high, got {low:g} to {high:g}"
            raise HistogramError(msg)
        for end in (low, high):
            nearest = self.edges[np.argmin(np.abs(self.edges - end))]
            if not np.isclose(nearest, end, rtol=1e-9, atol=0):
                msg = (
                    f"{end:g} is no bin edge (the nearest is {nearest:g}): a bin cut in two belongs neither inside "
                    f"nor outside. Move the window or rebin"
                )
                raise HistogramError(msg)
        tolerance = 1e-9 * (high - low)
        return (self.edges[:-1] >= low - tolerance) & (self.edges[1:] <= high + tolerance)

    def within(self, interval: Interval) -> Spectrum:
        """Only the bins of an interval.

        Parameters
        ----------
        interval
            As in :meth:`inside`.

        Returns
        -------
        Spectrum
        """
        chosen = np.flatnonzero(self.inside(interval))
        return Spectrum(self.counts[chosen], self.edges[chosen[0] : chosen[-1] + 2])

    def total(self, interval: Interval | None = None) -> float:
        """Number of events.

        Parameters
        ----------
        interval
            As in :meth:`inside`; by default all bins.

        Returns
        -------
        float
        """
        return float(self.counts.sum() if interval is None else self.counts[self.inside(interval)].sum())


def check_edges(edges: Array) -> None:
    """Refuse edges that are no rising row of finite numbers.

    Parameters
    ----------
    edges
        [bin + 1].

    Raises
    ------
    HistogramError
        If they are not.
    """
    if edges.ndim != 1 or len(edges) < 2:
        msg = f"edges must be one row of at least two numbers, got shape {edges.shape}"
        raise HistogramError(msg)
    steps = np.diff(edges)
    bad = np.flatnonzero(~(steps > 0) | ~np.isfinite(edges[1:]))
    if len(bad):
        i = bad[0]
        msg = f"edges must rise strictly; edge {i + 1} is {edges[i + 1]:g} after {edges[i]:g}"
        raise HistogramError(msg)


SpectrumLike: TypeAlias = "Spectrum | hist.Hist | tuple[npt.ArrayLike, npt.ArrayLike]"
"""What :func:`as_spectrum` takes: a spectrum, an unweighted histogram, or ``(counts, edges)``."""


def as_spectrum(data: SpectrumLike) -> Spectrum:
    """A spectrum of a histogram, or of counts and edges.

    Parameters
    ----------
    data
        One-dimensional ``hist.Hist`` of unweighted events, whose under- and overflow are left out, or
        ``(counts, edges)``.

    Returns
    -------
    Spectrum

    Raises
    ------
    HistogramError
        For weighted histograms, as a Poisson likelihood of weighted sums gives uncertainties that mean nothing, and for
        counts and edges that cannot be used.

    Examples
    --------
    >>> as_spectrum(([12, 7, 3], [1000, 1200, 1500, 1900])).total((1000, 1500))
    19.0
    """
    if isinstance(data, Spectrum):
        return data
    if isinstance(data, tuple):
        counts, edges = data
        return Spectrum(np.asarray(counts, dtype=float), np.asarray(edges, dtype=float))
    if len(data.axes) != 1:
        msg = f"a spectrum has one axis, got {len(data.axes)}: {[axis.name for axis in data.axes]}. Project it first"
        raise HistogramError(msg)
    values, variances = data.values(), data.variances()
    if variances is None or not np.allclose(values, variances):
        msg = "the histogram holds weighted events (variances differ from values); the likelihood needs event counts"
        raise HistogramError(msg)
    return Spectrum(np.asarray(values, dtype=float), np.asarray(data.axes[0].edges, dtype=float))
