"""Mass spectra with the fitted background, its sampled band, and pulls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from scipy import stats

from jepa_coffea.bumphunt.background import BackgroundFit
from jepa_coffea.bumphunt.newton import Array
from jepa_coffea.plots.style import COLOURS, MARKERS, Header, styled, write_header


@styled
def plot_spectra(
    fits: Mapping[str, BackgroundFit],
    *,
    signals: Mapping[str, Array] | None = None,
    notes: Sequence[str] = (),
    xlabel: str = r"$m_{jj}$ [GeV]",
    header: Header | None = None,
) -> Figure:
    """One panel with all spectra, and pulls below.

    The window is shaded; pulls are signed roots of each bin's deviance, filled where the fit did not look.

    Parameters
    ----------
    fits
        Label -> fit, for instance one per selection efficiency.
    signals
        Label -> [bin] expected or injected signal events, drawn dashed on top of the background of that label.
    notes
        Lines of text in the picture.
    xlabel
        Of the mass axis.
    header
        Line above the picture.

    Returns
    -------
    Figure
    """
    figure = Figure(figsize=(10, 7.6 + 1.7 * len(fits)))
    axes = figure.subplots(1 + len(fits), 1, sharex=True, squeeze=False, height_ratios=[5.6] + [1.5] * len(fits))[:, 0]
    figure.subplots_adjust(hspace=0.07)
    top: Axes = axes[0]
    lowest, highest = np.inf, 0.0
    entries: list[tuple[Any, str]] = []
    for index, (label, fit) in enumerate(fits.items()):
        colour = COLOURS[index % len(COLOURS)]
        low, high, entry = _draw_spectrum(top, fit, label, index, None if signals is None else signals.get(label))
        entries.append(entry)
        lowest, highest = min(lowest, low), max(highest, high)
        _draw_pulls(axes[1 + index], fit, colour)
        for ax in (top, axes[1 + index]):
            if fit.window is not None:
                ax.axvspan(*fit.window, color="0.88", lw=0, zorder=0)
    first = next(iter(fits.values()))
    top.set(yscale="log", xlim=(first.edges[0], first.edges[-1]))
    top.set_ylim(lowest / 3, highest * 12 ** (1 + 0.25 * len(fits)))
    top.set_ylabel("Events / GeV")
    entries.append((Patch(color="0.5", alpha=0.5), f"{first.function} fit, 68 and 95 % bands"))
    if signals:
        entries.append((Line2D([], [], color="0.3", ls="--"), "background + signal"))
    top.legend(*zip(*entries, strict=True), loc="upper right")
    for line, note in enumerate(notes):
        top.text(0.04, 0.055 + 0.06 * (len(notes) - 1 - line), note, transform=top.transAxes, fontsize=16)
    axes[-1].set_xlabel(xlabel)
    figure.align_ylabels(axes)
    write_header(top, header or Header())
    return figure


def _draw_spectrum(
    ax: Axes, fit: BackgroundFit, label: str, index: int, signal: Array | None
) -> tuple[float, float, tuple[Any, str]]:
    """Lowest and highest density drawn, and the entry of the legend."""
    colour = COLOURS[index % len(COLOURS)]
    spectrum = fit.spectrum
    widths, centres, n = spectrum.widths, spectrum.centres, fit.counts
    # Garwood intervals: 68 % central, and an upper limit only where nothing was seen.
    low = np.where(n > 0, stats.gamma.ppf(0.1587, np.maximum(n, 1e-9)), 0)
    high = stats.gamma.ppf(0.8413, n + 1)
    seen = n > 0
    points = ax.errorbar(
        centres[seen],
        (n / widths)[seen],
        yerr=np.array([(n - low) / widths, (high - n) / widths])[:, seen],
        fmt=MARKERS[index % len(MARKERS)],
        ms=5,
        color="black" if index == 0 else colour,
        mec="black",
        ecolor="black",
        lw=1.2,
        zorder=4,
    )
    fine = np.geomspace(fit.edges[0], fit.edges[-1], 201)
    sampled = fit.sample(edges=fine) / np.diff(fine)
    middle = (fine[1:] + fine[:-1]) / 2
    curve = fit.prediction(fine).yields / np.diff(fine)
    (line,) = ax.plot(middle, curve, color=colour, zorder=3)
    for level, alpha in ((0.954, 0.22), (0.6827, 0.4)):
        band = np.percentile(sampled, [50 * (1 - level), 50 * (1 + level)], axis=0)
        ax.fill_between(middle, *band, color=colour, alpha=alpha, lw=0, zorder=2)
    if signal is not None:
        together = (fit.expected + signal) / widths
        ax.stairs(together, fit.edges, color=colour, ls="--", lw=1.6)
    # Far below one event per bin there is nothing to see: the axis may end there.
    floor = max(float(curve.min()), 0.1 / float(widths.max()))
    return floor, float(max(curve.max(), (n / widths).max())), ((points, line), label)


def _draw_pulls(ax: Axes, fit: BackgroundFit, colour: str) -> None:
    pulls = fit.pulls()
    ax.stairs(np.where(fit.used, pulls, np.nan), fit.edges, fill=True, color=colour, alpha=0.55, zorder=2)
    ax.stairs(np.where(fit.used, np.nan, pulls), fit.edges, fill=True, color=COLOURS[2], alpha=0.75, zorder=2)
    ax.axhline(0, color="black", lw=1)
    for level in (-2, 2):
        ax.axhline(level, color="0.4", lw=0.8, ls=":")
    ax.set_ylim(min(-3.2, 1.15 * float(pulls.min())), max(3.2, 1.15 * float(pulls.max())))
    ax.set_ylabel("Pull", fontsize=17)
