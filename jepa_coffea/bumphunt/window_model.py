"""A fit frozen into templates: the form in which pyhf, Combine and everyone without our functions can use it.

Nominal contents of the window's bins, predicted by a fit that masked them, and one pair of shifted contents for each
eigenvector of that prediction's covariance: a unit Gaussian constraint on each is then the whole uncertainty. The
sidebands enter through the constraints only, so no event is used twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from jepa_coffea.bumphunt.background import BackgroundFit
from jepa_coffea.bumphunt.likelihood import Array
from jepa_coffea.bumphunt.records import Record
from jepa_coffea.errors import HistogramError

FLOOR = 1e-6
"""Smallest content of a shifted bin; a Poisson mean must stay positive."""


@dataclass(frozen=True, eq=False)
class WindowModel(Record):
    """One channel: signal strength ``mu`` times signal, plus background with one nuisance per eigenvector."""

    name: str
    edges: Array
    observed: Array
    """[bin]."""
    background: Array
    """[bin]."""
    signal: Array
    """[bin]: at signal strength 1."""
    up: Array
    """[eigenvector, bin]: background with that nuisance at +1."""
    down: Array
    """[eigenvector, bin]: and at -1."""


def window_model(
    fit: BackgroundFit, signal: npt.ArrayLike | None = None, edges: npt.ArrayLike | None = None, name: str = "window"
) -> WindowModel:
    """The window's bins against what the masked fit predicts there.

    signal: [bin] of the fit range, events at signal strength 1. Without it the window is one bin with one signal
    event: a counting experiment. edges: other bins than the fit's (they must be edges of it).
    """
    if fit.window is None or fit.used.all():
        msg = "the window model needs a fit that masked its window: otherwise the same events would be used twice"
        raise HistogramError(msg)
    counting = np.asarray(fit.window) if signal is None else None
    chosen = counting if edges is None else np.asarray(edges, dtype=float)
    prediction = fit.prediction(chosen)
    observed = merge(fit.counts, fit, prediction.edges)
    shape = np.ones(1) if signal is None else merge(np.asarray(signal, dtype=float), fit, prediction.edges)
    values, vectors = np.linalg.eigh(prediction.covariance)
    # Fewer parameters than bins (or the reverse): eigenvectors without variance would be nuisances without effect.
    kept = values > 1e-10 * values.max()
    shifts = (vectors[:, kept] * np.sqrt(values[kept])).T
    up, down = prediction.yields + shifts, prediction.yields - shifts
    return WindowModel(
        name, prediction.edges, observed, prediction.yields, shape, np.maximum(up, FLOOR), np.maximum(down, FLOOR)
    )


def merge(values: Array, fit: BackgroundFit, edges: Array) -> Array:
    """Sum the fit's bins into coarser ones whose edges are among the fit's."""
    ends = [(float(low), float(high)) for low, high in pairwise(edges)]
    return np.array([values[fit.spectrum.inside(end)].sum() for end in ends])
