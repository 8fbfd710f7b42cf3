"""Which classifiers score a fold: an estimator among candidates, and the best of many initialisations.

Both choices look at the inner folds of the training events only: at events that neither trained the classifier in
question nor will be scored by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from jepa_coffea.cwola.fits import Fit, Recipe, Sample, fit_and_score, scored_rows
from jepa_coffea.cwola.folds import salted, uniform
from jepa_coffea.cwola.selection import argos, check_efficiency, sideband_fraction
from jepa_coffea.cwola.tasks import run_tasks
from jepa_coffea.cwola.windows import OUTSIDE, WINDOW

if TYPE_CHECKING:
    from jepa_coffea.cwola.cwola import CWoLa

Floats = npt.NDArray[np.float64]
Place = tuple[int, int]
"""Window and outer fold."""


def fractions(scores: Floats, fit: Fit, sample: Sample, recipe: Recipe) -> tuple[Floats, npt.NDArray[np.int8]]:
    """Sideband efficiency at which each event that ``fit`` scores is admitted, and its region; (events,) each."""
    rows = scored_rows(fit, sample, recipe)
    region = recipe.windows.windows[fit.window].region(sample.mass[rows])
    sideband = (region != WINDOW) & (region != OUTSIDE)
    ties = uniform(salted(sample.hashes[rows], "tie", recipe.seed))
    return sideband_fraction(scores, sideband, sample.weights[rows], ties), region


def choose_estimators(cwola: CWoLa, sample: Sample) -> tuple[dict[Place, str], dict[Place, dict[str, float]]]:
    """The candidate with the largest ARGOS in the inner folds of each place, and all merits; none without a choice."""
    recipe, inner = cwola.recipe, range(cwola.folds.inner)
    places = [(index, fold) for index in range(len(cwola.windows.windows)) for fold in cwola.folds.tested()]
    if len(recipe.candidates) == 1:
        return dict.fromkeys(places, next(iter(recipe.candidates))), {}
    fits = [Fit(*place, i, name, 0) for place in places for name in recipe.candidates for i in inner]
    scores = run_fits(cwola, fits, sample, "CWoLa: choice of classifier")
    parts: dict[tuple[Place, str], list[tuple[Floats, npt.NDArray[np.int8]]]] = {}
    for fit, values in zip(fits, scores, strict=True):
        pair = fractions(values, fit, sample, recipe)
        parts.setdefault(((fit.window, fit.outer), fit.estimator), []).append(pair)
    merits: dict[Place, dict[str, float]] = {place: {} for place in places}
    for (place, name), pairs in parts.items():
        fraction, region = (np.concatenate(part) for part in zip(*pairs, strict=True))
        merits[place][name] = argos(fraction, region == WINDOW, (region != WINDOW) & (region != OUTSIDE))
    return {place: max(merit, key=merit.__getitem__) for place, merit in merits.items()}, merits


def choose_members(cwola: CWoLa, sample: Sample, chosen: dict[Place, str]) -> list[Fit]:
    """The fits whose scores are averaged in each place.

    All members, each trained on all training events; or, with ``best_at``, of each inner fold the member that, trained
    without it, has the largest window efficiency there at that sideband efficiency (arXiv:1805.02664, 1902.02634).
    """
    members = range(cwola.members)
    if cwola.best_at is None:
        return [Fit(*place, None, name, member) for place, name in chosen.items() for member in members]
    inner = range(cwola.folds.inner)
    fits = [Fit(*place, i, name, member) for place, name in chosen.items() for i in inner for member in members]
    scores = run_fits(cwola, fits, sample, "CWoLa: best initialisations")
    best: dict[tuple[int, int, int | None], tuple[float, Fit]] = {}
    for fit, values in zip(fits, scores, strict=True):
        fraction, region = fractions(values, fit, sample, cwola.recipe)
        inside = region == WINDOW
        check_efficiency(cwola.best_at, int(np.count_nonzero(~inside & (region != OUTSIDE))))
        merit = float((fraction[inside] <= cwola.best_at).mean()) if inside.any() else 0.0
        where = fit.window, fit.outer, fit.inner
        if where not in best or merit > best[where][0]:
            best[where] = merit, fit
    return [fit for _, fit in best.values()]


def run_fits(cwola: CWoLa, fits: list[Fit], sample: Sample, description: str) -> list[Floats]:
    """Scores of each fit's own validation events."""
    return run_tasks(
        fit_and_score,
        fits,
        (sample, cwola.recipe),
        client=cwola.client,
        progress=cwola.progress,
        description=description,
    )
