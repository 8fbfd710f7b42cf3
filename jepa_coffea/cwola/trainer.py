"""The one way to train a window's classifiers: checks, choices, fits in every fold, scores of events they never saw."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from jepa_coffea.cwola.classifiers import ClassifierError
from jepa_coffea.cwola.efficiency import WindowScores, window_scores
from jepa_coffea.cwola.fits import Fit, Trained, fit_member, scored_rows
from jepa_coffea.cwola.folds import FoldError
from jepa_coffea.cwola.model_choice import choose_estimators, choose_members
from jepa_coffea.cwola.recipe import Recipe
from jepa_coffea.cwola.sample import Sample
from jepa_coffea.cwola.weights import NAMES
from jepa_coffea.tasks import run_tasks

Floats = npt.NDArray[np.float64]

MINIMUM_EVENTS = 10
"""Fewest events of each region with which a classifier is trained."""


@dataclass(frozen=True)
class WindowTraining:
    """The trained classifiers of a window and their scores."""

    scores: WindowScores
    members: dict[int, tuple[Trained, ...]]
    """The classifiers by outer fold; empty unless they were to be kept."""


def train_window(
    index: int, sample: Sample, recipe: Recipe, *, keep: bool = False, client: Any = None, progress: bool = False
) -> WindowTraining:
    """Train a window's classifiers in every fold and score each event by those that never saw it.

    Parameters
    ----------
    index
        Number of the window in the recipe.
    sample
        The events.
    recipe
        Everything else that decides the classifiers.
    keep
        Keep the classifiers, not only their scores.
    client, progress
        See :func:`~jepa_coffea.tasks.run_tasks`; they change no bit of the result.

    Returns
    -------
    WindowTraining

    Raises
    ------
    FoldError
        If there are too few events to train with.
    SelectionError
        If a fold has too few sideband events for its thresholds or choices.
    ClassifierError
        If scores are not finite, or all the same.
    """
    check_counts(index, sample, recipe)
    execution: dict[str, Any] = {"client": client, "progress": progress}
    chosen, merits = choose_estimators(index, sample, recipe, **execution)
    fits = choose_members(index, sample, recipe, chosen, **execution)
    done = run_tasks(_fit_and_test, fits, (sample, recipe, keep), description="CWoLa: classifiers", **execution)
    score = np.full(len(sample.mass), np.nan)
    members: dict[int, tuple[Trained, ...]] = {}
    for fold in recipe.folds.tested():
        here = [one for fit, one in zip(fits, done, strict=True) if fit.outer == fold]
        # Summed in the order of the members, so that the last bit does not depend on the scheduling.
        rows = scored_rows(Fit(index, fold, None, "", 0), sample, recipe)
        score[rows] = np.sum([values for values, _ in here], axis=0) / len(here)
        if keep:
            members[fold] = tuple(classifier for _, classifier in here if classifier is not None)
    window = recipe.windows.windows[index]
    given = score[np.isfinite(score)]
    if not np.ptp(given) > 0:
        msg = (
            f"window {window.name!r}: every event has the score {given[0]:g}; the classifier learned nothing, not "
            "even noise. Are the features constant, or is its regularisation too strong?"
        )
        raise ClassifierError(msg)
    tested = recipe.folds.tested()
    scores = replace(
        window_scores(score, window, sample, recipe.folds, recipe.seed),
        chosen=tuple(chosen[fold] for fold in tested),
        argos=tuple(merits[fold] for fold in tested) if merits else (),
    )
    return WindowTraining(scores, members)


def train_windows(
    sample: Sample, recipe: Recipe, *, keep: bool = False, client: Any = None, progress: bool = False
) -> list[WindowTraining]:
    """:func:`train_window` for every window of the recipe.

    Parameters
    ----------
    sample, recipe, keep, client, progress
        As for :func:`train_window`.

    Returns
    -------
    list of WindowTraining

    Raises
    ------
    FoldError, SelectionError, ClassifierError
        As :func:`train_window`, before any training where the number of events is the reason.
    """
    windows = range(len(recipe.windows.windows))
    for index in windows:
        check_counts(index, sample, recipe)
    return [train_window(index, sample, recipe, keep=keep, client=client, progress=progress) for index in windows]


def check_counts(index: int, sample: Sample, recipe: Recipe) -> None:
    """Check that every fold has events of each region to train with.

    Parameters
    ----------
    index, sample, recipe
        As for :func:`train_window`.

    Raises
    ------
    FoldError
        If a fold has fewer than ``MINIMUM_EVENTS``.
    """
    window = recipe.windows.windows[index]
    region, outer = window.region(sample.mass), recipe.folds.outer_of(sample.hashes)
    for fold in recipe.folds.tested():
        training = recipe.folds.training(outer, fold)
        for code, name in NAMES.items():
            count = int(np.count_nonzero(training & (region == code)))
            if count < MINIMUM_EVENTS:
                msg = (
                    f"window {window.name!r} ({window.low:g}-{window.high:g} GeV): {count} training events in the "
                    f"{name} for fold {fold}, expected at least {MINIMUM_EVENTS}; use fewer folds, a wider region "
                    "or more data"
                )
                raise FoldError(msg)


def _fit_and_test(fit: Fit, sample: Sample, recipe: Recipe, keep: bool) -> tuple[Floats, Trained | None]:
    """Train one classifier and score its outer fold, whether or not it left out an inner fold in training."""
    classifier = fit_member(fit, sample, recipe)
    scores = classifier.score(sample.X, scored_rows(replace(fit, inner=None), sample, recipe))
    return scores, classifier if keep else None
