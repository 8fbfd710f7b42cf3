"""Local p0 against mass, and the limits against mass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jepa_coffea.bumphunt.limits import Limit
from jepa_coffea.bumphunt.newton import Array
from jepa_coffea.bumphunt.scan import Scan
from jepa_coffea.bumphunt.significance import p_value
from jepa_coffea.plots.style import COLOURS, Header, styled, write_header


def sigma_lines(ax: Axes, smallest_p: float) -> None:
    """Dotted lines at whole standard deviations, named beside the picture, down to the smallest p shown."""
    for sigma in range(1, 9):
        p = float(p_value(sigma))
        if p < smallest_p:
            break
        ax.axhline(p, color="0.45", lw=1, ls=":")
        ax.text(1.01, p, rf"{sigma}$\,\sigma$", transform=ax.get_yaxis_transform(), va="center", fontsize=15)


@styled
def plot_scan(
    scans: Mapping[str, Scan | Sequence[Scan]],
    *,
    global_p: float | None = None,
    xlabel: str = "Resonance mass [GeV]",
    header: Header | None = None,
) -> Figure:
    """Local p0 against mass, a colour per label; fitted deficits are at p0 > 0.5, near the top of the picture.

    scans: several scans under one label, such as those of several windows, are curves of one colour.
    """
    figure = Figure(figsize=(10, 7.4))
    ax = figure.subplots()
    groups = {label: [scan] if isinstance(scan, Scan) else list(scan) for label, scan in scans.items()}
    flat = [scan for group in groups.values() for scan in group]
    smallest = min(float(scan.p0.min()) for scan in flat)
    floor = min(smallest, float(p_value(3))) / 25
    for index, (label, group) in enumerate(groups.items()):
        for number, scan in enumerate(group):
            colour = COLOURS[index % len(COLOURS)]
            ax.plot(scan.masses, scan.p0, color=colour, label=label if number == 0 else None)
    strongest = min(flat, key=lambda scan: float(scan.p0.min()))
    mass, p = strongest.masses[strongest.best], strongest.p0[strongest.best]
    ax.plot([mass], [p], "o", ms=9, mfc="none", mec="black", mew=1.6)
    note = rf"Largest excess: {mass:.0f} GeV, local $Z$ = {strongest.z[strongest.best]:.2f}"
    if global_p is not None:
        note += f"\nGlobal $p$ = {global_p:.2g}"
    ax.text(0.03, 0.035, note, transform=ax.transAxes, va="bottom", fontsize=16)
    sigma_lines(ax, floor * 1.5)
    every = np.concatenate([scan.masses for scan in flat])
    ax.set(yscale="log", ylim=(floor, 6), xlim=(every.min(), every.max()), xlabel=xlabel)
    ax.set_ylabel(r"Local $p_0$")
    ax.legend(loc="upper right", ncols=min(3, len(scans)))
    write_header(ax, header or Header())
    return figure


@styled
def plot_limits(
    masses: Sequence[float] | Array,
    limits: Sequence[Limit],
    *,
    cross_section: bool = False,
    ylabel: str | None = None,
    xlabel: str = "Resonance mass [GeV]",
    header: Header | None = None,
) -> Figure:
    """Observed and expected CLs limits against mass, on signal events or on the cross-section."""
    figure = Figure(figsize=(10, 7.4))
    ax = figure.subplots()
    observed = np.array([limit.cross_section if cross_section else limit.events for limit in limits])
    bands = np.array([limit.expected_cross_section if cross_section else limit.expected_events for limit in limits]).T
    ax.fill_between(masses, bands[0], bands[4], color="#ffdf7f", lw=0, label="95 % of background-only data")
    ax.fill_between(masses, bands[1], bands[3], color="#607641", alpha=0.75, lw=0, label="68 %")
    ax.plot(masses, bands[2], color="black", ls="--", label="Median expected")
    ax.plot(masses, observed, color="black", marker="o", ms=6, label="Observed")
    default = "cross-section" if cross_section else "signal events"
    ax.set(yscale="log", xlabel=xlabel, xlim=(float(np.min(masses)), float(np.max(masses))))
    ax.set_ylabel(ylabel or f"{limits[0].level:.0%} CL limit on {default}".replace("%", r"$\,$%"))
    low, high = float(min(bands.min(), observed.min())), float(max(bands.max(), observed.max()))
    ax.set_ylim(low / 2, high * 6)
    ax.legend(loc="upper right")
    write_header(ax, header or Header())
    return figure
