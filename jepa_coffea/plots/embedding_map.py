"""An embedding space in two dimensions, which the caller has chosen."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from jepa_coffea.errors import HistogramError
from jepa_coffea.plots.style import COLOURS, MARKERS, Header, styled, write_header

MOST = 4000
"""Points drawn per class: more only hide each other."""

MOST_COLUMNS = 4
"""Classes that are named side by side."""

LAYERS = 10
"""Parts in which the points of a class are drawn, those of other classes between them."""


@styled
def plot_embedding(
    points: npt.ArrayLike,
    *,
    classes: npt.ArrayLike | None = None,
    values: Mapping[str, npt.ArrayLike] | None = None,
    axes: tuple[str, str] = ("Component 1", "Component 2"),
    header: Header | None = None,
) -> Figure:
    """A two-dimensional projection: one panel coloured by class, one by each of the named values.

    Parameters
    ----------
    points
        [point, 2].
    classes
        [point]: names.
    values
        Title -> [point] numbers, for instance the mass; colours span 5 to 95 %.
    axes
        Names of the two components.
    header
        Line above the picture.

    Returns
    -------
    Figure

    Raises
    ------
    HistogramError
        For points that are not [point, 2].
    """
    place = np.asarray(points, dtype=float)
    if place.ndim != 2 or place.shape[1] != 2:
        msg = f"the projection must be [point, 2], got shape {place.shape}"
        raise HistogramError(msg)
    numbers = dict(values or {})
    panels = (classes is not None) + len(numbers) or 1
    figure = Figure(figsize=(7.6 * panels, 7.2))
    row = figure.subplots(1, panels, squeeze=False)[0]
    figure.subplots_adjust(wspace=0.2 if len(numbers) > 1 else 0.12)
    order = np.random.default_rng(0).permutation(len(place))
    rest, rows = list(row), 0
    if classes is not None or not numbers:
        ax = rest.pop(0)
        names = np.full(len(place), "all") if classes is None else np.asarray(classes)
        drawn = []
        for index, name in enumerate(sorted(set(names.tolist()))):
            look = {"color": COLOURS[index % len(COLOURS)], "marker": MARKERS[index % len(MARKERS)]}
            ax.plot([], [], ls="none", ms=9, label=str(name), **look)
            drawn.append((order[names[order] == name][:MOST], look))
        # A part of each class in turns, so that no class lies on top of all others.
        for layer in range(LAYERS):
            for chosen, look in drawn:
                ax.scatter(*place[chosen[layer::LAYERS]].T, s=9, alpha=0.55, lw=0, rasterized=True, **look)
        if classes is not None:
            rows = -(-len(drawn) // MOST_COLUMNS)
            ax.legend(loc="upper left", ncols=min(len(drawn), MOST_COLUMNS), handletextpad=0.1, fontsize=15)
    for ax, (title, numbers_) in zip(rest, numbers.items(), strict=True):
        colour = np.asarray(numbers_, dtype=float)
        chosen = order[:MOST]
        low, high = np.nanpercentile(colour, [5, 95])
        shown = ax.scatter(
            *place[chosen].T, s=7, c=colour[chosen], vmin=low, vmax=high, cmap="viridis", lw=0, rasterized=True
        )
        bar = figure.colorbar(shown, ax=ax, pad=0.02)
        bar.set_label(title)
    for index, ax in enumerate(row):
        low, high = np.percentile(place, [0.3, 99.7], axis=0)
        margin = 0.08 * (high - low)
        ax.set(xlim=(low[0] - margin[0], high[0] + margin[0]), xlabel=axes[0])
        # All panels have room for the legend above the points.
        ax.set_ylim(low[1] - margin[1], high[1] + (1 + 0.9 * rows) * margin[1])
        ax.set_ylabel(axes[1] if index == 0 else "")
    write_header(row[0], header or Header())
    return figure
