"""One experiment, from events to significances: the one way that data, pseudo-data and injections go.

A calibration is worth something only if nothing is treated differently. So the data of a hunt, every pseudo-experiment
without signal and every injection call :func:`run_experiment`, and nothing else trains, selects, counts or estimates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from jepa_coffea.bumphunt.ftest import FTestRule, richest
from jepa_coffea.cwola.efficiency import WindowScores, without_scores
from jepa_coffea.cwola.recipe import Recipe
from jepa_coffea.cwola.sample import Sample
from jepa_coffea.cwola.trainer import train_window
from jepa_coffea.errors import JepaCoffeaError
from jepa_coffea.hunt.config import StatisticsConfig
from jepa_coffea.hunt.selections import ESTIMATES, Estimate, Selection, count_inclusive, select, uncounted

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Method:
    """Everything that is done to the events of an experiment; picklable."""

    recipe: Recipe
    efficiencies: tuple[float, ...]
    statistics: StatisticsConfig
    rules: tuple[FTestRule, ...] = ()
    """How the order of the background function is chosen, one for each window masked; empty for a named function. Every
    experiment chooses on its own inclusive spectrum."""
    function_errors: Mapping[str, float] = field(default_factory=dict)
    """Name of a window to the share of its background by which the choice of the function may be wrong."""
    degrees: Mapping[tuple[str, float], int] = field(default_factory=dict)
    """Window and efficiency to the degree of the transfer factor, where it was chosen; otherwise it is that of the
    statistics."""

    def seeded(self, seed: int) -> "Method":
        """The same method with other folds and other random states.

        Parameters
        ----------
        seed
            Of the experiment.

        Returns
        -------
        Method
        """
        return replace(self, recipe=replace(self.recipe, folds=replace(self.recipe.folds, seed=seed), seed=seed))

    def background(self, counts: Floats) -> StatisticsConfig:
        """The statistics with the function that an experiment's own inclusive spectrum asks for.

        Parameters
        ----------
        counts
            Events per bin without a selection, (bins,).

        Returns
        -------
        StatisticsConfig
        """
        if not self.rules:
            return self.statistics
        function = str(richest(self.rules, counts[None])[0])
        return self.statistics.model_copy(update={"function": function})


@dataclass(frozen=True)
class Experiment:
    """The outcome of an experiment."""

    statistics: StatisticsConfig
    """With the background function that was used."""
    scores: tuple[WindowScores, ...]
    """One for each window."""
    inclusive: tuple[Selection, ...]
    """Every window without a selection; empty unless asked for."""
    selections: tuple[Selection, ...]
    """Every window and efficiency, windows outermost."""

    def z(self) -> list[list[float]]:
        """Significances before calibration.

        Returns
        -------
        list, [estimate][selection]
            In the order of ``ESTIMATES``, and behind them the sideband efficiency of degree 2 while the degree is open;
            NaN where there is none.
        """
        found = [[selection.estimates[name].z for selection in self.selections] for name in ESTIMATES]
        bent = [one.parabola.z for one in self.selections if one.parabola is not None]
        return [*found, bent] if bent else found


def run_experiment(
    sample: Sample,
    method: Method,
    scores: Sequence[WindowScores] | None = None,
    *,
    inclusive: bool = False,
    goodness_toys: int = 0,
    client: Any = None,
    progress: bool = False,
) -> Experiment:
    """Train, score, select, choose the function, estimate both backgrounds, count: every window, every efficiency.

    A window whose classifiers cannot be trained and a selection without threshold or fit have no numbers and say why;
    all others stand.

    Parameters
    ----------
    sample
        Events in the fit range.
    method
        What is done to them.
    scores
        One for each window of the method, if they are there already; otherwise classifiers are trained.
    inclusive
        Count without a selection as well.
    goodness_toys
        Toys for the goodness of the background fits; without them it is that of chi-squared.
    client, progress
        See :func:`~jepa_coffea.tasks.run_tasks`; for the training.

    Returns
    -------
    Experiment
    """
    windows = method.recipe.windows
    everything = windows.histogram(sample.mass)
    statistics = method.background(everything)
    if scores is None:
        scores = train_or_say_why(sample, method.recipe, client=client, progress=progress)
    errors = method.function_errors
    selections = [
        select(
            of_window,
            sample.mass,
            windows,
            efficiency,
            statistics,
            goodness_toys,
            errors.get(of_window.window.name, 0.0),
            method.degrees.get((of_window.window.name, efficiency), statistics.transfer_factor),
        )
        for of_window in scores
        for efficiency in method.efficiencies
    ]
    without = count_inclusive(everything, windows, statistics, goodness_toys, errors) if inclusive else ()
    return Experiment(statistics, tuple(scores), tuple(without), tuple(selections))


def without_numbers(sample: Sample, method: Method, scores: Sequence[WindowScores], problem: str) -> Experiment:
    """What stands in for an experiment that failed.

    Parameters
    ----------
    sample, method, scores
        As for :func:`run_experiment`.
    problem
        Why it failed.

    Returns
    -------
    Experiment
        Events are counted without a selection; there is no other number.
    """
    windows, nothing = method.recipe.windows, Estimate(problem=problem)
    counts = windows.histogram(sample.mass)
    selections = [
        Selection(window.name, efficiency, 0, np.zeros(len(counts)), nothing, nothing)
        for window in windows.windows
        for efficiency in method.efficiencies
    ]
    return Experiment(method.statistics, tuple(scores), tuple(uncounted(counts, windows, problem)), tuple(selections))


def train_or_say_why(
    sample: Sample, recipe: Recipe, *, client: Any = None, progress: bool = False
) -> tuple[WindowScores, ...]:
    """Out-of-fold scores of every window; where they cannot be had, why.

    Parameters
    ----------
    sample, recipe, client, progress
        As for :func:`~jepa_coffea.cwola.trainer.train_window`.

    Returns
    -------
    tuple of WindowScores
    """
    found = []
    for index, window in enumerate(recipe.windows.windows):
        try:
            found.append(train_window(index, sample, recipe, client=client, progress=progress).scores)
        except JepaCoffeaError as error:
            found.append(without_scores(window, sample, recipe.folds, str(error)))
    return tuple(found)
