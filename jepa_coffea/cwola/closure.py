"""All closure gates of a window, and which of them the number of events allows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from jepa_coffea.cwola.efficiency import WindowScores
from jepa_coffea.cwola.gates import (
    ENOUGH,
    SIGMAS,
    Gate,
    bent_count,
    count_gate,
    flat_efficiency,
    interpolated_count,
    inverted_selection,
    score_mass_correlation,
    sideband_auc,
)
from jepa_coffea.cwola.recipe import Recipe
from jepa_coffea.cwola.sample import Sample
from jepa_coffea.cwola.trainer import train_window
from jepa_coffea.cwola.windows import HIGH, LOW, OUTSIDE, WINDOW, Window, Windows
from jepa_coffea.errors import JepaCoffeaError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Closure:
    """The gates of one window, and the names of those for which there are too few events."""

    gates: list[Gate]
    left_out: list[str]


def closure_gates(
    sample: Sample,
    recipe: Recipe,
    scores: WindowScores,
    efficiencies: Sequence[float],
    *,
    client: Any = None,
    progress: bool = False,
) -> Closure:
    """All gates of one window at every sideband efficiency; retrains once for the fake window.

    At the largest efficiency every gate is made, and fails if it cannot be. At smaller ones those are left out that
    would judge fewer than ``ENOUGH`` expected events or have no threshold.

    Parameters
    ----------
    sample, recipe
        The events, and what trains the classifiers of the fake window: as for ``scores``.
    scores
        Of the window.
    efficiencies
        Of the selections. One without a threshold has no gates; that it has none is said by its selection.
    client, progress
        See :func:`~jepa_coffea.tasks.run_tasks`.

    Returns
    -------
    Closure
    """
    name, fake = _fake_window(sample, recipe, scores.window, client, progress)
    gates, left_out = [sideband_auc(scores), score_mass_correlation(scores, sample.mass)], []
    here = {code: np.count_nonzero(scores.scored & (scores.region == code)) for code in (LOW, WINDOW, HIGH)}
    faked = 0 if isinstance(fake, str) else np.count_nonzero(fake.scores.inside)
    usable = sorted((efficiency for efficiency in efficiencies if not scores.refusal(efficiency)), reverse=True)
    for efficiency in usable:
        made = [
            (here[LOW] + here[HIGH], flat_efficiency(scores, sample.mass, recipe.windows, efficiency)),
            (here[WINDOW], inverted_selection(scores, sample.mass, efficiency)),
            (faked, _fake_window_gate(fake, f"{name} at {efficiency:g}", scores.window.name, efficiency)),
        ]
        for events, gate in made:
            if efficiency == usable[0] or (np.isfinite(gate.value) and efficiency * events >= ENOUGH):
                gates.append(gate)
            else:
                left_out.append(f"{gate.name} of window {gate.window}")
    return Closure(gates, left_out)


@dataclass(frozen=True)
class _Fake:
    """A sideband's events, trained on as if its middle were the window."""

    mass: Floats
    scores: WindowScores


def _fake_window(
    sample: Sample, recipe: Recipe, window: Window, client: Any, progress: bool
) -> tuple[str, _Fake | str]:
    """The whole training again for a window inside the fuller sideband, where there is no signal: name, and result.

    The fake window holds the middle half of that sideband's events, between quarters as its sidebands. The result is
    the reason where it cannot be made.
    """
    region = window.region(sample.mass)
    code = max((LOW, HIGH), key=lambda c: np.count_nonzero(region == c))
    rows = np.flatnonzero(region == code)
    name = f"fake window in the {'low' if code == LOW else 'high'} sideband"
    ends = (window.sideband_low, window.low) if code == LOW else (window.high, window.sideband_high)
    low, high = np.quantile(sample.mass[rows], [0.25, 0.75])
    try:
        fake = Window(float(low), float(high), *ends, name=f"{window.name} fake")
        inner = replace(recipe, windows=Windows((fake,), (ends[0], fake.low, fake.high, ends[1])))
        here = sample.take(rows)
        return name, _Fake(here.mass, train_window(0, here, inner, client=client, progress=progress).scores)
    except JepaCoffeaError as error:
        return name, str(error)


def _fake_window_gate(fake: _Fake | str, name: str, window: str, efficiency: float) -> Gate:
    """What is selected in the fake window, against its sidebands."""
    reason = fake if isinstance(fake, str) else fake.scores.refusal(efficiency)
    if isinstance(fake, str) or reason:
        return Gate(name, window, False, np.nan, np.nan, SIGMAS, f"could not be made: {reason}")
    passed, scores = fake.scores.selected(efficiency), fake.scores
    region = np.where(scores.scored, scores.region, OUTSIDE)
    count, smooth = interpolated_count(passed, region, fake.mass), bent_count(passed, region, fake.mass)
    meaning = "classifiers trained for a window without signal select no excess there"
    return count_gate(name, window, scores.window, count, meaning, smooth)
