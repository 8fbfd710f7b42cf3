"""Reference classifiers, which know more than a search can: the limits between which CWoLa is seen in an injection."""

from typing import Any

import numpy as np
import numpy.typing as npt

from jepa_coffea.cwola.efficiency import WindowScores, window_scores
from jepa_coffea.cwola.fits import train
from jepa_coffea.cwola.recipe import Recipe
from jepa_coffea.cwola.sample import Sample
from jepa_coffea.cwola.windows import WINDOW

Floats = npt.NDArray[np.float64]


def supervised(data: Sample, signal: Sample, background: Sample, recipe: Recipe) -> WindowScores:
    """Scores by classifiers of signal against background, trained on events other than the data.

    Parameters
    ----------
    data
        To be scored.
    signal, background
        To train on; independent of the data.
    recipe
        Of the hunt, with one window; the first candidate is taken.

    Returns
    -------
    WindowScores
    """
    X = np.concatenate([signal.X, background.X])
    positive = np.arange(len(X)) < len(signal.X)
    return _thresholds(data, _mean_score(X, positive, data.X, recipe, fold=0), recipe)


def idealised_anomaly_detector(data: Sample, background: Sample, recipe: Recipe) -> WindowScores:
    """Out-of-fold scores by classifiers of the window's events against pure background of the window (IAD).

    The best that a search without labels could do, if it knew the background exactly (arXiv:2109.00546).

    Parameters
    ----------
    data
        To be scored, and to train on in the other folds.
    background
        Pure background; its events in the window are used.
    recipe
        Of the hunt, with one window; the first candidate is taken.

    Returns
    -------
    WindowScores
    """
    window = recipe.windows.windows[0]
    pure = background.take(window.region(background.mass) == WINDOW)
    outer, inside = recipe.folds.outer_of(data.hashes), window.region(data.mass) == WINDOW
    scores = np.full(len(data.mass), np.nan)
    for fold in recipe.folds.tested():
        training = recipe.folds.training(outer, fold) & inside
        X = np.concatenate([data.X[training], pure.X])
        positive = np.arange(len(X)) < np.count_nonzero(training)
        test = outer == fold
        scores[test] = _mean_score(X, positive, data.X[test], recipe, fold)
    return _thresholds(data, scores, recipe)


def _mean_score(
    X: npt.NDArray[Any], positive: npt.NDArray[np.bool_], X_test: npt.NDArray[Any], recipe: Recipe, fold: int
) -> Floats:
    """Mean score of the members, (tests,), with positives and negatives weighing the same."""
    weights = np.where(positive, 0.5 / positive.sum(), 0.5 / (~positive).sum()) * len(X)
    name, rows = next(iter(recipe.candidates)), np.arange(len(X))
    positions = [(0, fold, 0, member) for member in range(recipe.members)]
    members = [train(X, rows, positive, weights, recipe, name, position) for position in positions]
    return np.mean([member.score(X_test) for member in members], axis=0)


def _thresholds(data: Sample, scores: Floats, recipe: Recipe) -> WindowScores:
    """The scores with thresholds from the sidebands of each fold, as for the classifiers of the hunt."""
    inside = np.where(recipe.windows.inside(data.mass), scores, np.nan)
    return window_scores(inside, recipe.windows.windows[0], data, recipe.folds, recipe.seed)
