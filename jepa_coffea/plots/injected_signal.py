"""Injection studies: a result against the injected yield."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from jepa_coffea.plots.classifier import Band
from jepa_coffea.plots.style import COLOURS, MARKERS, Header, curve_style, styled, write_header


@styled
def plot_injection(
    curves: Mapping[str, Band],
    *,
    ylabel: str = r"Significance $Z$ as counted (uncalibrated)",
    xlabel: str = "Injected signal events",
    reference: Literal["none", "identity", "sigma"] = "sigma",
    identity: str = "Perfect",
    header: Header | None = None,
) -> Figure:
    """Median and 16-84 % band of a result against the injected yield, a curve per method.

    Parameters
    ----------
    curves
        Method -> ``x`` injected events, ``y`` the answer; what is infinite is left out.
    ylabel
        What the answer is; by default a significance as counted, not calibrated.
    xlabel
        Of the other axis.
    reference
        ``"sigma"`` draws the lines of 3 and 5 standard deviations, ``"identity"`` the line of a perfect yield
        (linearity).
    identity
        What that line is called.
    header
        Line above the picture.

    Returns
    -------
    Figure
    """
    figure = Figure(figsize=(10, 7.4))
    ax = figure.subplots()
    points = [np.asarray(curve.x, dtype=float) for curve in curves.values()]
    spread = 0.006 * (max(x.max() for x in points) - min(x.min() for x in points))
    for index, (label, curve) in enumerate(curves.items()):
        colour = COLOURS[index % len(COLOURS)]
        # Side by side, so that error bars of several methods can be told apart.
        x = np.asarray(curve.x, dtype=float) + spread * (index - (len(curves) - 1) / 2)
        y = _finite(curve.y)
        ax.plot(x, y, **curve_style(index), marker=MARKERS[index % len(MARKERS)], ms=8, label=label)
        if curve.low is not None and curve.high is not None:
            low, high = _finite(curve.low), _finite(curve.high)
            ax.fill_between(x, low, high, color=colour, alpha=0.15, lw=0)
            ax.errorbar(x, y, [np.maximum(y - low, 0), np.maximum(high - y, 0)], fmt="none", color=colour, lw=1.4)
    left, right = ax.get_xlim()
    if reference == "identity":
        ends = np.array([max(left, 0), right])
        ax.plot(ends, ends, color="black", ls="--", lw=1.3, label=identity)
    if reference == "sigma":
        for sigma in (3, 5):
            ax.axhline(sigma, color="0.4", ls=":", lw=1.2)
            ax.text(1.01, sigma, rf"{sigma}$\,\sigma$", va="center", fontsize=15, transform=ax.get_yaxis_transform())
    ax.set_xlim(left, right)
    bottom, top = ax.get_ylim()
    ax.set_ylim(min(bottom, 0.0), top + (0.1 + 0.065 * len(curves)) * (top - bottom))
    ax.set(xlabel=xlabel)
    ax.set_ylabel(ylabel)
    ax.legend(loc="upper left")
    write_header(ax, header or Header())
    return figure


def _finite(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Values of which infinite ones are NaN, which are not drawn."""
    array = np.asarray(values, dtype=float)
    return np.where(np.isfinite(array), array, np.nan)
