"""One classifier fit, a pure function of the sample, the recipe and the position of the fit."""

import weakref
from collections import OrderedDict
from collections.abc import Callable
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

    def score(self, X: npt.NDArray[Any], rows: Rows | None = None) -> Floats:
        """Probability of being a window event.

        Parameters
        ----------
        X
            Features, (events, features).
        rows
            Which of the events; all by default.

        Returns
        -------
        array of float, (rows,)

        Raises
        ------
        ClassifierError
            If the classifier gives scores that are not finite.
        """
        if rows is not None:
            X = reduced(self.reduction, X, rows)
        elif self.reduction is not None:
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
    rows: Rows,
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
    rows
        Which of the events to train on.
    positive
        Which of these are to be found, (rows,); the reduction is fitted on the others.
    weights
        Their weights, (rows,).
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
    reduction = None if recipe.reduction is None else fitted(recipe.reduction, X, rows[~positive])
    X, columns = reduced(reduction, X, rows), None
    share = recipe.share(X.shape[1])
    if share < 1:
        kept = max(1, round(share * X.shape[1]))
        columns = np.sort(rng.choice(X.shape[1], kept, replace=False))
        X = X[:, columns]
    classifier = seeded(recipe.candidates[estimator], int(rng.integers(2**31)))
    classifier.fit(X, positive.astype(np.int64), sample_weight=weights)
    return Trained(estimator, position, reduction, columns, classifier)


class Newest:
    """What was made last, by the identity of large objects and the content of small ones.

    Parameters
    ----------
    kept
        How many results to keep.
    """

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._found: OrderedDict[tuple[Any, ...], tuple[tuple[weakref.ref[Any], ...], Any]] = OrderedDict()

    def get(self, large: tuple[Any, ...], small: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """What was made of these, or is made now.

        Parameters
        ----------
        large
            Told apart by identity; they are not kept alive, and must not be changed.
        small
            Told apart by content.
        make
            Makes the result of all of them.

        Returns
        -------
        Any
            Not to be changed.
        """
        key = *map(id, large), joblib.hash(small)
        references, result = self._found.get(key, ((), None))
        # An identity is used again when its object is gone.
        if not references or any(one() is not object_ for one, object_ in zip(references, large, strict=True)):
            result = make()
            self._found = OrderedDict(
                one for one in self._found.items() if all(alive() is not None for alive in one[1][0])
            )
            self._found[key] = tuple(weakref.ref(one) for one in large), result
            if len(self._found) > self._kept:
                self._found.popitem(last=False)
        return result


_NEWEST = Newest(8)


def fitted(reduction: Any, X: npt.NDArray[Any], rows: Rows) -> Any:
    """A reduction fitted to events, once for all members of a fold: it may take longer than their trees.

    Parameters
    ----------
    reduction
        A label-free scikit-learn transformer; it stays as it is.
    X
        Features, (events, features).
    rows
        Which of the events.

    Returns
    -------
    transformer
        Fitted; not to be changed.
    """
    small = reduction.get_params(), rows
    return _NEWEST.get((X, type(reduction)), small, lambda: clone(reduction).fit(X[rows]))


def reduced(reduction: Any, X: npt.NDArray[Any], rows: Rows) -> npt.NDArray[Any]:
    """What a fitted reduction makes of events, once for all members of a fold.

    Parameters
    ----------
    reduction
        From :func:`fitted`, or None.
    X
        Features, (events, features).
    rows
        Which of the events.

    Returns
    -------
    array, (rows, reduced features)
        Not to be changed.
    """
    if reduction is None:
        return X[rows]
    result: npt.NDArray[Any] = _NEWEST.get((X, reduction), (rows,), lambda: reduction.transform(X[rows]))
    return result


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
    return train(sample.X, rows, region == WINDOW, weights, recipe, fit.estimator, position)


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
    return fit_member(fit, sample, recipe).score(sample.X, scored_rows(fit, sample, recipe))


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
