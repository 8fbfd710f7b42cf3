"""What a classifier can do: ROC, significance improvement, and the distributions of its score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from jepa_coffea.plots.style import COLOURS, Header, curve_style, styled, write_header


@dataclass(frozen=True, eq=False)
class Band:
    """A curve with a band around it; ``low`` and ``high`` may be left out."""

    x: npt.ArrayLike
    """[point]."""
    y: npt.ArrayLike
    """[point]."""
    low: npt.ArrayLike | None = None
    high: npt.ArrayLike | None = None


@styled
def plot_roc(curves: Mapping[str, Band], *, header: Header | None = None) -> Figure:
    """Background rejection against signal efficiency.

    Parameters
    ----------
    curves
        Label -> ``x`` signal efficiency and ``y`` background efficiency; points without background are left out.
    header
        Line above the picture.

    Returns
    -------
    Figure
    """
    figure = Figure(figsize=(9, 8))
    ax = figure.subplots()
    for index, (label, curve) in enumerate(curves.items()):
        signal, background = np.asarray(curve.x, dtype=float), np.asarray(curve.y, dtype=float)
        seen = background > 0
        ax.plot(signal[seen], 1 / background[seen], **curve_style(index), label=label)
    diagonal = np.linspace(0.01, 1, 100)
    ax.plot(diagonal, 1 / diagonal, color="black", lw=1, label="No separation")
    ax.set(yscale="log", xlim=(0, 1), xlabel="Signal efficiency")
    ax.set_ylim(1, ax.get_ylim()[1] * 3)
    ax.set_ylabel("1 / background efficiency")
    ax.legend(loc="upper right")
    write_header(ax, header or Header())
    return figure


@styled
def plot_sic(curves: Mapping[str, Band], *, floor: float, header: Header | None = None) -> Figure:
    """Significance improvement (signal efficiency over root of background efficiency) with its statistical floor.

    Parameters
    ----------
    curves
        Label -> ``x`` background efficiency, ``y`` improvement.
    floor
        Background efficiency left of which too few background events pass for the curves to mean anything; that part
        is shaded.
    header
        Line above the picture.

    Returns
    -------
    Figure
    """
    figure = Figure(figsize=(10, 7.4))
    ax = figure.subplots()
    highest = 1.0
    for index, (label, curve) in enumerate(curves.items()):
        colour, x = COLOURS[index % len(COLOURS)], np.asarray(curve.x, dtype=float)
        y = np.asarray(curve.y, dtype=float)
        ax.plot(x, y, **curve_style(index), label=label)
        if curve.low is not None and curve.high is not None:
            ax.fill_between(
                x, np.asarray(curve.low, float), np.asarray(curve.high, float), color=colour, alpha=0.25, lw=0
            )
        meaningful = y[(x >= floor) & np.isfinite(y)]
        highest = max(highest, float(meaningful.max())) if len(meaningful) else highest
    lowest = min(
        float(np.nanmin(np.asarray(c.x, dtype=float)[np.asarray(c.x, dtype=float) > 0])) for c in curves.values()
    )
    start = min(lowest, floor / 2)
    ax.axhline(1, color="0.4", ls="--", lw=1.2)
    ax.axvspan(start, floor, color="0.9", lw=0, zorder=0)
    ax.text(
        floor * 0.92,
        0.02,
        "too few events",
        rotation=90,
        ha="right",
        va="bottom",
        fontsize=13,
        color="0.3",
        bbox={"facecolor": "0.9", "edgecolor": "none", "pad": 1.5},
        transform=ax.get_xaxis_transform(),
    )
    ax.set(xscale="log", xlim=(start, 1), ylim=(0, highest * 1.35), xlabel="Background efficiency")
    ax.set_ylabel(r"Significance improvement $\epsilon_S\,/$ √$\epsilon_B$")
    ax.legend(loc="upper right")
    write_header(ax, header or Header())
    return figure


@styled
def plot_scores(
    scores: Mapping[str, npt.ArrayLike],
    *,
    xlabel: str = "Classifier score",
    thresholds: Mapping[str, float] | None = None,
    header: Header | None = None,
) -> Figure:
    """Normalised score distributions, for instance of window, low and high sideband.

    Parameters
    ----------
    scores
        Label -> [event].
    xlabel
        What the score is.
    thresholds
        Label -> score, drawn as lines.
    header
        Line above the picture.

    Returns
    -------
    Figure
    """
    figure = Figure(figsize=(10, 7.4))
    ax = figure.subplots()
    arrays = {label: np.asarray(values, dtype=float) for label, values in scores.items()}
    every = np.concatenate(list(arrays.values()))
    bins = np.linspace(float(every.min()), float(every.max()), 41)
    centres, width = (bins[1:] + bins[:-1]) / 2, bins[1] - bins[0]
    for index, (label, values) in enumerate(arrays.items()):
        counts = np.histogram(values, bins)[0]
        colour, norm = COLOURS[index % len(COLOURS)], len(values) * width
        ax.stairs(counts / norm, bins, **curve_style(index), lw=2.2, label=f"{label} ({len(values)})")
        seen = counts > 0
        ax.errorbar(
            centres[seen], (counts / norm)[seen], (np.sqrt(counts) / norm)[seen], fmt="none", color=colour, lw=1.2
        )
    for label, value in (thresholds or {}).items():
        ax.axvline(value, ymax=0.65, color="0.35", ls="--", lw=1.4)
        ax.text(
            value,
            0.655,
            label,
            ha="center",
            va="bottom",
            rotation=90,
            fontsize=13,
            color="0.3",
            transform=ax.get_xaxis_transform(),
        )
    ax.set(yscale="log", xlim=(bins[0], bins[-1]), xlabel=xlabel)
    ax.set_ylim(top=ax.get_ylim()[1] * 25)
    ax.set_ylabel("Probability density")
    ax.legend(loc="upper right")
    write_header(ax, header or Header())
    return figure
