"""Searches in background with a known signal in it, each by the one door of the hunt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from examples.anomaly_search.features import FeatureSet, SearchError
from jepa_coffea.bumphunt.records import plain
from jepa_coffea.cwola.classifiers import CLASSIFIERS
from jepa_coffea.cwola.efficiency import WindowScores
from jepa_coffea.cwola.recipe import Recipe
from jepa_coffea.cwola.sample import Sample
from jepa_coffea.cwola.windows import WINDOW
from jepa_coffea.hunt.calibration import toy_seed
from jepa_coffea.hunt.experiment import Experiment, Method, run_experiment, train_or_say_why
from jepa_coffea.hunt.injection import sic_on_grid
from jepa_coffea.hunt.pseudo import PseudoData
from jepa_coffea.hunt.reference_classifiers import idealised_anomaly_detector, supervised

NULL, TUNED, INJECTED = 0, 1, 2
"""Families of seeds: experiments without signal, those that tune, those that count."""

RESERVES = 4
"""How many times the background of the data the reference classifiers are given."""

REFERENCES = ("supervised", "idealised")
"""Classifiers that know more than a search can, on all features."""


@dataclass(frozen=True)
class Choice:
    """One setting of a classifier among those that compete."""

    fraction: float
    """Share of the features that each member sees."""
    trees: tuple[tuple[str, Any], ...]
    """Options of the boosting."""
    components: int | None
    """Principal components of the embedding."""


TREES = (
    (("max_iter", 60), ("max_leaf_nodes", 31), ("l2_regularization", 0.0)),
    (("max_iter", 100), ("max_leaf_nodes", 8), ("l2_regularization", 1.0)),
)
COMPONENTS = (4, 8, 16)


def choices(features: FeatureSet) -> list[Choice]:
    """The settings that compete: the same for every set, and a number of components where there is an embedding.

    Parameters
    ----------
    features
        The set.

    Returns
    -------
    list of Choice
    """
    components = COMPONENTS if features.reduced else (None,)
    return [Choice(*one) for one in product((0.5, 1.0), TREES, components)]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What all experiments share; picklable."""

    pseudo: PseudoData
    """Background with the wide table of features."""
    signals: Mapping[str, Sample]
    """Signal events in random order, by name."""
    sets: Mapping[str, FeatureSet]
    references: tuple[str, ...]
    """Those of ``REFERENCES`` that are compared with."""
    method: Method
    """With one window and one efficiency; its classifier is replaced by those chosen."""
    amounts: tuple[int, ...]
    """Signal events in the fit range."""
    slices: int
    tuned_slices: int
    seed: int

    def __post_init__(self) -> None:
        for name, sample in self.signals.items():
            needed = self.largest * (self.slices + self.tuned_slices) * 3 // 2
            if len(sample.mass) < needed:
                msg = f"signal {name}: {len(sample.mass)} events in the fit range; {self.slices} slices of up to "
                msg += f"{self.largest} events, {self.tuned_slices} to tune with, and half as many to train the "
                msg += f"supervised classifier take {needed}: give more events, or smaller yields, or fewer slices"
                raise SearchError(msg)

    @property
    def largest(self) -> int:
        """Most signal events of an experiment.

        Returns
        -------
        int
        """
        return max(self.amounts)

    def slice_of(self, signal: str, number: int) -> Sample:
        """Signal events that no other slice has.

        Parameters
        ----------
        signal
            Its name.
        number
            From 0; those to tune with come last.

        Returns
        -------
        Sample
        """
        start = number * self.largest
        return self.signals[signal].take(np.arange(start, start + self.largest))

    def reserve_of(self, signal: str) -> Sample:
        """Signal events in no slice, for the supervised classifier.

        Parameters
        ----------
        signal
            Its name.

        Returns
        -------
        Sample
        """
        sample = self.signals[signal]
        return sample.take(np.arange((self.slices + self.tuned_slices) * self.largest, len(sample.mass)))

    def method_of(self, features: FeatureSet, choice: Choice, seed: int) -> Method:
        """The method with the classifier of a set of features.

        Parameters
        ----------
        features
            The set.
        choice
            Setting of its classifier.
        seed
            Of folds and classifiers.

        Returns
        -------
        Method
        """
        recipe: Recipe = replace(
            self.method.recipe,
            candidates={"gradient_boosting": CLASSIFIERS["gradient_boosting"](**dict(choice.trees))},
            attribute_fraction=choice.fraction,
            reduction=None if choice.components is None else features.reduction(choice.components),
        )
        return replace(self.method, recipe=recipe).seeded(seed)


Task = tuple[str, str, Choice, str, int, int]
"""Kind (``null``, ``tune``, ``inject``), set of features or reference, its classifier, signal, events, number."""


def key_of(task: Task) -> str:
    """A name for the result of a task.

    Parameters
    ----------
    task
        What is done.

    Returns
    -------
    str
    """
    kind, name, choice, signal, amount, number = task
    trees = " ".join(f"{option}={value}" for option, value in choice.trees)
    return f"{kind}|{name}|{choice.fraction} {trees} {choice.components}|{signal}|{amount}|{number}"


def experiment(task: Task, setting: Setting) -> dict[str, Any]:
    """One search.

    Parameters
    ----------
    task
        What to do; experiments of one number share background and folds, so that sets differ by their features alone,
        and yields by signal alone.
    setting
        What all share.

    Returns
    -------
    dict
        ``z`` and ``inclusive`` (by estimate, not calibrated), ``problems`` of those that are not there, events of
        ``signal`` and ``background`` selected in the window by truth, and with signal the ``sic`` on the grid of
        background efficiencies.
    """
    kind, name, choice, signal, amount, number = task
    stream = {"null": NULL, "tune": TUNED, "inject": INJECTED}[kind]
    seed = toy_seed(setting.seed, number, stream)
    background = setting.pseudo.draw(seed)
    data = background
    if kind != "null":
        own = setting.slice_of(signal, number + (setting.slices if kind == "tune" else 0))
        data = background.joined(own.take(np.arange(amount)))
    truth = np.arange(len(data.mass)) >= len(background.mass)
    features = setting.sets[name if name in setting.sets else list(setting.sets)[-1]]
    method = setting.method_of(features, choice, seed)
    mine = features.of(data)
    if name in REFERENCES:
        # Background that they are tested on would be known to them: donors of the data are no donors of theirs.
        unseen = setting.pseudo.without(background)
        reserve = unseen.draw(seed ^ 1)
        for other in range(2, RESERVES + 1):
            reserve = reserve.joined(unseen.draw(seed ^ other))
        scores = (
            supervised(mine, features.of(setting.reserve_of(signal)), features.of(reserve), method.recipe)
            if name == "supervised"
            else idealised_anomaly_detector(mine, features.of(reserve), method.recipe)
        )
    else:
        scores = train_or_say_why(mine, method.recipe)[0]
    found = run_experiment(mine, method, [scores], inclusive=True)
    record: dict[str, Any] = plain(_record(found, scores, truth, method, data))
    return record


def _record(
    found: Experiment, scores: WindowScores, truth: np.ndarray[Any, np.dtype[np.bool_]], method: Method, data: Sample
) -> dict[str, Any]:
    inside = method.recipe.windows.windows[0].region(data.mass) == WINDOW
    (efficiency,) = method.efficiencies
    passed = np.zeros(len(truth), bool)
    if not scores.refusal(efficiency):
        passed = scores.selected(efficiency)
    record: dict[str, Any] = {
        "z": {name: estimate.z for name, estimate in found.selections[0].estimates.items()},
        "problems": [estimate.problem for estimate in found.selections[0].estimates.values() if estimate.problem],
        "inclusive": {name: estimate.z for name, estimate in found.inclusive[0].estimates.items()},
        "signal": int(np.count_nonzero(truth & passed & inside)),
        "background": int(np.count_nonzero(~truth & passed & inside)),
        "in_window": [int(np.count_nonzero(part & inside)) for part in (truth, ~truth)],
    }
    if truth.any():
        record["sic"] = sic_on_grid(scores, truth & inside, ~truth & inside)
    return record


def merit(record: Mapping[str, Any]) -> float:
    """S / sqrt(B) of a selection by truth, by which classifiers are chosen on other signals.

    Parameters
    ----------
    record
        Of an experiment.

    Returns
    -------
    float
    """
    return float(record["signal"] / np.sqrt(max(record["background"], 1)))
