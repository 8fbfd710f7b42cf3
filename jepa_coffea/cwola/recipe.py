"""Everything that decides which classifiers are trained, besides the events."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jepa_coffea.cwola.classifiers import ClassifierError, check_estimator
from jepa_coffea.cwola.efficiency import check_efficiency
from jepa_coffea.cwola.folds import Folds
from jepa_coffea.cwola.windows import WindowError, Windows

FEW = 10
"""Features of which every member sees all."""


@dataclass(frozen=True)
class Recipe:
    """What decides the classifiers besides the events; picklable, and checked when it is made.

    The defaults are those of :class:`~jepa_coffea.cwola.cwola.CWoLa` and of hunt documents, too; but for ``reduction``,
    since an array does not say which of its columns are embeddings, and a document does.

    Raises
    ------
    ClassifierError
        If an estimator takes no sample weights, or numbers are out of range.
    WindowError
        If there is no window.
    """

    windows: Windows
    """Mass windows, sidebands and fit range."""
    candidates: Mapping[str, Any]
    """scikit-learn classifiers by name; of several, ARGOS on the inner folds chooses one for each outer fold."""
    folds: Folds = field(default_factory=Folds)
    """The nested folds."""
    members: int = 10
    """Classifiers to average, each with its own seed."""
    attribute_fraction: float | None = None
    """Share of the features that each member sees, drawn at random (attribute bagging). By default it follows the
    number of features: all of up to ``FEW``, and half of more but at least ``FEW``. Few features want all of them: with
    half of ten a search lost half of its significance."""
    reduction: Any = None
    """A label-free scikit-learn transformer, fitted on the sidebands of the training folds."""
    seed: int = 1
    """All randomness, together with the position of a fit; never the order in which fits are done."""
    best_at: float | None = None
    """In place of averaging all members: keep in each inner fold the one with the largest window efficiency at this
    sideband efficiency, and average these."""

    def __post_init__(self) -> None:
        if not self.windows.windows:
            msg = "CWoLa: classifiers learn to tell a window from its sidebands; expected at least one window, got none"
            raise WindowError(msg)
        for estimator in self.candidates.values():
            check_estimator(estimator)
        if not self.candidates or self.members < 1 or not 0 < self.share(FEW) <= 1:
            msg = (
                "CWoLa: expected an estimator, at least one member and an attribute fraction in (0, 1], got "
                f"{len(self.candidates)}, {self.members} and {self.attribute_fraction}"
            )
            raise ClassifierError(msg)
        if self.best_at is not None:
            check_efficiency(self.best_at)

    def share(self, features: int) -> float:
        """Share of the features that each member sees.

        Parameters
        ----------
        features
            How many there are, after the reduction.

        Returns
        -------
        float
        """
        if self.attribute_fraction is not None:
            return self.attribute_fraction
        return min(1.0, max(0.5, FEW / features))
