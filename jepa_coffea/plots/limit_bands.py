"""Upper limits against mass or width: observed, expected, and the green and yellow band."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from jepa_coffea.bumphunt.limits import LimitCurve
from jepa_coffea.plots.style import Header, styled, write_header

GREEN, YELLOW = "#607641", "#F5BB54"
"""Of the 68 and 95 % bands: green and yellow as the field has them, in shades that stay apart without colours."""


@styled
def plot_limits(
    curve: LimitCurve,
    *,
    observed: bool = True,
    note: str = "",
    ylabel: str | None = None,
    xlabel: str | None = None,
    header: Header | None = None,
) -> Figure:
    """Observed and expected CLs limits, in fb where the curve has cross-sections, in signal events otherwise.

    Parameters
    ----------
    curve
        Against mass or width; a gap where there is no limit.
    observed
        Whether the data are drawn; a blinded search shows the expected limits alone.
    note
        A sentence in the picture, such as the signal's width or whether the numbers are calibrated.
    ylabel
        By default what the limit is on.
    xlabel
        By default mass or width.
    header
        Line above the picture.

    Returns
    -------
    Figure
    """
    figure = Figure(figsize=(10, 7.4))
    ax = figure.subplots()
    in_fb = curve.in_fb
    data, expected = (
        (curve.cross_section, curve.expected_cross_section) if in_fb else (curve.events, curve.expected_events)
    )
    bands = expected.T
    x = curve.points if curve.axis == "mass" else 100 * curve.points
    ax.fill_between(x, bands[0], bands[4], color=YELLOW, lw=0, label="95 % expected")
    ax.fill_between(x, bands[1], bands[3], color=GREEN, lw=0, label="68 % expected")
    ax.plot(x, bands[2], color="black", ls="--", label="Median expected")
    drawn = [np.nanmin(bands), np.nanmax(bands)]
    if observed:
        ax.plot(x, data, color="black", marker="o", ms=6, label="Observed")
        drawn += [np.nanmin(data), np.nanmax(data)]
    default = "Resonance mass [GeV]" if curve.axis == "mass" else "Width over mass [%]"
    ax.set(yscale="log", xlabel=xlabel or default, xlim=(float(x.min()), float(x.max())))
    unit = r"$\sigma\,\mathcal{B}$ [fb]" if in_fb else "signal events"
    ax.set_ylabel(ylabel or f"{100 * curve.level:g}$\\,$% CL upper limit on {unit}")
    low, high = float(min(drawn)), float(max(drawn))
    ax.set_ylim(low / (high / low) ** 0.12 / 1.3, high * (high / low) ** 0.45 * 1.6)
    ax.legend(loc="upper right")
    if note:
        ax.text(0.03, 0.035, note, transform=ax.transAxes, va="bottom", fontsize=15)
    write_header(ax, header or Header())
    return figure
