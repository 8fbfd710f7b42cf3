"""The largest local significance anywhere, in toys and in data."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from jepa_coffea.bumphunt.global_significance import GlobalSignificance
from jepa_coffea.plots.style import COLOURS, Header, styled, write_header


@styled
def plot_global(result: GlobalSignificance, *, header: Header | None = None) -> Figure:
    """Distribution of the largest local Z over background-only toys, with the data's as a line.

    Parameters
    ----------
    result
        With its toys. Where none of them reached the data the picture says that p is a bound; failed toys are counted
        in words.
    header
        Line above the picture.

    Returns
    -------
    Figure
    """
    figure = Figure(figsize=(10, 7.4))
    ax = figure.subplots()
    maxima = result.maxima[np.isfinite(result.maxima)]
    highest = max(float(maxima.max()), result.local_z) + 0.5
    # The data are at the edge of a bin, so that none holds toys from both sides of them.
    width = (highest - min(float(maxima.min()), 0)) / 45
    below = int(np.ceil((result.local_z - min(float(maxima.min()), 0)) / width))
    bins = result.local_z + width * np.arange(-below, 46 - below + 1)
    values, _ = np.histogram(maxima, bins)
    ax.stairs(values, bins, fill=True, color=COLOURS[0], alpha=0.45)
    failed = f", {result.failed} failed" if result.failed else ""
    ax.stairs(values, bins, color=COLOURS[0], label=f"{result.toys} background-only toys, refitted{failed}")
    beyond = np.histogram(maxima[maxima >= result.local_z], bins)[0]
    ax.stairs(beyond, bins, fill=True, color=COLOURS[2], alpha=0.8, hatch="//")
    ax.axvline(result.local_z, ymax=0.6, color="black", lw=2.4, label=f"Data: local $Z$ = {result.local_z:.2f}")
    sign, than = ("<", ">") if result.is_bound else ("=", "=")
    lines = [
        f"{result.hypotheses} hypotheses",
        f"Global $p$ {sign} {result.p:.2g}   ($Z$ {than} {result.z:.2f})",
    ]
    if np.isfinite(result.gross_vitells_p):
        lines.append(f"Gross-Vitells: $p$ < {result.gross_vitells_p:.2g}")
    ax.text(0.965, 0.83, "\n".join(lines), transform=ax.transAxes, ha="right", va="top", fontsize=16, linespacing=1.5)
    ax.set(yscale="log", ylim=(0.5, max(values.max(), 5) ** 1.9), xlim=(bins[0], bins[-1]))
    ax.set_xlabel(r"Largest local $Z$")
    ax.set_ylabel("Toys")
    ax.legend(loc="upper right")
    write_header(ax, header or Header())
    return figure
