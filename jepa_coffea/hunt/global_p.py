"""The p-value of the whole search: windows and efficiencies are trials, counted inside the pseudo-experiments."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from jepa_coffea.bumphunt.global_significance import LEVEL, gross_vitells
from jepa_coffea.hunt.calibration import FUNCTION, Calibrated
from jepa_coffea.hunt.experiment import Floats
from jepa_coffea.hunt.null import judged_by_the_others


@dataclass(frozen=True)
class GlobalP:
    """How often nothing gives, anywhere in the search, what was found at its best place."""

    largest_z: float
    """The largest corrected Z of all windows and efficiencies."""
    where: int
    """Its number in the list of results."""
    p: float
    """Rank among the pseudo-experiments' largest corrected Z."""
    exceeding: int
    """Pseudo-experiments with at least as large a one; 0 makes ``p`` an upper bound."""
    experiments: int
    bound: float
    """Bonferroni: number of trials times the smallest corrected local p."""
    gross_vitells: float
    """Cross-check by upcrossings along the windows, see :func:`upcrossings`; NaN for one window, or without excess."""


def global_p(calibrated: Sequence[Calibrated], toys: Floats, centres: Sequence[float]) -> GlobalP:
    """The p-value of the search from ``toys`` (experiments, 2, selections).

    centres: mass of each selection's window, for the order in which Gross-Vitells walks along them.

    Each pseudo-experiment is judged as the data are, by the mean and the width of the others; one with a failed fit
    could have been anything and counts as exceeding.
    """
    z = np.array([result.corrected.z for result in calibrated])
    corrected = np.stack([judged_by_the_others(column) for column in toys[:, FUNCTION].T], axis=1)
    where = int(np.nanargmax(z))
    exceeding = int(np.count_nonzero(corrected.max(axis=1) >= z[where]))
    return GlobalP(
        float(z[where]),
        where,
        (1 + exceeding) / (1 + len(toys)),
        exceeding,
        len(toys),
        float(min(1.0, len(z) * stats.norm.sf(z[where]))),
        upcrossings(corrected, [result.counting.efficiency for result in calibrated], centres, float(z[where])),
    )


def upcrossings(corrected: Floats, efficiencies: Sequence[float], centres: Sequence[float], peak: float) -> float:
    """Gross and Vitells' upper bound on the global p-value, the windows of each efficiency being one scan in mass.

    corrected: (experiments, selections) of the pseudo-experiments, whose upcrossings of a low level are counted. Summed
    over efficiencies. Windows are few and overlap little, where a scan would be continuous: between neighbours that
    share no events the formula counts more upcrossings than there are, so that it stays a bound.
    """
    if peak <= LEVEL or len(set(centres)) < 2:
        return float("nan")
    total = 0.0
    for efficiency in dict.fromkeys(efficiencies):
        columns = [i for i, other in enumerate(efficiencies) if other == efficiency]
        total += gross_vitells(corrected[:, sorted(columns, key=lambda i: centres[i])], peak)
    return min(1.0, total)
