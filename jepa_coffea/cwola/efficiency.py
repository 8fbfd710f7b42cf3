"""Selections by sideband efficiency: thresholds, ties, and the scores of a window with the events that a cut selects.

A selection is named by the share of sideband events that it keeps. Every outer fold has its own classifiers, and
therefore its own threshold, as in Collins, Howe and Nachman, PRD 99 (2019) 014038 (arXiv:1902.02634); here that is the
quantile of the scores of its held-out sideband events. Equal scores at a threshold are decided at random, by the
event's identity, so that a selection keeps the share that it is named by.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jepa_coffea.cwola.folds import Folds, salted, uniform
from jepa_coffea.cwola.sample import Sample
from jepa_coffea.cwola.windows import WINDOW, Window, in_sideband
from jepa_coffea.errors import JepaCoffeaError

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Hashes = npt.NDArray[np.uint64]


class SelectionError(JepaCoffeaError, ValueError):
    """An efficiency that the held-out sidebands cannot define."""


def check_efficiency(efficiency: float, sideband_events: int | None = None) -> None:
    """Check that an efficiency can define a threshold.

    Parameters
    ----------
    efficiency
        Share of sideband events to select.
    sideband_events
        How many a fold has; not checked by default.

    Raises
    ------
    SelectionError
        If the efficiency is not in (0, 1] or leaves none of the sideband events.
    """
    if not 0 < efficiency <= 1:
        msg = f"efficiency: expected a number in (0, 1], got {efficiency:g}"
        raise SelectionError(msg)
    if sideband_events is not None and efficiency * sideband_events < 1:
        msg = (
            f"efficiency {efficiency:g}: a fold has {sideband_events} sideband events, fewer than the "
            f"{int(np.ceil(1 / efficiency))} that define a threshold; use fewer folds, more data or a larger efficiency"
        )
        raise SelectionError(msg)


def ties_of(hashes: Hashes, seed: int) -> Floats:
    """Numbers that order events of equal score, of which trees give many.

    Parameters
    ----------
    hashes
        Identities, (events,).
    seed
        Of the recipe.

    Returns
    -------
    array of float, (events,)
        In [0, 1), independent of everything but identity and seed.
    """
    return uniform(salted(hashes, "tie", seed))


def sideband_fraction(scores: Floats, sideband: Mask, weights: Floats, ties: Floats) -> Floats:
    """For each event of one fold, the smallest sideband efficiency whose threshold admits it.

    A cut ``fraction <= efficiency`` is the cut at the held-out sideband quantile, and, unlike scores, fractions of
    different folds and windows may be pooled. A sideband event has the summed weight of sideband events at or above it;
    any other event has that of the next sideband event below it. With n sideband events, k of them above the cut, an
    event from the sidebands' distribution passes with probability k / (n + 1), whatever the distribution.

    Parameters
    ----------
    scores
        By a classifier that was not trained on these events, (events,).
    sideband
        Which of the events define the thresholds, (events,).
    weights
        Event weights, (events,).
    ties
        See :func:`ties_of`, (events,); of equal scores the event with the smaller number is admitted first.

    Returns
    -------
    array of float, (events,)
        In (0, 1].

    Raises
    ------
    SelectionError
        If there are no sideband events.
    """
    if not sideband.any():
        msg = "sideband_fraction: a fold has no sideband events to set thresholds with; use fewer folds or more data"
        raise SelectionError(msg)
    order = np.lexsort((ties, -scores))
    in_order = sideband[order]
    cumulative = np.cumsum(np.where(in_order, weights[order], 0.0))
    places = np.flatnonzero(in_order)
    levels = cumulative[places] / cumulative[-1]
    following = np.searchsorted(places, np.arange(len(order)))
    fraction = np.empty(len(order))
    fraction[order] = np.append(levels, 1.0)[following]
    return fraction


def admitted(fraction: Floats, efficiency: float) -> Mask:
    """Events that a sideband efficiency selects.

    Parameters
    ----------
    fraction
        From :func:`sideband_fraction`, (events,); NaN for events without a score.
    efficiency
        Share of sideband events to select.

    Returns
    -------
    array of bool, (events,)
    """
    return fraction <= efficiency


@dataclass(frozen=True)
class Threshold:
    """The last event that a selection admits: its score, and its tie-breaking number among equal scores."""

    score: float
    tie: float

    def admits(self, scores: Floats, ties: Floats) -> Mask:
        """Events at or above the threshold.

        Parameters
        ----------
        scores
            (events,); NaN never passes.
        ties
            See :func:`ties_of`, (events,).

        Returns
        -------
        array of bool, (events,)
        """
        return (scores > self.score) | ((scores == self.score) & (ties <= self.tie))


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
    chosen: tuple[str, ...] = ()
    """The estimator of each tested outer fold."""
    argos: tuple[dict[str, float], ...] = ()
    """Inner-fold ARGOS of each candidate, for each tested outer fold; empty when there was no choice."""
    problem: str = ""
    """Why there are no scores; empty when there are."""

    @property
    def scored(self) -> Mask:
        """Which events have a score.

        Returns
        -------
        array of bool, (events,)
        """
        return np.isfinite(self.score)

    @property
    def sideband(self) -> Mask:
        """Which scored events are in the window's sidebands.

        Returns
        -------
        array of bool, (events,)
        """
        return self.scored & in_sideband(self.region)

    @property
    def inside(self) -> Mask:
        """Which scored events are in the window.

        Returns
        -------
        array of bool, (events,)
        """
        return self.scored & (self.region == WINDOW)

    def refusal(self, efficiency: float) -> str:
        """Why a sideband efficiency selects nothing here.

        Parameters
        ----------
        efficiency
            Share of sideband events to select.

        Returns
        -------
        str
            Empty if it has a threshold in every fold.
        """
        if self.problem:
            return self.problem
        try:
            for fold in np.unique(self.fold[self.scored]):
                check_efficiency(efficiency, int(np.count_nonzero(self.sideband & (self.fold == fold))))
        except SelectionError as error:
            return str(error)
        return ""

    def selected(self, efficiency: float) -> Mask:
        """Events above their fold's threshold.

        Parameters
        ----------
        efficiency
            Share of sideband events to select.

        Returns
        -------
        array of bool, (events,)

        Raises
        ------
        SelectionError
            If there are no scores, or a fold has fewer than 1 / efficiency sideband events.
        """
        refusal = self.refusal(efficiency)
        if refusal:
            raise SelectionError(refusal)
        return admitted(self.fraction, efficiency)

    def thresholds(self, efficiency: float, ties: Floats) -> dict[int, Threshold]:
        """The thresholds of the tested folds; applied to the same events they select as :meth:`selected` does.

        Parameters
        ----------
        efficiency
            Share of sideband events to select.
        ties
            See :func:`ties_of`, (events,).

        Returns
        -------
        dict
            Outer fold to threshold.

        Raises
        ------
        SelectionError
            As :meth:`selected`.
        """
        passed, found = self.selected(efficiency) & self.sideband, {}
        for fold in np.unique(self.fold[self.scored]):
            if efficiency == 1:
                found[int(fold)] = Threshold(-np.inf, 1.0)
                continue
            rows = np.flatnonzero(passed & (self.fold == fold))
            last = rows[np.lexsort((ties[rows], -self.score[rows]))[-1]]
            found[int(fold)] = Threshold(float(self.score[last]), float(ties[last]))
        return found


def window_scores(score: Floats, window: Window, sample: Sample, folds: Folds, seed: int) -> WindowScores:
    """Scores with thresholds: every outer fold's quantiles of its own sideband events.

    Parameters
    ----------
    score
        Out of fold, (events,); NaN for events that are not scored.
    window
        Whose sidebands define the thresholds.
    sample
        The events.
    folds, seed
        Of the recipe.

    Returns
    -------
    WindowScores

    Raises
    ------
    SelectionError
        If a fold has no sideband events.
    """
    region, outer = window.region(sample.mass), folds.outer_of(sample.hashes)
    fraction = np.full(len(score), np.nan)
    for fold in folds.tested():
        rows = np.flatnonzero((outer == fold) & np.isfinite(score))
        ties = ties_of(sample.hashes[rows], seed)
        fraction[rows] = sideband_fraction(score[rows], in_sideband(region[rows]), sample.weights[rows], ties)
    return WindowScores(window, score, fraction, region, outer)


def without_scores(window: Window, sample: Sample, folds: Folds, problem: str) -> WindowScores:
    """Scores of a window that could not be scored: NaN, and the reason.

    Parameters
    ----------
    window, sample, folds
        As for :func:`window_scores`.
    problem
        Why there are none.

    Returns
    -------
    WindowScores
        With NaN for every event.
    """
    nothing = np.full(len(sample.mass), np.nan)
    region, outer = window.region(sample.mass), folds.outer_of(sample.hashes)
    return WindowScores(window, nothing, nothing, region, outer, problem=problem)
