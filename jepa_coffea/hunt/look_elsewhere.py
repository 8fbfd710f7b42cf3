"""The largest excess of a search, and how often background alone gives one as large anywhere in the search."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from jepa_coffea.bumphunt.global_significance import LEVEL, gross_vitells
from jepa_coffea.hunt.null import Corrected, Floats, leave_one_out


@dataclass(frozen=True)
class GlobalP:
    """The largest excess of the search, and how often background alone gives one as large anywhere in the search."""

    largest_z: float
    """The largest corrected Z of all windows and efficiencies."""
    where: int
    """Its number in the list of selections."""
    p: float
    """Rank among the pseudo-experiments' largest corrected Z."""
    exceeding: int
    """Pseudo-experiments with at least as large a one, the failed ones included."""
    failed: int
    """Pseudo-experiments without a fit of some trial: they could have been anything, and count as exceeding."""
    experiments: int
    """Pseudo-experiments in all."""
    trials: int
    """Selections with a corrected Z."""
    bound: float
    """Bonferroni: number of trials times the smallest corrected local p."""
    gross_vitells: float
    """Cross-check by upcrossings along the windows, see :func:`upcrossings`; NaN for one window, or without excess."""

    @property
    def is_bound(self) -> bool:
        """Whether no pseudo-experiment that worked reaches as far, which makes ``p`` an upper bound.

        Returns
        -------
        bool
        """
        return self.exceeding == self.failed

    @property
    def among(self) -> str:
        """The selections that were looked at, in words.

        Returns
        -------
        str
        """
        if self.trials == 1:
            return "the one selection (window and efficiency)"
        return f"all {self.trials} selections (windows and efficiencies)"

    @property
    def sentence(self) -> str:
        """The global p-value in words, with the bound and the failed experiments named.

        Returns
        -------
        str
        """
        among, good = f"Over {self.among}", self.experiments - self.failed
        if self.is_bound:
            text = (
                f"{among} the global p-value is < {self.p:.2g}: none of {good} pseudo-experiments reaches as far "
                f"({self.bound:.2g} by Bonferroni, extrapolated)."
            )
        else:
            reached = self.exceeding - self.failed
            text = f"{among} the global p-value is {self.p:.2g} ({reached} of {good} pseudo-experiments reach as far)."
        if self.failed:
            text += f" In {self.failed} more a fit failed; each is counted as one that reaches as far."
        return text


def global_p(
    corrected: Sequence[Corrected | str], toys: Floats, efficiencies: Sequence[float], centres: Sequence[float]
) -> GlobalP | None:
    """The p-value of the search by one background estimate.

    Each pseudo-experiment is judged as the data are, by the mean and the width of the others; one with a failed fit
    could have been anything and counts as exceeding. Selections without a corrected Z are no trials.

    Parameters
    ----------
    corrected
        Of each selection, or why there is none.
    toys
        Z of the pseudo-experiments by the same estimate, (experiments, selections).
    efficiencies
        Of each selection.
    centres
        Mass of each selection's window, for the order in which Gross-Vitells walks along them.

    Returns
    -------
    GlobalP or None
        None if no selection is calibrated.
    """
    trials = [i for i, one in enumerate(corrected) if isinstance(one, Corrected)]
    if not trials:
        return None
    z = np.array([one.z for one in corrected if isinstance(one, Corrected)])
    judged = np.stack([leave_one_out(toys[:, i]) for i in trials], axis=1)
    best = int(np.argmax(z))
    exceeding = int(np.count_nonzero(judged.max(axis=1) >= z[best]))
    crossed = upcrossings(judged, [efficiencies[i] for i in trials], [centres[i] for i in trials], float(z[best]))
    return GlobalP(
        float(z[best]),
        trials[best],
        (1 + exceeding) / (1 + len(toys)),
        exceeding,
        int(np.count_nonzero(np.isinf(judged).any(axis=1))),
        len(toys),
        len(trials),
        float(min(1.0, len(z) * stats.norm.sf(z[best]))),
        crossed,
    )


def upcrossings(corrected: Floats, efficiencies: Sequence[float], centres: Sequence[float], peak: float) -> float:
    """Gross and Vitells' upper bound on the global p-value, the windows of each efficiency being one scan in mass.

    Windows are few and overlap little, where a scan would be continuous: between neighbours that share no events the
    formula (EPJC 70 (2010) 525) counts more upcrossings than there are, so that it stays a bound.

    Parameters
    ----------
    corrected
        Z of the pseudo-experiments, (experiments, selections), whose upcrossings of a low level are counted.
    efficiencies, centres
        Of each selection; the bounds of all efficiencies are summed.
    peak
        Corrected Z of the data.

    Returns
    -------
    float
        NaN for one window, or without excess.
    """
    if peak <= LEVEL or len(set(centres)) < 2:
        return float("nan")
    total = 0.0
    for efficiency in dict.fromkeys(efficiencies):
        columns = [i for i, other in enumerate(efficiencies) if other == efficiency]
        total += gross_vitells(corrected[:, sorted(columns, key=lambda i: centres[i])], peak)
    return min(1.0, total)
