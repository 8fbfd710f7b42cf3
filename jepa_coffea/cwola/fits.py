"""One classifier fit, a pure function of the sample, the recipe and the position of the fit."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone

from jepa_coffea.cwola.classifiers import ClassifierError
from jepa_coffea.cwola.features import check_features
from jepa_coffea.cwola.folds import FoldError, Folds, as_hashes
from jepa_coffea.cwola.weights import balanced, check_weights, match_to_window
from jepa_coffea.cwola.windows import OUTSIDE, WINDOW, Windows

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sample:
    """Events as the classifiers see them, one entry per event in each array."""

    X: npt.NDArray[Any]
    """Features, (events, features)."""
    mass: Floats
    """The resonance mass, GeV."""
    hashes: npt.NDArray[np.uint64]
    """Identities, which decide the folds."""
    weights: Floats
    """Event weights, not negative."""
    match: Floats | None = None
    """Variables, (events, variables), in which sidebands are weighted to look like the window."""

    def take(self, rows: npt.NDArray[Any]) -> "Sample":
        """These events only (rows or mask)."""
        match = None if self.match is None else self.match[rows]
        return Sample(self.X[rows], self.mass[rows], self.hashes[rows], self.weights[rows], match)


def make_sample(
    X: npt.ArrayLike,
    mass: npt.ArrayLike,
    ids: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    match: npt.ArrayLike | None = None,
) -> Sample:
    """Checked arrays of one length.

    Args:
        X: features, shape (events, features).
        mass: the resonance mass in GeV, shape (events,).
        ids: see :func:`~jepa_coffea.cwola.folds.as_hashes`.
        weights: event weights; 1 by default.
        match: see :class:`Sample`.

    Raises:
        FeatureError, WeightError, FoldError: what is not finite, negative, or of another length.
    """
    features, masses = np.asarray(X), np.asarray(mass, dtype=float)
    check_features(features)
    hashes = as_hashes(ids)
    event_weights = np.ones(len(features)) if weights is None else np.asarray(weights, dtype=float)
    matched = None if match is None else np.asarray(match, dtype=float)
    lengths = {"X": len(features), "mass": masses.size, "ids": len(hashes), "weights": event_weights.size}
    if matched is not None:
        lengths["match"] = len(matched)
        check_features(matched)
    if len(set(lengths.values())) > 1 or masses.ndim != 1:
        msg = f"CWoLa: expected one entry per event in each argument, got lengths {lengths}"
        raise FoldError(msg)
    if not np.isfinite(masses).all():
        msg = f"CWoLa: {np.count_nonzero(~np.isfinite(masses))} of {len(masses)} masses are not finite"
        raise FoldError(msg)
    check_weights(event_weights)
    return Sample(features, masses, hashes, event_weights, matched)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the fits besides the events; see :class:`~jepa_coffea.cwola.cwola.CWoLa`."""

    windows: Windows
    candidates: Mapping[str, Any]
    folds: Folds
    attribute_fraction: float
    reduction: Any
    seed: int


@dataclass(frozen=True)
class Fit:
    """The position of one fit: window, outer fold that is scored, inner fold in validation, estimator, member."""

    window: int
    outer: int
    inner: int | None
    estimator: str
    member: int


def scored_rows(fit: Fit, sample: Sample, recipe: Recipe) -> Rows:
    """Row numbers of the events in the fit range that this fit scores."""
    outer = recipe.folds.outer_of(sample.hashes)
    rows = recipe.windows.inside(sample.mass)
    if fit.inner is None:
        return np.flatnonzero(rows & (outer == fit.outer))
    inner = recipe.folds.inner_of(sample.hashes)
    return np.flatnonzero(rows & recipe.folds.training(outer, fit.outer) & (inner == fit.inner))


def training_rows(fit: Fit, sample: Sample, recipe: Recipe) -> Rows:
    """Row numbers of the window and sideband events that train this fit; none of them is in :func:`scored_rows`."""
    region = recipe.windows.windows[fit.window].region(sample.mass)
    rows = recipe.folds.training(recipe.folds.outer_of(sample.hashes), fit.outer) & (region != OUTSIDE)
    if fit.inner is not None:
        rows &= recipe.folds.inner_of(sample.hashes) != fit.inner
    return np.flatnonzero(rows)


def fit_and_score(fit: Fit, sample: Sample, recipe: Recipe) -> Floats:
    """Train one classifier and score the events it was not trained on, shape (events of :func:`scored_rows`,)."""
    return fit_member(fit, sample, recipe).score(sample.X[scored_rows(fit, sample, recipe)])


def fit_and_test(fit: Fit, sample: Sample, recipe: Recipe) -> Floats:
    """Train one classifier and score its outer fold, whether or not it left out an inner fold in training."""
    return fit_member(fit, sample, recipe).score(sample.X[scored_rows(replace(fit, inner=None), sample, recipe)])


def train_and_score(
    X: npt.NDArray[Any],
    positive: npt.NDArray[np.bool_],
    weights: Floats,
    X_test: npt.NDArray[Any],
    recipe: Recipe,
    estimator: str,
    position: tuple[int, ...],
) -> Floats:
    """Probability of being ``positive`` for each of ``X_test``, shape (tests,).

    The reduction is fitted on the events that are not positive. ``position`` seeds the fit, together with the recipe.
    """
    return train(X, positive, weights, recipe, estimator, position).score(X_test)


@dataclass(frozen=True)
class Trained:
    """A fitted classifier with what was done to its features."""

    name: str
    position: tuple[int, ...]
    reduction: Any
    columns: Rows | None
    classifier: Any

    def score(self, X: npt.NDArray[Any]) -> Floats:
        """Probability of being a window event, shape (events,), from features (events, features)."""
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
    """Fit one classifier; see :func:`train_and_score`."""
    rng = np.random.default_rng(np.random.SeedSequence(recipe.seed, spawn_key=position))
    reduction, columns = None, None
    if recipe.reduction is not None:
        reduction = clone(recipe.reduction).fit(X[~positive])
        X = reduction.transform(X)
    if recipe.attribute_fraction < 1:
        kept = max(1, round(recipe.attribute_fraction * X.shape[1]))
        columns = np.sort(rng.choice(X.shape[1], kept, replace=False))
        X = X[:, columns]
    classifier = seeded(recipe.candidates[estimator], int(rng.integers(2**31)))
    classifier.fit(X, positive.astype(np.int64), sample_weight=weights)
    return Trained(estimator, position, reduction, columns, classifier)


def fit_member(fit: Fit, sample: Sample, recipe: Recipe) -> Trained:
    """Train one classifier on the events that :func:`training_rows` gives it."""
    window = recipe.windows.windows[fit.window]
    rows = training_rows(fit, sample, recipe)
    region, weights = window.region(sample.mass[rows]), sample.weights[rows]
    if sample.match is not None:
        weights = match_to_window(sample.match[rows], region, weights)
    weights = balanced(region, weights)
    # Position, not order of execution, seeds a fit.
    position = (fit.window, fit.outer, 0 if fit.inner is None else fit.inner + 1, fit.member)
    return train(sample.X[rows], region == WINDOW, weights, recipe, fit.estimator, position)


def seeded(estimator: Any, seed: int) -> Any:
    """A fresh clone of the estimator with every ``random_state`` in it set."""
    fresh = clone(estimator)
    states = [name for name in fresh.get_params() if name == "random_state" or name.endswith("__random_state")]
    return fresh.set_params(**dict.fromkeys(states, seed))
