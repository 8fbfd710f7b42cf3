"""Null distributions of Z, and how often p falls below each threshold."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FormatStrFormatter, NullFormatter
from scipy import stats

from jepa_coffea.bumphunt.calibrated import width_error
from jepa_coffea.bumphunt.significance import p_value
from jepa_coffea.plots.style import Header, curve_style, styled, write_header

LABELLED = 6
"""Most distributions that are named in the picture; more would cover it."""

SMALL = 15
"""Points of the text beside curves."""


@styled
def plot_calibration(
    nulls: Mapping[str, npt.ArrayLike], *, corrected: bool = False, header: Header | None = None
) -> Figure:
    """Both pictures of null pseudo-experiments side by side, for a slide.

    Parameters
    ----------
    nulls
        Label -> [experiment] Z of background-only pseudo-data.
    corrected
        Whether these are Z after calibration; the axis says so, or that they are as counted.
    header
        Line above the picture.

    Returns
    -------
    Figure
    """
    figure = Figure(figsize=(16, 7.2))
    left, right = figure.subplots(1, 2)
    figure.subplots_adjust(wspace=0.24)
    _draw_z(left, nulls, corrected)
    _draw_p(right, nulls, corrected)
    write_header(left, header or Header())
    return figure


@styled
def plot_null_z(nulls: Mapping[str, npt.ArrayLike], *, corrected: bool = False, header: Header | None = None) -> Figure:
    """Null pseudo-experiments: the distribution of Z against a unit Gaussian.

    Parameters
    ----------
    nulls
        Label -> [experiment] Z of background-only pseudo-data.
    corrected
        Whether these are Z after calibration; the axis says so, or that they are as counted.
    header
        Line above the picture.

    Returns
    -------
    Figure
    """
    figure = Figure(figsize=(10, 7.4))
    ax = figure.subplots()
    _draw_z(ax, nulls, corrected)
    write_header(ax, header or Header())
    return figure


@styled
def plot_null_p(nulls: Mapping[str, npt.ArrayLike], *, corrected: bool = False, header: Header | None = None) -> Figure:
    """Null pseudo-experiments: P(p < alpha) / alpha, which is 1 where p-values hold.

    Parameters
    ----------
    nulls
        Label -> [experiment] Z of background-only pseudo-data. The band is what the number of experiments of the first
        label allows for a perfect p-value (68 and 95 %).
    corrected
        Whether these are Z after calibration; the axis says so, or that they are as counted.
    header
        Line above the picture.

    Returns
    -------
    Figure
    """
    figure = Figure(figsize=(10, 7.4))
    ax = figure.subplots()
    _draw_p(ax, nulls, corrected)
    write_header(ax, header or Header())
    return figure


def _draw_z(ax: Axes, nulls: Mapping[str, npt.ArrayLike], corrected: bool) -> None:
    samples = {label: np.asarray(z, dtype=float) for label, z in nulls.items()}
    few = len(samples) <= LABELLED
    fewest = min(len(z) for z in samples.values())
    bins = np.linspace(-4.5, 4.5, 37 if fewest >= 300 else 19)
    step = bins[1] - bins[0]
    highest = 0.0
    for index, (label, z) in enumerate(samples.items()):
        density = np.histogram(np.clip(z, -4.49, 4.49), bins)[0] / (len(z) * step)
        highest = max(highest, float(density.max()))
        text = f"{label}: {z.mean():.2f}, {z.std(ddof=1):.3f} $\\pm$ {width_error(z):.3f}"
        ax.stairs(density, bins, **curve_style(index), lw=2.2, label=text if few else None)
    grid = np.linspace(-4.5, 4.5, 200)
    ax.plot(grid, stats.norm.pdf(grid), color="black", ls="--", label="Unit Gaussian")
    ax.set(xlim=(-4.5, 4.5), ylim=(0, max(highest, 0.4) * 1.25 + 0.045 * (few * (len(samples) + 1) + 1)))
    ax.set_xlabel(f"$Z$ {'corrected' if corrected else 'as counted'}, background-only pseudo-data")
    ax.set_ylabel("Probability density")
    title = "Mean, width" if few else None
    ax.legend(loc="upper left", fontsize=SMALL, title=title, title_fontsize=SMALL, alignment="left")


def _draw_p(ax: Axes, nulls: Mapping[str, npt.ArrayLike], corrected: bool) -> None:
    samples = {label: np.asarray(z, dtype=float) for label, z in nulls.items()}
    few = len(samples) <= LABELLED
    most = 0.0
    for index, (label, z) in enumerate(samples.items()):
        alpha = np.geomspace(max(3 / len(z), 1e-4), 0.5, 60)
        share = np.array([(p_value(z) < a).mean() for a in alpha])
        most = max(most, float((share / alpha).max()))
        ax.plot(alpha, share / alpha, **curve_style(index), label=label if few else None)
    n = len(next(iter(samples.values())))
    alpha = np.geomspace(max(3 / n, 1e-4), 0.5, 60)
    for level, shade in ((0.954, 0.9), (0.6827, 0.78)):
        band = stats.binom.interval(level, n, alpha)
        ax.fill_between(alpha, band[0] / n / alpha, band[1] / n / alpha, color=str(shade), lw=0, zorder=0)
    ax.axhline(1, color="black", ls="--", lw=1.4)
    for sigma in (1, 2, 3):
        p = float(p_value(sigma))
        if p > alpha[0]:
            ax.axvline(p, color="0.45", lw=1, ls=":")
            ax.text(p * 1.04, 0.03, rf"{sigma}$\,\sigma$", fontsize=SMALL, transform=ax.get_xaxis_transform())
    ax.set(xscale="log", xlim=(alpha[0], 0.5), ylim=(0, max(3.0, 1.1 * most)))
    # Few experiments reach over less than a decade, in which a logarithmic axis would name nothing.
    named = [digit * 10.0**-decade for decade in range(1, 5) for digit in (1, 2, 5)]
    ax.xaxis.set_major_locator(FixedLocator([value for value in named if value >= alpha[0]]))
    ax.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel(r"Threshold $\alpha$")
    ax.set_ylabel(rf"$P(p < \alpha)\,/\,\alpha$, $p$ {'corrected' if corrected else 'as counted'}")
    if few:
        ax.legend(loc="upper right", fontsize=SMALL)
    else:
        ax.text(0.97, 0.95, f"{len(samples)} distributions", transform=ax.transAxes, ha="right", va="top")
