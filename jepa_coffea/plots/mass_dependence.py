"""The efficiency of a selection and the score of a classifier against mass: does the selection sculpt the spectrum."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from scipy import stats

from jepa_coffea.bumphunt.spectrum import Interval
from jepa_coffea.plots.style import COLOURS, Header, curve_style, styled, write_header


@styled
def plot_efficiency(
    edges: npt.ArrayLike,
    total: npt.ArrayLike,
    passed: Mapping[str, npt.ArrayLike],
    *,
    window: Interval | None = None,
    xlabel: str = r"$m_{jj}$ [GeV]",
    header: Header | None = None,
) -> Figure:
    """Selection efficiency against mass over its mean outside the window, with Clopper-Pearson intervals.

    Parameters
    ----------
    edges
        [bin + 1], GeV.
    total
        [bin]: events before the selection.
    passed
        Label -> [bin] events after a selection. Bins that expect less than one event to pass are left empty.
    window
        GeV; shaded, and left out of the mean.
    xlabel
        Of the mass axis.
    header
        Line above the picture.

    Returns
    -------
    Figure
    """
    edges, n = np.asarray(edges, dtype=float), np.asarray(total, dtype=float)
    figure = Figure(figsize=(10, max(6.4, 2.4 + 2.5 * len(passed))))
    axes = figure.subplots(len(passed), 1, sharex=True, squeeze=False)[:, 0]
    figure.subplots_adjust(hspace=0.09)
    centres, half = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2
    outside = np.ones(len(n), dtype=bool)
    if window is not None:
        outside = (edges[1:] <= window[0]) | (edges[:-1] >= window[1])
    for index, (ax, (label, counts)) in enumerate(zip(axes, passed.items(), strict=True)):
        k = np.asarray(counts, dtype=float)
        mean = k[outside].sum() / n[outside].sum()
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = k / n / mean
            low = np.where(k > 0, stats.beta.ppf(0.1587, k, n - k + 1), 0) / mean
            high = np.where(k < n, stats.beta.ppf(0.8413, k + 1, n - k), 1) / mean
        good = n * mean >= 1
        error = np.maximum([(ratio - low)[good], (high - ratio)[good]], 0)
        ax.errorbar(centres[good], ratio[good], error, half[good], fmt="o", ms=5, lw=1.4, color=COLOURS[index % 10])
        ax.axhline(1, color="black", ls="--", lw=1.2)
        if window is not None:
            ax.axvspan(*window, color="0.9", lw=0, zorder=0)
        # Bins that expect few events have errors of several times the mean: those may leave the picture.
        sure = good & (n * mean > 4)
        ax.set_ylim(0, max(2.0, 1.4 * float(high[sure].max())) if sure.any() else 2.0)
        ax.set_xlim(edges[0], edges[-1])
        ax.text(0.03, 0.9, f"{label} (mean {mean:.3g})", transform=ax.transAxes, va="top", fontsize=16)
        ax.set_ylabel("Efficiency / mean" if len(passed) < 3 or index == 0 else "", fontsize=17)
    axes[-1].set_xlabel(xlabel)
    write_header(axes[0], header or Header())
    return figure


@styled
def plot_score_profile(
    mass: npt.ArrayLike,
    score: npt.ArrayLike,
    edges: npt.ArrayLike,
    *,
    window: Interval | None = None,
    quantiles: tuple[float, ...] = (0.5, 0.9, 0.99),
    xlabel: str = r"$m_{jj}$ [GeV]",
    header: Header | None = None,
) -> Figure:
    """Quantiles of the score in bins of mass: level lines if the classifier does not know the mass.

    Parameters
    ----------
    mass
        [event], GeV.
    score
        [event].
    edges
        [bin + 1], GeV.
    window
        GeV; shaded.
    quantiles
        Of the score, in each bin.
    xlabel
        Of the mass axis.
    header
        Line above the picture.

    Returns
    -------
    Figure
    """
    m, s, bins = (np.asarray(values, dtype=float) for values in (mass, score, edges))
    figure = Figure(figsize=(10, 7.4))
    ax = figure.subplots()
    place = np.digitize(m, bins) - 1
    centres = (bins[1:] + bins[:-1]) / 2
    rng = np.random.default_rng(0)
    for index, quantile in enumerate(quantiles):
        values = np.full((len(centres), 3), np.nan)
        for i in range(len(centres)):
            inside = s[place == i]
            # A quantile needs a few events beyond it.
            if len(inside) * (1 - quantile) >= 3:
                resampled = np.quantile(rng.choice(inside, (60, len(inside))), quantile, axis=1)
                values[i] = np.quantile(inside, quantile), *np.percentile(resampled, [16, 84])
        if np.isnan(values).all():
            continue  # too few events in every bin
        colour = COLOURS[index % len(COLOURS)]
        ax.stairs(
            values[:, 0], bins, baseline=None, **curve_style(index), lw=2.2, label=f"{100 * quantile:g} % quantile"
        )
        ax.fill_between(
            np.repeat(bins, 2)[1:-1],
            np.repeat(values[:, 1], 2),
            np.repeat(values[:, 2], 2),
            color=colour,
            alpha=0.3,
            lw=0,
        )
    if window is not None:
        ax.axvspan(*window, color="0.9", lw=0, zorder=0)
    low, high = ax.get_ylim()
    ax.set(xlim=(bins[0], bins[-1]), ylim=(low, high + 0.3 * (high - low)), xlabel=xlabel)
    ax.set_ylabel("Classifier score")
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="upper right", ncols=len(quantiles))
    write_header(ax, header or Header())
    return figure
