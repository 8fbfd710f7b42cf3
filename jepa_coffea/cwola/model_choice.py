"""Which classifiers score a fold: an estimator among candidates, and the best of many initialisations.

Both choices look at the inner folds of the training events only: at events that neither trained the classifier in
question nor will be scored by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from jepa_coffea.cwola.efficiency import admitted, check_efficiency, sideband_fraction, ties_of
from jepa_coffea.cwola.fits import Fit, fit_and_validate, scored_rows
from jepa_coffea.cwola.merits import argos
from jepa_coffea.cwola.recipe import Recipe
from jepa_coffea.cwola.sample import Sample
from jepa_coffea.cwola.windows import WINDOW, in_sideband
from jepa_coffea.tasks import run_tasks

Floats = npt.NDArray[np.float64]


def choose_estimators(
    window: int, sample: Sample, recipe: Recipe, *, client: Any = None, progress: bool = False
) -> tuple[dict[int, str], dict[int, dict[str, float]]]:
    """The candidate with the largest ARGOS in the inner folds of each outer fold.

    Parameters
    ----------
    window
        Index of the window.
    sample, recipe
        The events, and everything else that decides the fits.
    client, progress
        See :func:`~jepa_coffea.tasks.run_tasks`.

    Returns
    -------
    chosen : dict
        Outer fold to name.
    merits : dict
        Outer fold to ARGOS by name; empty if there is one candidate only.

    Raises
    ------
    SelectionError
        If the inner folds have too few events to choose by.
    """
    tested, inner = recipe.folds.tested(), range(recipe.folds.inner)
    if len(recipe.candidates) == 1:
        return dict.fromkeys(tested, next(iter(recipe.candidates))), {}
    fits = [Fit(window, fold, i, name, 0) for fold in tested for name in recipe.candidates for i in inner]
    scores = run_tasks(
        fit_and_validate,
        fits,
        (sample, recipe),
        client=client,
        progress=progress,
        description="CWoLa: choice of classifier",
    )
    parts: dict[tuple[int, str], list[tuple[Floats, npt.NDArray[np.int8]]]] = {}
    for fit, values in zip(fits, scores, strict=True):
        parts.setdefault((fit.outer, fit.estimator), []).append(_fractions(values, fit, sample, recipe))
    merits: dict[int, dict[str, float]] = {fold: {} for fold in tested}
    for (fold, name), pairs in parts.items():
        fraction, region = (np.concatenate(part) for part in zip(*pairs, strict=True))
        merits[fold][name] = argos(fraction, region == WINDOW, in_sideband(region))
    return {fold: max(merit, key=merit.__getitem__) for fold, merit in merits.items()}, merits


def choose_members(
    window: int,
    sample: Sample,
    recipe: Recipe,
    chosen: Mapping[int, str],
    *,
    client: Any = None,
    progress: bool = False,
) -> list[Fit]:
    """The fits whose scores are averaged in each outer fold.

    All members, each trained on all training events; or, with ``best_at``, of each inner fold the member that, trained
    without it, has the largest window efficiency there at that sideband efficiency (arXiv:1805.02664, 1902.02634).

    Parameters
    ----------
    window
        Index of the window.
    sample, recipe
        The events, and everything else that decides the fits.
    chosen
        Outer fold to name of the estimator.
    client, progress
        See :func:`~jepa_coffea.tasks.run_tasks`.

    Returns
    -------
    list of Fit

    Raises
    ------
    SelectionError
        If an inner fold has too few sideband events for ``best_at``.
    """
    members = range(recipe.members)
    if recipe.best_at is None:
        return [Fit(window, fold, None, name, member) for fold, name in chosen.items() for member in members]
    inner = range(recipe.folds.inner)
    fits = [Fit(window, fold, i, name, member) for fold, name in chosen.items() for i in inner for member in members]
    scores = run_tasks(
        fit_and_validate,
        fits,
        (sample, recipe),
        client=client,
        progress=progress,
        description="CWoLa: best initialisations",
    )
    best: dict[tuple[int, int | None], tuple[float, Fit]] = {}
    for fit, values in zip(fits, scores, strict=True):
        fraction, region = _fractions(values, fit, sample, recipe)
        inside = region == WINDOW
        check_efficiency(recipe.best_at, int(np.count_nonzero(in_sideband(region))))
        merit = float(admitted(fraction[inside], recipe.best_at).mean()) if inside.any() else 0.0
        where = fit.outer, fit.inner
        if where not in best or merit > best[where][0]:
            best[where] = merit, fit
    return [fit for _, fit in best.values()]


def _fractions(scores: Floats, fit: Fit, sample: Sample, recipe: Recipe) -> tuple[Floats, npt.NDArray[np.int8]]:
    """Sideband efficiency at which each event that ``fit`` scores is admitted, and its region; (events,) each."""
    rows = scored_rows(fit, sample, recipe)
    region = recipe.windows.windows[fit.window].region(sample.mass[rows])
    ties = ties_of(sample.hashes[rows], recipe.seed)
    return sideband_fraction(scores, in_sideband(region), sample.weights[rows], ties), region
