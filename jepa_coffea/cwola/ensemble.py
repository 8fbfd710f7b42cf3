"""Trained classifiers that are kept, to be applied to events wherever those are, still out of fold."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from jepa_coffea.cwola.efficiency import Threshold, ties_of
from jepa_coffea.cwola.fits import Trained
from jepa_coffea.cwola.folds import Folds
from jepa_coffea.cwola.recipe import Recipe
from jepa_coffea.cwola.sample import Sample
from jepa_coffea.cwola.trainer import train_windows
from jepa_coffea.cwola.windows import Window

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Ensemble:
    """The classifiers of one window and their thresholds, by outer fold.

    An event is scored by the classifiers of its own fold, which have not seen it, whether or not it was in the sample
    that they were trained with: the fold follows from the event's identity alone.
    """

    window: Window
    folds: Folds
    seed: int
    """Of the recipe; it breaks ties of equal scores."""
    members: dict[int, tuple[Trained, ...]]
    thresholds: dict[float, dict[int, Threshold]]
    """Sideband efficiency to outer fold to threshold, from the held-out sidebands of the fold."""

    def score(self, X: npt.NDArray[Any], hashes: npt.NDArray[np.uint64]) -> Floats:
        """Mean probability of the members to be a window event.

        Parameters
        ----------
        X
            Features, (events, features), as in training.
        hashes
            Identities of the events, from :func:`~jepa_coffea.cwola.folds.event_hash`.

        Returns
        -------
        array of float, (events,)
            NaN in folds without classifiers.
        """
        fold = self.folds.outer_of(hashes)
        score = np.full(len(hashes), np.nan)
        for number, members in self.members.items():
            rows = np.flatnonzero(fold == number)
            if len(rows):
                score[rows] = np.sum([member.score(X[rows]) for member in members], axis=0) / len(members)
        return score

    def selected(self, score: Floats, hashes: npt.NDArray[np.uint64], efficiency: float) -> npt.NDArray[np.bool_]:
        """Events at or above their fold's threshold.

        Parameters
        ----------
        score
            From :meth:`score`, (events,).
        hashes
            Identities of the events.
        efficiency
            One of those in ``thresholds``.

        Returns
        -------
        array of bool, (events,)
        """
        fold, ties = self.folds.outer_of(hashes), ties_of(hashes, self.seed)
        passed = np.zeros(len(hashes), bool)
        for number, threshold in self.thresholds[efficiency].items():
            here = fold == number
            passed[here] = threshold.admits(score[here], ties[here])
        return passed


def train_ensembles(
    recipe: Recipe, sample: Sample, efficiencies: Sequence[float], *, client: Any = None, progress: bool = False
) -> list[Ensemble]:
    """Train the classifiers of every window and keep them; their scores are those of ``CWoLa.fit``, bit by bit.

    Parameters
    ----------
    recipe
        Windows, estimators, folds, members, seed.
    sample
        Events, from :func:`~jepa_coffea.cwola.sample.make_sample`.
    efficiencies
        Sideband efficiencies to set thresholds for.
    client, progress
        See :func:`~jepa_coffea.tasks.run_tasks`.

    Returns
    -------
    list of Ensemble
        One per window.

    Raises
    ------
    FoldError, SelectionError, ClassifierError
        As :func:`~jepa_coffea.cwola.trainer.train_window`.
    """
    ties = ties_of(sample.hashes, recipe.seed)
    return [
        Ensemble(
            one.scores.window,
            recipe.folds,
            recipe.seed,
            one.members,
            {efficiency: one.scores.thresholds(efficiency, ties) for efficiency in efficiencies},
        )
        for one in train_windows(sample, recipe, keep=True, client=client, progress=progress)
    ]
