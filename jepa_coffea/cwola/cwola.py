"""Classification without labels: window against sidebands, scored out of fold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from jepa_coffea.cwola.classifiers import ClassifierError, check_estimator
from jepa_coffea.cwola.fits import Fit, Recipe, Sample, fit_and_test, make_sample, scored_rows
from jepa_coffea.cwola.folds import FoldError, Folds
from jepa_coffea.cwola.model_choice import Place, choose_estimators, choose_members, fractions
from jepa_coffea.cwola.scores import WindowScores
from jepa_coffea.cwola.selection import check_efficiency
from jepa_coffea.cwola.tasks import run_tasks
from jepa_coffea.cwola.weights import NAMES
from jepa_coffea.cwola.windows import Window, Windows

Floats = npt.NDArray[np.float64]

MINIMUM_EVENTS = 10
"""Fewest events of each region with which a classifier is trained."""


@dataclass(frozen=True)
class CWoLa:
    """Window-against-sidebands classifiers and their out-of-fold scores.

    Args:
        windows: mass windows, sidebands and fit range.
        estimator: a scikit-learn classifier with ``fit(X, y, sample_weight)`` and ``predict_proba``, or candidates by
            name, among which ARGOS on the inner folds chooses for each outer fold.
        folds: the nested folds.
        members: classifiers to average, each with its own seed.
        attribute_fraction: share of the features that each member sees, drawn at random (attribute bagging).
        reduction: a label-free scikit-learn transformer, fitted on the sidebands of the training folds.
        seed: all randomness, together with the position of a fit; never the order in which fits are done.
        client: a ``dask.distributed.Client`` to fit on; without one, fits run here.
        progress: show a progress bar.
        best_at: in place of averaging all members, keep in each inner fold the one with the largest window efficiency
            at this sideband efficiency, and average these.
    """

    windows: Windows
    estimator: Any
    folds: Folds = field(default_factory=Folds)
    members: int = 1
    attribute_fraction: float = 1.0
    reduction: Any = None
    seed: int = 0
    client: Any = None
    progress: bool = False
    best_at: float | None = None

    def __post_init__(self) -> None:
        for estimator in self.recipe.candidates.values():
            check_estimator(estimator)
        if self.members < 1 or not 0 < self.attribute_fraction <= 1:
            msg = (
                "CWoLa: expected at least one member and an attribute fraction in (0, 1], got "
                f"{self.members} and {self.attribute_fraction}"
            )
            raise ClassifierError(msg)
        if self.best_at is not None:
            check_efficiency(self.best_at, 1_000_000_000)

    @property
    def recipe(self) -> Recipe:
        """What decides the fits besides the events."""
        named = isinstance(self.estimator, Mapping)
        candidates = dict(self.estimator) if named else {type(self.estimator).__name__: self.estimator}
        return Recipe(self.windows, candidates, self.folds, self.attribute_fraction, self.reduction, self.seed)

    def fit_predict(
        self,
        X: npt.ArrayLike,
        mass: npt.ArrayLike,
        ids: npt.ArrayLike,
        *,
        weights: npt.ArrayLike | None = None,
        match: npt.ArrayLike | None = None,
    ) -> Floats:
        """Out-of-fold scores, (events,) for one window, (events, windows) for several; arguments as :meth:`fit`."""
        scores = [result.score for result in self.fit(X, mass, ids, weights=weights, match=match)]
        return scores[0] if len(scores) == 1 else np.stack(scores, axis=1)

    def fit(
        self,
        X: npt.ArrayLike,
        mass: npt.ArrayLike,
        ids: npt.ArrayLike,
        *,
        weights: npt.ArrayLike | None = None,
        match: npt.ArrayLike | None = None,
    ) -> list[WindowScores]:
        """Train every window's classifiers in every fold and score each event by those that never saw it.

        Args:
            X: features, shape (events, features).
            mass: the resonance mass in GeV, shape (events,); it makes the labels and is no feature.
            ids: integers (events, 3) of run, luminosity block, event, or (events,), or hashes of them.
            weights: event weights, not negative; 1 by default.
            match: variables, shape (events, variables), in which the sidebands are weighted to look like the window.

        Raises:
            FeatureError, WeightError, FoldError, EmptyRegionError, SelectionError, ClassifierError: see their texts.
        """
        return self.fit_sample(make_sample(X, mass, ids, weights, match))

    def fit_sample(self, sample: Sample) -> list[WindowScores]:
        """:meth:`fit` of a checked sample."""
        for window in self.windows.windows:
            self._check_counts(sample, window)
        chosen, merits = choose_estimators(self, sample)
        fits = choose_members(self, sample, chosen)
        scores = run_tasks(
            fit_and_test,
            fits,
            (sample, self.recipe),
            client=self.client,
            progress=self.progress,
            description="CWoLa: classifiers",
        )
        by_place: dict[Place, list[Floats]] = {place: [] for place in chosen}
        for fit, values in zip(fits, scores, strict=True):
            by_place[fit.window, fit.outer].append(values)
        return [self._collect(sample, index, by_place, chosen, merits) for index in range(len(self.windows.windows))]

    def _check_counts(self, sample: Sample, window: Window) -> None:
        region, outer = window.region(sample.mass), self.folds.outer_of(sample.hashes)
        for fold in self.folds.tested():
            training = self.folds.training(outer, fold)
            for code, name in NAMES.items():
                count = int(np.count_nonzero(training & (region == code)))
                if count < MINIMUM_EVENTS:
                    msg = (
                        f"window {window.name!r} ({window.low:g}-{window.high:g} GeV): {count} training events in the "
                        f"{name} for fold {fold}, expected at least {MINIMUM_EVENTS}; use fewer folds, a wider region "
                        "or more data"
                    )
                    raise FoldError(msg)

    def _collect(
        self,
        sample: Sample,
        index: int,
        scores: Mapping[Place, Sequence[Floats]],
        chosen: Mapping[Place, str],
        merits: Mapping[Place, dict[str, float]],
    ) -> WindowScores:
        window = self.windows.windows[index]
        region = window.region(sample.mass)
        score, fraction = np.full(len(region), np.nan), np.full(len(region), np.nan)
        tested = self.folds.tested()
        for fold in tested:
            place = Fit(index, fold, None, "", 0)
            rows = scored_rows(place, sample, self.recipe)
            # Summed in the order of the members, so that the last bit does not depend on the scheduling.
            score[rows] = np.sum(scores[index, fold], axis=0) / len(scores[index, fold])
            fraction[rows], _ = fractions(score[rows], place, sample, self.recipe)
        given = score[np.isfinite(score)]
        if not np.ptp(given) > 0:
            msg = (
                f"window {window.name!r}: every event has the score {given[0]:g}; the classifier learned nothing, not "
                "even noise. Are the features constant, or is its regularisation too strong?"
            )
            raise ClassifierError(msg)
        return WindowScores(
            window,
            score,
            fraction,
            region,
            self.folds.outer_of(sample.hashes),
            tuple(chosen[index, fold] for fold in tested),
            tuple(merits[index, fold] for fold in tested) if merits else (),
        )
