"""Classifiers that know more than a search can: the limits between which CWoLa is seen in an injection study."""

from typing import Any

import numpy as np
import numpy.typing as npt

from jepa_coffea.cwola.cwola import CWoLa
from jepa_coffea.cwola.fits import Recipe, Sample, train_and_score
from jepa_coffea.cwola.folds import salted, uniform
from jepa_coffea.cwola.scores import WindowScores
from jepa_coffea.cwola.selection import sideband_fraction
from jepa_coffea.cwola.windows import OUTSIDE, WINDOW

Floats = npt.NDArray[np.float64]


def supervised(data: Sample, signal: Sample, background: Sample, cwola: CWoLa) -> WindowScores:
    """Scores of the data by classifiers of ``signal`` against ``background``, both independent of it."""
    X = np.concatenate([signal.X, background.X])
    positive = np.arange(len(X)) < len(signal.X)
    scores = ensemble(X, positive, data.X, cwola.recipe, cwola.members, fold=0)
    return as_window_scores(data, scores, cwola)


def idealised(data: Sample, background: Sample, cwola: CWoLa) -> WindowScores:
    """Out-of-fold scores of the data by classifiers of its window against pure background of the window."""
    window = cwola.windows.windows[0]
    pure = background.take(window.region(background.mass) == WINDOW)
    outer, inside = cwola.folds.outer_of(data.hashes), window.region(data.mass) == WINDOW
    scores = np.full(len(data.mass), np.nan)
    for fold in cwola.folds.tested():
        train = cwola.folds.training(outer, fold) & inside
        X = np.concatenate([data.X[train], pure.X])
        positive = np.arange(len(X)) < np.count_nonzero(train)
        test = outer == fold
        scores[test] = ensemble(X, positive, data.X[test], cwola.recipe, cwola.members, fold)
    return as_window_scores(data, scores, cwola)


def ensemble(
    X: npt.NDArray[Any],
    positive: npt.NDArray[np.bool_],
    X_test: npt.NDArray[Any],
    recipe: Recipe,
    members: int,
    fold: int,
) -> Floats:
    """Mean score of the members with positives and negatives weighing the same; the first candidate is taken."""
    weights = np.where(positive, 0.5 / positive.sum(), 0.5 / (~positive).sum()) * len(X)
    name = next(iter(recipe.candidates))
    return np.mean(
        [
            train_and_score(X, positive, weights, X_test, recipe, name, (0, fold, 0, member))
            for member in range(members)
        ],
        axis=0,
    )


def as_window_scores(data: Sample, scores: Floats, cwola: CWoLa) -> WindowScores:
    """Given scores with thresholds from the sidebands of each fold, as for the classifiers of the hunt."""
    window, outer = cwola.windows.windows[0], cwola.folds.outer_of(data.hashes)
    region = window.region(data.mass)
    score = np.where(cwola.windows.inside(data.mass), scores, np.nan)
    fraction = np.full(len(score), np.nan)
    for fold in cwola.folds.tested():
        rows = np.flatnonzero((outer == fold) & np.isfinite(score))
        sideband = (region[rows] != WINDOW) & (region[rows] != OUTSIDE)
        ties = uniform(salted(data.hashes[rows], "tie", cwola.seed))
        fraction[rows] = sideband_fraction(score[rows], sideband, data.weights[rows], ties)
    return WindowScores(window, score, fraction, region, outer, ())
