"""Trained classifiers that are kept, to be applied to events wherever those are, still out of fold."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from jepa_coffea.cwola.cwola import CWoLa
from jepa_coffea.cwola.fits import Fit, Sample, Trained, fit_member, scored_rows
from jepa_coffea.cwola.folds import Folds
from jepa_coffea.cwola.model_choice import choose_estimators, choose_members, fractions
from jepa_coffea.cwola.selection import check_efficiency
from jepa_coffea.cwola.tasks import run_tasks
from jepa_coffea.cwola.windows import OUTSIDE, WINDOW, Window

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Ensemble:
    """The classifiers of one window and their thresholds, by outer fold.

    An event is scored by the classifiers of its own fold, which have not seen it, whether or not it was in the sample
    that they were trained with: the fold follows from the event's identity alone.
    """

    window: Window
    folds: Folds
    members: dict[int, tuple[Trained, ...]]
    thresholds: dict[float, dict[int, float]]
    """Sideband efficiency to outer fold to the smallest score that passes, from the held-out sidebands of the fold."""

    def score(self, X: npt.NDArray[Any], hashes: npt.NDArray[np.uint64]) -> Floats:
        """Mean probability of the members to be a window event, (events,); NaN for folds without classifiers.

        Args:
            X: features, (events, features), as in training.
            hashes: identities of the events, from :func:`~jepa_coffea.cwola.folds.event_hash`.
        """
        fold = self.folds.outer_of(hashes)
        score = np.full(len(hashes), np.nan)
        for number, members in self.members.items():
            rows = np.flatnonzero(fold == number)
            if len(rows):
                score[rows] = np.sum([member.score(X[rows]) for member in members], axis=0) / len(members)
        return score

    def selected(self, score: Floats, hashes: npt.NDArray[np.uint64], efficiency: float) -> npt.NDArray[np.bool_]:
        """Events at or above their fold's threshold for one of the efficiencies of ``thresholds``, (events,)."""
        fold = self.folds.outer_of(hashes)
        thresholds = self.thresholds[efficiency]
        cut = np.array([thresholds.get(number, np.inf) for number in range(self.folds.outer)])
        return np.isfinite(score) & (score >= cut[fold])


def train_ensembles(cwola: CWoLa, sample: Sample, efficiencies: Sequence[float]) -> list[Ensemble]:
    """Train the classifiers of every window and keep them; they are those of :meth:`CWoLa.fit`, bit by bit.

    Args:
        cwola: windows, estimators, folds, members, seed; its ``client`` trains on a cluster.
        sample: events from :func:`~jepa_coffea.cwola.fits.make_sample`.
        efficiencies: sideband efficiencies to set thresholds for.

    Raises:
        FoldError, SelectionError, ClassifierError: as :meth:`CWoLa.fit`.
    """
    chosen, _ = choose_estimators(cwola, sample)
    fits = choose_members(cwola, sample, chosen)
    trained = run_tasks(
        fit_member,
        fits,
        (sample, cwola.recipe),
        client=cwola.client,
        progress=cwola.progress,
        description="CWoLa: classifiers",
    )
    members: dict[int, dict[int, list[Trained]]] = {}
    for fit, classifier in zip(fits, trained, strict=True):
        members.setdefault(fit.window, {}).setdefault(fit.outer, []).append(classifier)
    return [_ensemble(cwola, sample, index, folds, efficiencies) for index, folds in sorted(members.items())]


def _ensemble(
    cwola: CWoLa, sample: Sample, index: int, folds: dict[int, list[Trained]], efficiencies: Sequence[float]
) -> Ensemble:
    thresholds: dict[float, dict[int, float]] = {efficiency: {} for efficiency in efficiencies}
    for fold, members in folds.items():
        place = Fit(index, fold, None, "", 0)
        rows = scored_rows(place, sample, cwola.recipe)
        score = np.sum([member.score(sample.X[rows]) for member in members], axis=0) / len(members)
        fraction, region = fractions(score, place, sample, cwola.recipe)
        sideband = (region != WINDOW) & (region != OUTSIDE)
        for efficiency in efficiencies:
            check_efficiency(efficiency, int(np.count_nonzero(sideband)))
            thresholds[efficiency][fold] = float(score[sideband & (fraction <= efficiency)].min())
    kept = {fold: tuple(members) for fold, members in folds.items()}
    return Ensemble(cwola.windows.windows[index], cwola.folds, kept, thresholds)
