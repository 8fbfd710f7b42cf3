"""One classifier fit, a pure function of the sample, the recipe and the position of the fit."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt
from sklearn.base import clone

from jepa_coffea.cwola.classifiers import ClassifierError
from jepa_coffea.cwola.recipe import Recipe
from jepa_coffea.cwola.sample import Sample
from jepa_coffea.cwola.weights import balanced, match_to_window
from jepa_coffea.cwola.windows import OUTSIDE, WINDOW

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Fit:
    """The position of one fit: window, outer fold that is scored, inner fold in validation, estimator, member."""

    window: int
    outer: int
    inner: int | None
    estimator: str
    member: int


def scored_rows(fit: Fit, sample: Sample, recipe: Recipe) -> Rows:
    """Row numbers of the events in the fit range that a fit scores.

    Parameters
    ----------
    fit
        With an inner fold: the validation events of the training; without one: the outer fold.
    sample, recipe
        The events, and their folds and fit range.

    Returns
    -------
    array of int, (scored events,)
    """
    outer = recipe.folds.outer_of(sample.hashes)
    rows = recipe.windows.inside(sample.mass)
    if fit.inner is None:
        return np.flatnonzero(rows & (outer == fit.outer))
    inner = recipe.folds.inner_of(sample.hashes)
    return np.flatnonzero(rows & recipe.folds.training(outer, fit.outer) & (inner == fit.inner))


def training_rows(fit: Fit, sample: Sample, recipe: Recipe) -> Rows:
    """Row numbers of the window and sideband events that train a fit.

    Parameters
    ----------
    fit
        The position of the fit.
    sample, recipe
        The events, and their folds and windows.

    Returns
    -------
    array of int, (training events,)
        None of them is in :func:`scored_rows`.
    """
    region = recipe.windows.windows[fit.window].region(sample.mass)
    rows = recipe.folds.training(recipe.folds.outer_of(sample.hashes), fit.outer) & (region != OUTSIDE)
    if fit.inner is not None:
        rows &= recipe.folds.inner_of(sample.hashes) != fit.inner
    return np.flatnonzero(rows)


@dataclass(frozen=True)
class Trained:
    """A fitted classifier with what was done to its features."""

    name: str
    position: tuple[int, ...]
    reduction: Any
    columns: Rows | None
    classifier: Any

    def score(self, X: npt.NDArray[Any]) -> Floats:
        """Probability of being a window event.

        Parameters
        ----------
        X
            Features, (events, features).

        Returns
        -------
        array of float, (events,)

        Raises
        ------
        ClassifierError
            If the classifier gives scores that are not finite.
        """
        if self.reduction is not None:
            X = self.reduction.transform(X)
        if self.columns is not None:
            X = X[:, self.columns]
        scores = np.asarray(self.classifier.predict_proba(X), dtype=float)[:, 1]
        if not np.isfinite(scores).all():
            msg = f"fit {self.position}: {self.name} gives scores that are not finite; did it diverge?"
            raise ClassifierError(msg)
        return scores


def train(
    X: npt.NDArray[Any],
    positive: npt.NDArray[np.bool_],
    weights: Floats,
    recipe: Recipe,
    estimator: str,
    position: tuple[int, ...],
) -> Trained:
    """Fit one classifier.

    Parameters
    ----------
    X
        Features, (events, features).
    positive
        Which events are to be found, (events,); the reduction is fitted on the others.
    weights
        Event weights, (events,).
    recipe
        Candidates, reduction, share of the features.
    estimator
        Name of the candidate.
    position
        Seeds the fit, together with the seed of the recipe.

    Returns
    -------
    Trained
    """
    rng = np.random.default_rng(np.random.SeedSequence(recipe.seed, spawn_key=position))
    reduction, columns = None, None
    if recipe.reduction is not None:
        reduction = fitted(recipe.reduction, X[~positive])
        X = reduction.transform(X)
    share = recipe.share(X.shape[1])
    if share < 1:
        kept = max(1, round(share * X.shape[1]))
        columns = np.sort(rng.choice(X.shape[1], kept, replace=False))
        X = X[:, columns]
    classifier = seeded(recipe.candidates[estimator], int(rng.integers(2**31)))
    classifier.fit(X, positive.astype(np.int64), sample_weight=weights)
    return Trained(estimator, position, reduction, columns, classifier)


_FITTED: OrderedDict[tuple[type, str], Any] = OrderedDict()
"""The newest fitted reductions, by the content of what they were fitted to."""

_KEPT = 8


def fitted(reduction: Any, X: npt.NDArray[Any]) -> Any:
    """A reduction fitted to events, once for all members of a fold: it may take longer than their trees.

    Parameters
    ----------
    reduction
        A label-free scikit-learn transformer; it stays as it is.
    X
        Features, (events, features).

    Returns
    -------
    transformer
        Fitted; not to be changed.
    """
    content = type(reduction), joblib.hash((reduction.get_params(), X))
    found = _FITTED.get(content)
    if found is None:
        found = _FITTED[content] = clone(reduction).fit(X)
        if len(_FITTED) > _KEPT:
            _FITTED.popitem(last=False)
    return found


def fit_member(fit: Fit, sample: Sample, recipe: Recipe) -> Trained:
    """Train one classifier of window against sidebands on the events that :func:`training_rows` gives it.

    Parameters
    ----------
    fit
        The position of the fit, which seeds it; the order of execution does not matter.
    sample, recipe
        The events, and everything else that decides the fit.

    Returns
    -------
    Trained
    """
    window = recipe.windows.windows[fit.window]
    rows = training_rows(fit, sample, recipe)
    region, weights = window.region(sample.mass[rows]), sample.weights[rows]
    if sample.match is not None:
        weights = match_to_window(sample.match[rows], region, weights)
    weights = balanced(region, weights)
    position = (fit.window, fit.outer, 0 if fit.inner is None else fit.inner + 1, fit.member)
    return train(sample.X[rows], region == WINDOW, weights, recipe, fit.estimator, position)


def fit_and_validate(fit: Fit, sample: Sample, recipe: Recipe) -> Floats:
    """Train one classifier and score the events of its own inner fold.

    Parameters
    ----------
    fit
        The position of the fit.
    sample, recipe
        The events, and everything else that decides the fit.

    Returns
    -------
    array of float
        One score for each of :func:`scored_rows`.
    """
    return fit_member(fit, sample, recipe).score(sample.X[scored_rows(fit, sample, recipe)])


def seeded(estimator: Any, seed: int) -> Any:
    """A fresh clone of an estimator with every ``random_state`` in it set.

    Parameters
    ----------
    estimator
        A scikit-learn estimator or pipeline.
    seed
        The random state.

    Returns
    -------
    estimator
        Not fitted.
    """
    fresh = clone(estimator)
    states = [name for name in fresh.get_params() if name == "random_state" or name.endswith("__random_state")]
    return fresh.set_params(**dict.fromkeys(states, seed))
