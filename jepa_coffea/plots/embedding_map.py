"""An embedding space in two dimensions, which the caller has chosen."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from jepa_coffea.errors import HistogramError
from jepa_coffea.plots.style import COLOURS, Header, styled, write_header

MOST = 4000
"""Points drawn per class: more only hide each other."""


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
    figure.subplots_adjust(wspace=0.12)
    order = np.random.default_rng(0).permutation(len(place))
    rest = list(row)
    if classes is not None or not numbers:
        ax = rest.pop(0)
        names = np.full(len(place), "all") if classes is None else np.asarray(classes)
        drawn, colours = [], []
        for index, name in enumerate(sorted(set(names.tolist()))):
            chosen = order[names[order] == name][:MOST]
            drawn.append(chosen)
            colours += [COLOURS[index % len(COLOURS)]] * len(chosen)
            ax.plot([], [], "o", ms=9, color=COLOURS[index % len(COLOURS)], label=str(name))
        every = np.concatenate(drawn)
        # Shuffled together, so that no class lies on top of all others.
        mixed = np.random.default_rng(1).permutation(len(every))
        ax.scatter(*place[every[mixed]].T, s=7, c=np.array(colours)[mixed], alpha=0.55, lw=0, rasterized=True)
        ax.legend(loc="upper right", handletextpad=0.1, fontsize=15)
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
        ax.set_ylim(low[1] - margin[1], high[1] + 3.2 * margin[1])
        ax.set_ylabel(axes[1] if index == 0 else "")
    write_header(row[0], header or Header())
    return figure
