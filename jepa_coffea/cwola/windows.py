"""Mass windows, their sidebands, the range of the background fit and its bins, checked against one another."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from string import ascii_uppercase
from typing import Any

import numpy as np
import numpy.typing as npt

from jepa_coffea.errors import JepaCoffeaError

LOW, WINDOW, HIGH, OUTSIDE = -1, 0, 1, 2
"""Region codes: below the window, inside it, above it, in neither window nor sidebands."""


def in_sideband(region: npt.NDArray[np.int8]) -> npt.NDArray[np.bool_]:
    """Which events are in one of the two sidebands.

    Parameters
    ----------
    region
        Region codes, (events,).

    Returns
    -------
    array of bool, (events,)
    """
    return (region == LOW) | (region == HIGH)


# The overlapping sets of CMS-EXO-22-026, GeV: each inner interval is a window, its two neighbours are its sidebands.
CMS_ALPHA = (1450.0, 1650.0, 2017.0, 2465.0, 3013.0, 3682.0, 4500.0, 5500.0, 8000.0)
CMS_BETA = (1492.0, 1824.0, 2230.0, 2725.0, 3331.0, 4071.0, 4975.0, 6081.0, 8000.0)


class WindowError(JepaCoffeaError, ValueError):
    """Windows, sidebands, fit range and bins that do not fit together."""


@dataclass(frozen=True)
class Window:
    """One signal window [low, high) between the sidebands [sideband_low, low) and [high, sideband_high), in GeV.

    Raises
    ------
    WindowError
        If the window and its sidebands do not follow one another.
    """

    low: float
    high: float
    sideband_low: float
    sideband_high: float
    name: str = "window"

    def __post_init__(self) -> None:
        edges = (self.sideband_low, self.low, self.high, self.sideband_high)
        if not all(np.isfinite(edges)) or not all(a < b for a, b in pairwise(edges)):
            msg = (
                f"window {self.name!r}: expected sideband_low < low < high < sideband_high, got "
                f"{' , '.join(f'{edge:g}' for edge in edges)}; both sidebands must have a width"
            )
            raise WindowError(msg)

    def region(self, mass: npt.ArrayLike) -> npt.NDArray[np.int8]:
        """The region of each event.

        Parameters
        ----------
        mass
            GeV, (events,).

        Returns
        -------
        array of int8, (events,)
            LOW, WINDOW, HIGH or OUTSIDE.
        """
        values = np.asarray(mass, dtype=float)
        region = np.full(values.shape, OUTSIDE, np.int8)
        region[(values >= self.sideband_low) & (values < self.low)] = LOW
        region[(values >= self.low) & (values < self.high)] = WINDOW
        region[(values >= self.high) & (values < self.sideband_high)] = HIGH
        return region


def log_bins(low: float, high: float, bins: int, through: Sequence[float] = ()) -> tuple[float, ...]:
    """Bins of about equal width in log(mass).

    Parameters
    ----------
    low, high
        First and last edge, GeV.
    bins
        About how many; between two fixed edges the width is what fits a whole number of bins.
    through
        Masses, GeV, at which there must be an edge, so that every window is a union of bins.

    Returns
    -------
    tuple of float
        Edges, GeV.

    Raises
    ------
    WindowError
        If there is no range or no bin.
    """
    if not 0 < low < high or bins < 1:
        msg = f"log_bins: expected 0 < low < high and at least one bin, got {low:g}, {high:g}, {bins}"
        raise WindowError(msg)
    fixed = sorted({float(low), float(high), *(float(edge) for edge in through if low < edge < high)})
    step = np.log(high / low) / bins
    edges: list[float] = []
    for start, stop in pairwise(fixed):
        inside = max(1, round(np.log(stop / start) / step))
        edges += np.geomspace(start, stop, inside + 1)[:-1].tolist()
    return (*edges, float(high))


@dataclass(frozen=True)
class Windows:
    """Signal windows over one binned mass axis.

    Raises
    ------
    WindowError
        If windows, sidebands, fit range and bins do not fit together.

    Examples
    --------
    >>> from jepa_coffea.cwola import Windows
    >>> windows = Windows.single(2600, 3000, sidebands=(2200, 3600), fit_range=(2000, 5000), bins=25)
    >>> windows.windows[0].region([2100, 2500, 2700, 3400]).tolist()
    [2, -1, 0, 1]
    >>> windows.fit_range
    (2000.0, 5000.0)
    """

    windows: tuple[Window, ...]
    """In the order in which results are given; none where there is only a mass axis."""
    edges: tuple[float, ...]
    """Bin edges in GeV; the first and last are the range of the background fit. Every window and sideband edge inside
    the fit range is a bin edge, so that masking a window masks whole bins."""

    def __post_init__(self) -> None:
        edges = np.asarray(self.edges, dtype=float)
        if edges.ndim != 1 or len(edges) < 2 or not np.isfinite(edges).all() or not (np.diff(edges) > 0).all():
            msg = f"Windows: expected bin edges that increase strictly, got {self.edges}"
            raise WindowError(msg)
        for window in self.windows:
            self._check(window, edges)
        names = [window.name for window in self.windows]
        if len(set(names)) < len(names):
            msg = f"Windows: expected a different name for each window, got {names}"
            raise WindowError(msg)

    def _check(self, window: Window, edges: npt.NDArray[np.float64]) -> None:
        if window.sideband_low < edges[0] or window.sideband_high > edges[-1]:
            msg = (
                f"window {window.name!r}: its sidebands {window.sideband_low:g}-{window.sideband_high:g} GeV leave the "
                f"fit range {edges[0]:g}-{edges[-1]:g} GeV; widen the range or shrink the sidebands"
            )
            raise WindowError(msg)
        for edge in (window.low, window.high):
            if not np.isclose(edges, edge, rtol=1e-9, atol=0).any():
                near = edges[np.abs(edges - edge).argmin()]
                msg = (
                    f"window {window.name!r}: its edge {edge:g} GeV is no bin edge (nearest {near:g}); a window must "
                    "be a union of bins: move it, or give a number of bins and let them be aligned"
                )
                raise WindowError(msg)

    @classmethod
    def custom(
        cls,
        windows: Sequence[Window],
        *,
        fit_range: tuple[float, float] | None = None,
        bins: int | Sequence[float] = 40,
    ) -> "Windows":
        """Any windows.

        Parameters
        ----------
        windows
            The windows; none for a mass axis alone.
        fit_range
            GeV; if not given, that of the bin edges or the span of all sidebands.
        bins
            Number of logarithmic bins, aligned to the windows, or the edges themselves, GeV.

        Returns
        -------
        Windows

        Raises
        ------
        WindowError
            If they do not fit together.
        """
        if not isinstance(bins, int):
            if fit_range is not None and not np.allclose(fit_range, (bins[0], bins[-1])):
                msg = f"Windows: fit range {fit_range} and bin edges {bins[0]:g}-{bins[-1]:g} disagree; give one"
                raise WindowError(msg)
            return cls(tuple(windows), tuple(float(edge) for edge in bins))
        if not windows and fit_range is None:
            msg = "Windows: expected at least one window, or for a mass axis alone a fit_range or bin edges"
            raise WindowError(msg)
        low, high = fit_range or (min(w.sideband_low for w in windows), max(w.sideband_high for w in windows))
        through = [edge for w in windows for edge in (w.sideband_low, w.low, w.high, w.sideband_high)]
        return cls(tuple(windows), log_bins(low, high, bins, through))

    @classmethod
    def single(cls, low: float, high: float, *, sidebands: tuple[float, float], **axis: Any) -> "Windows":
        """One window.

        Parameters
        ----------
        low, high
            The window is [low, high), GeV.
        sidebands
            Their outer edges, GeV.
        **axis
            ``fit_range`` and ``bins`` as for :meth:`custom`.

        Returns
        -------
        Windows
        """
        return cls.custom([Window(low, high, *sidebands)], **axis)

    @classmethod
    def overlapping(cls, *sets: Sequence[float], **axis: Any) -> "Windows":
        """Windows that share edges: of each set, every inner interval is a window and its neighbours are the sidebands.

        Parameters
        ----------
        *sets
            Edges in GeV, at least four a set; by default ``CMS_ALPHA`` and ``CMS_BETA``. Windows of the first set are
            named A1, A2, ..., of the second B1, B2, ...
        **axis
            ``fit_range`` and ``bins`` as for :meth:`custom`.

        Returns
        -------
        Windows

        Raises
        ------
        WindowError
            If a set has fewer than four edges, or there are more sets than letters.
        """
        windows = []
        if len(sets) > len(ascii_uppercase):
            msg = f"Windows: expected at most {len(ascii_uppercase)} sets of edges, got {len(sets)}"
            raise WindowError(msg)
        for letter, edges in zip(ascii_uppercase, sets or (CMS_ALPHA, CMS_BETA), strict=False):
            if len(edges) < 4:
                msg = f"Windows: expected at least 4 edges in a set (two sidebands and a window), got {list(edges)}"
                raise WindowError(msg)
            windows += [
                Window(edges[i], edges[i + 1], edges[i - 1], edges[i + 2], f"{letter}{i}")
                for i in range(1, len(edges) - 2)
            ]
        return cls.custom(windows, **axis)

    @property
    def fit_range(self) -> tuple[float, float]:
        """Range of the background fit.

        Returns
        -------
        low, high : float
            GeV.
        """
        return self.edges[0], self.edges[-1]

    def inside(self, mass: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Which events lie in the fit range.

        Parameters
        ----------
        mass
            GeV, (events,).

        Returns
        -------
        array of bool, (events,)
        """
        values = np.asarray(mass, dtype=float)
        return (values >= self.edges[0]) & (values < self.edges[-1])

    def histogram(self, mass: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Events per bin.

        Parameters
        ----------
        mass
            GeV, (events,).

        Returns
        -------
        array of float, (bins,)
        """
        values = np.asarray(mass, dtype=float)  # the last edge is outside, as for windows and sidebands
        return np.histogram(values[self.inside(values)], bins=np.asarray(self.edges))[0].astype(float)

    def bins_of(self, window: Window) -> npt.NDArray[np.bool_]:
        """Which bins lie in a window.

        Parameters
        ----------
        window
            One of the windows.

        Returns
        -------
        array of bool, (bins,)
        """
        centres = (np.asarray(self.edges)[1:] + np.asarray(self.edges)[:-1]) / 2
        return (centres >= window.low) & (centres < window.high)
