"""What the classifiers of a window say of every event, and which events a cut selects."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jepa_coffea.cwola.selection import check_efficiency
from jepa_coffea.cwola.windows import OUTSIDE, WINDOW, Window

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


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
    chosen: tuple[str, ...]
    """The estimator of each tested outer fold."""
    argos: tuple[dict[str, float], ...] = ()
    """Inner-fold ARGOS of each candidate, for each tested outer fold; empty when there was no choice."""

    @property
    def scored(self) -> Mask:
        """Which events have a score."""
        return np.isfinite(self.score)

    @property
    def sideband(self) -> Mask:
        """Which scored events are in the window's sidebands."""
        return self.scored & (self.region != WINDOW) & (self.region != OUTSIDE)

    def selected(self, efficiency: float) -> Mask:
        """Events above their fold's threshold for this sideband efficiency, shape (events,).

        Raises SelectionError where a fold has fewer than 1 / efficiency sideband events.
        """
        for fold in np.unique(self.fold[self.scored]):
            check_efficiency(efficiency, int(np.count_nonzero(self.sideband & (self.fold == fold))))
        return self.scored & (self.fraction <= efficiency)

    def thresholds(self, efficiency: float) -> dict[int, float]:
        """The score threshold of each tested fold at this sideband efficiency."""
        passed = self.selected(efficiency) & self.sideband
        return {
            int(fold): float(self.score[passed & (self.fold == fold)].min())
            for fold in np.unique(self.fold[self.scored])
        }
