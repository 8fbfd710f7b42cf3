"""Classification without labels: window against sidebands, scored out of fold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from jepa_coffea.cwola.classifiers import ClassifierError, check_estimator
from jepa_coffea.cwola.fits import Fit, Recipe, Sample, fit_and_score, make_sample, scored_rows
from jepa_coffea.cwola.folds import FoldError, Folds, salted, uniform
from jepa_coffea.cwola.selection import argos, check_efficiency, sideband_fraction
from jepa_coffea.cwola.tasks import run_tasks
from jepa_coffea.cwola.weights import NAMES
from jepa_coffea.cwola.windows import OUTSIDE, WINDOW, Window, Windows

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

MINIMUM_EVENTS = 10
"""Fewest events of each region with which a classifier is trained."""


@dataclass(frozen=True)
class WindowScores:
    """What the classifiers of one window say of every event."""

    window: Window
    score: Floats
    """Mean probability of the members to be a window event, out of fold, (events,); NaN where no classifier may score:
    outside the fit range, and the first fold in forward order."""
    fraction: Floats
    """The smallest sideband efficiency whose threshold admits the event, comparable between folds, (events,)."""
    region: npt.NDArray[np.int8]
    """LOW, WINDOW, HIGH or OUTSIDE, (events,)."""
    fold: npt.NDArray[np.int64]
    """Outer fold of each event, (events,)."""
    chosen: tuple[str, ...]
    """The estimator of each tested outer fold."""
    argos: tuple[dict[str, float], ...] = ()
    """Inner-fold ARGOS of each candidate, for each tested outer fold; empty when there was no choice."""

    @property
    def scored(self) -> Mask:
        """Which events have a score."""
        return np.isfinite(self.score)

    @property
    def sideband(self) -> Mask:
        """Which scored events are in the window's sidebands."""
        return self.scored & (self.region != WINDOW) & (self.region != OUTSIDE)

    def selected(self, efficiency: float) -> Mask:
        """Events above their fold's threshold for this sideband efficiency, shape (events,).

        Raises SelectionError where a fold has fewer than 1 / efficiency sideband events.
        """
        for fold in np.unique(self.fold[self.scored]):
            check_efficiency(efficiency, int(np.count_nonzero(self.sideband & (self.fold == fold))))
        return self.scored & (self.fraction <= efficiency)

    def thresholds(self, efficiency: float) -> dict[int, float]:
        """The score threshold of each tested fold at this sideband efficiency."""
        passed = self.selected(efficiency) & self.sideband
        return {
            int(fold): float(self.score[passed & (self.fold == fold)].min())
            for fold in np.unique(self.fold[self.scored])
        }


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

    def __post_init__(self) -> None:
        for estimator in self.recipe.candidates.values():
            check_estimator(estimator)
        if self.members < 1 or not 0 < self.attribute_fraction <= 1:
            msg = (
                "CWoLa: expected at least one member and an attribute fraction in (0, 1], got "
                f"{self.members} and {self.attribute_fraction}"
            )
            raise ClassifierError(msg)

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
        chosen, merits = self._choose(sample)
        fits = [Fit(*place, None, name, member) for place, name in chosen.items() for member in range(self.members)]
        scores = self._run(fits, sample, "CWoLa: classifiers")
        by_place: dict[tuple[int, int], list[Floats]] = {place: [] for place in chosen}
        for fit, values in zip(fits, scores, strict=True):
            by_place[fit.window, fit.outer].append(values)
        return [self._collect(sample, index, by_place, chosen, merits) for index in range(len(self.windows.windows))]

    def _run(self, fits: Sequence[Fit], sample: Sample, description: str) -> list[Floats]:
        return run_tasks(
            fit_and_score,
            fits,
            (sample, self.recipe),
            client=self.client,
            progress=self.progress,
            description=description,
        )

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

    def _choose(self, sample: Sample) -> tuple[dict[tuple[int, int], str], dict[tuple[int, int], dict[str, float]]]:
        """The candidate with the largest ARGOS in the inner folds of each (window, outer fold)."""
        recipe = self.recipe
        places = [(index, fold) for index in range(len(self.windows.windows)) for fold in self.folds.tested()]
        if len(recipe.candidates) == 1:
            return dict.fromkeys(places, next(iter(recipe.candidates))), {}
        fits = [
            Fit(*place, inner, name, 0)
            for place in places
            for name in recipe.candidates
            for inner in range(self.folds.inner)
        ]
        scores = self._run(fits, sample, "CWoLa: choice of classifier")
        fractions: dict[tuple[tuple[int, int], str], list[tuple[Floats, npt.NDArray[np.int8]]]] = {}
        for fit, values in zip(fits, scores, strict=True):
            rows = scored_rows(fit, sample, recipe)
            region = self.windows.windows[fit.window].region(sample.mass[rows])
            pair = (self._fractions(values, rows, region, sample), region)
            fractions.setdefault(((fit.window, fit.outer), fit.estimator), []).append(pair)
        merits: dict[tuple[int, int], dict[str, float]] = {place: {} for place in places}
        for (place, name), pairs in fractions.items():
            fraction, region = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
            merits[place][name] = argos(fraction, region == WINDOW, (region != WINDOW) & (region != OUTSIDE))
        return {place: max(merit, key=merit.__getitem__) for place, merit in merits.items()}, merits

    def _collect(
        self,
        sample: Sample,
        index: int,
        scores: Mapping[tuple[int, int], Sequence[Floats]],
        chosen: Mapping[tuple[int, int], str],
        merits: Mapping[tuple[int, int], dict[str, float]],
    ) -> WindowScores:
        window = self.windows.windows[index]
        region = window.region(sample.mass)
        score, fraction = np.full(len(region), np.nan), np.full(len(region), np.nan)
        tested = self.folds.tested()
        for fold in tested:
            rows = scored_rows(Fit(index, fold, None, "", 0), sample, self.recipe)
            # Summed in the order of the members, so that the last bit does not depend on the scheduling.
            score[rows] = np.sum(scores[index, fold], axis=0) / self.members
            fraction[rows] = self._fractions(score[rows], rows, region[rows], sample)
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

    def _fractions(
        self, scores: Floats, rows: npt.NDArray[np.int64], region: npt.NDArray[np.int8], sample: Sample
    ) -> Floats:
        sideband = (region != WINDOW) & (region != OUTSIDE)
        ties = uniform(salted(sample.hashes[rows], "tie", self.seed))
        return sideband_fraction(scores, sideband, sample.weights[rows], ties)
