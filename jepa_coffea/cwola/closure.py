"""All closure gates of a window, and which of them the number of events allows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jepa_coffea.cwola.cwola import CWoLa
from jepa_coffea.cwola.fake_window import fake_window, fake_window_count
from jepa_coffea.cwola.fits import Sample
from jepa_coffea.cwola.gates import (
    ENOUGH,
    Gate,
    flat_efficiency,
    inverted_selection,
    score_mass_correlation,
    sideband_auc,
)
from jepa_coffea.cwola.scores import WindowScores
from jepa_coffea.cwola.windows import HIGH, LOW, WINDOW


@dataclass(frozen=True)
class Closure:
    """The gates of one window, and the names of those for which there are too few events."""

    gates: list[Gate]
    left_out: list[str]


def closure_gates(sample: Sample, cwola: CWoLa, scores: WindowScores, efficiencies: Sequence[float]) -> Closure:
    """All gates of one window at every sideband efficiency; retrains once for the fake window.

    At the largest efficiency every gate is made, and fails if it cannot be. At smaller ones those are left out that
    would judge fewer than ``ENOUGH`` expected events or have no threshold.
    """
    name, fake = fake_window(sample, cwola, scores.window)
    gates, left_out = [sideband_auc(scores), score_mass_correlation(scores, sample.mass)], []
    here = {code: np.count_nonzero(scores.scored & (scores.region == code)) for code in (LOW, WINDOW, HIGH)}
    faked = 0 if isinstance(fake, str) else np.count_nonzero(fake.scores.scored & (fake.scores.region == WINDOW))
    for efficiency in sorted(efficiencies, reverse=True):
        made = [
            (here[LOW] + here[HIGH], flat_efficiency(scores, sample.mass, cwola.windows, efficiency)),
            (here[WINDOW], inverted_selection(scores, sample.mass, efficiency)),
            (faked, fake_window_count(fake, f"{name} at {efficiency:g}", scores.window.name, efficiency)),
        ]
        for events, gate in made:
            if efficiency == max(efficiencies) or (np.isfinite(gate.value) and efficiency * events >= ENOUGH):
                gates.append(gate)
            else:
                left_out.append(f"{gate.name} of window {gate.window}")
    return Closure(gates, left_out)
