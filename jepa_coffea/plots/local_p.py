"""Local p-value against mass, as counted and after calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from jepa_coffea.bumphunt.scan import Scan
from jepa_coffea.bumphunt.significance import p_value
from jepa_coffea.plots.style import MARKERS, Header, curve_style, styled, write_header

UNDERFLOW = 1e-200
"""Smallest p-value that is drawn; the axis ends some tens of powers of ten below it, where numbers still are."""

MOST_LINES = 8
"""Most lines of whole standard deviations."""

MOST_TICKS = 7
"""Most p-values that are named on the axis above the text."""


@dataclass(frozen=True)
class CorrectedPoint:
    """A calibrated result of a window, for the picture of local p-values."""

    window: tuple[float, float]
    """GeV."""
    z: float
    """Corrected significance."""
    z_error: float
    """Its error from the number of pseudo-experiments."""


def sigma_lines(ax: Axes, smallest_p: float) -> None:
    """Dotted lines at whole standard deviations, named beside the picture.

    Parameters
    ----------
    ax
        Where p-values are drawn on a logarithmic axis.
    smallest_p
        The lines go down to it; with many, only every second or third is drawn.
    """
    whole = [sigma for sigma in range(1, 38) if float(p_value(sigma)) >= smallest_p]
    step = int(np.ceil(len(whole) / MOST_LINES)) or 1
    for sigma in whole[step - 1 :: step]:
        p = float(p_value(sigma))
        ax.axhline(p, color="0.45", lw=1, ls=":")
        ax.text(1.01, p, rf"{sigma}$\,\sigma$", transform=ax.get_yaxis_transform(), va="center", fontsize=15)


@styled
def plot_scan(
    scans: Mapping[str, Scan | Sequence[Scan]],
    *,
    global_p: float | None = None,
    global_is_bound: bool = False,
    corrected: Mapping[str, Sequence[CorrectedPoint]] | None = None,
    calibrated: bool = False,
    xlabel: str = "Resonance mass [GeV]",
    header: Header | None = None,
) -> Figure:
    """Local p-value against mass, a colour per label; fitted deficits are at p > 0.5, near the top of the picture.

    Parameters
    ----------
    scans
        Label -> scan. Several scans under one label, such as those of several windows, are curves of one colour.
    global_p
        Of the largest excess.
    global_is_bound
        Whether no toy reaches as far, so that ``global_p`` is an upper bound.
    corrected
        Label -> calibrated results of its windows, drawn as points of the label's colour.
    calibrated
        Whether the curves' p-values hold as they are. Otherwise the axis says that they are as counted.
    xlabel
        Of the mass axis.
    header
        Line above the picture.

    Returns
    -------
    Figure
    """
    figure = Figure(figsize=(10, 7.4))
    ax = figure.subplots()
    groups = {label: [scan] if isinstance(scan, Scan) else list(scan) for label, scan in scans.items()}
    flat = [scan for group in groups.values() for scan in group]
    points = [point for group in (corrected or {}).values() for point in group]
    smallest = min([float(scan.p0.min()) for scan in flat] + [float(p_value(point.z)) for point in points])
    floor = max(min(smallest, float(p_value(3))), UNDERFLOW)
    for index, (label, group) in enumerate(groups.items()):
        for number, scan in enumerate(group):
            p = np.maximum(scan.p0, UNDERFLOW)
            ax.plot(scan.masses, p, **curve_style(index), label=label if number == 0 else None)
        for number, point in enumerate((corrected or {}).get(label, ())):
            _draw_point(ax, point, index, f"{label}, corrected" if number == 0 else None)
    strongest = min(flat, key=lambda scan: float(scan.p0.min()))
    mass, lowest = strongest.masses[strongest.best], max(float(strongest.p0[strongest.best]), UNDERFLOW)
    ax.plot([mass], [lowest], "o", ms=9, mfc="none", mec="black", mew=1.6)
    largest = f"Largest excess{'' if calibrated else ' as counted, uncalibrated'}"
    lines = [f"{largest}: {mass:.0f} GeV, local $Z$ = {strongest.z[strongest.best]:.2f}"]
    if points:
        best = max(points, key=lambda point: point.z)
        lines.append(
            rf"After calibration: {best.window[0]:.0f} to {best.window[1]:.0f} GeV, local $Z$ = {best.z:.2f} $\pm$ "
            f"{best.z_error:.2f}"
        )
    if global_p is not None:
        lines.append(f"Global $p$ {'<' if global_is_bound else '='} {global_p:.2g}")
    # Text below everything and the legend above everything, each with a share of the picture for its lines.
    decades = np.log10(6 / floor)
    entries = len(scans) + len(corrected or {})
    below, above = 0.06 + 0.055 * len(lines), 0.03 + 0.055 * -(-entries // 3)
    whole = decades / (1 - below - above)
    bottom, top = floor / 10 ** (below * whole), 6 * 10 ** (above * whole)
    ax.text(0.03, 0.03, "\n".join(lines), transform=ax.transAxes, va="bottom", fontsize=15, linespacing=1.4)
    sigma_lines(ax, floor)
    every = np.concatenate([scan.masses for scan in flat])
    ax.set(yscale="log", ylim=(bottom, top), xlim=(every.min(), every.max()), xlabel=xlabel)
    # A p-value is at most 1; above it there is only the legend.
    step = int(np.ceil(decades / MOST_TICKS)) or 1
    ax.set_yticks([10.0**-exponent for exponent in range(0, int(-np.log10(bottom)) + 1, step)])
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set_ylabel(r"Local $p_0$" if calibrated else r"Local $p_0$ as counted (uncalibrated)")
    if points:
        ax.set_ylabel(r"Local $p_0$; curves uncalibrated, points corrected", fontsize=18)
    ax.legend(loc="upper right", ncols=min(3, entries), fontsize=14)
    write_header(ax, header or Header())
    return figure


def _draw_point(ax: Axes, point: CorrectedPoint, index: int, label: str | None) -> None:
    """A calibrated p-value with its error, across its window."""
    low, high = point.window
    p, least, most = (max(float(p_value(point.z + shift * point.z_error)), UNDERFLOW) for shift in (0, 1, -1))
    ax.errorbar(
        [(low + high) / 2],
        [p],
        [[p - least], [most - p]],
        [[(high - low) / 2]],
        fmt=MARKERS[index % len(MARKERS)],
        color=curve_style(index)["color"],
        mec="black",
        ms=10,
        lw=1.8,
        zorder=5,
        label=label,
    )
