"""Classification without labels: window against sidebands, scored out of fold."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from jepa_coffea.cwola.efficiency import WindowScores
from jepa_coffea.cwola.folds import Folds
from jepa_coffea.cwola.recipe import Recipe
from jepa_coffea.cwola.sample import make_sample
from jepa_coffea.cwola.trainer import train_windows
from jepa_coffea.cwola.windows import Windows

Floats = npt.NDArray[np.float64]


@dataclass
class CWoLa:
    """Window-against-sidebands classifiers and their out-of-fold scores.

    Every event is scored by classifiers that were trained on other events: on those of the other folds, labelled by
    nothing but whether their mass lies in the window or in its sidebands.

    Raises
    ------
    ClassifierError
        If an estimator takes no sample weights, or numbers are out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from jepa_coffea.cwola import CWoLa, Windows
    >>> from jepa_coffea.cwola.classifiers import logistic
    >>> rng = np.random.default_rng(0)
    >>> mass, X = rng.uniform(2000, 4000, 3000), rng.normal(size=(3000, 4))
    >>> windows = Windows.single(2600, 3000, sidebands=(2200, 3600))
    >>> cwola = CWoLa(windows, logistic(), members=1, attribute_fraction=1).fit(X, mass, np.arange(3000))
    >>> selected = cwola.scores_[0].selected(0.1)
    >>> side = cwola.scores_[0].sideband
    >>> round(float((selected & side).sum() / side.sum()), 2)
    0.1
    """

    windows: Windows
    """Mass windows, sidebands and fit range."""
    estimator: Any
    """A scikit-learn classifier with ``fit(X, y, sample_weight)`` and ``predict_proba``, or candidates by name, among
    which ARGOS on the inner folds chooses for each outer fold."""
    folds: Folds = field(default_factory=Folds)
    """This and the following up to ``best_at``: see :class:`~jepa_coffea.cwola.recipe.Recipe`."""
    members: int = Recipe.members
    attribute_fraction: float | None = Recipe.attribute_fraction
    reduction: Any = Recipe.reduction
    seed: int = Recipe.seed
    best_at: float | None = Recipe.best_at
    client: Any = None
    """A ``dask.distributed.Client`` to fit on; without one, fits run here."""
    progress: bool = False
    """Show a progress bar."""
    scores_: list[WindowScores] = field(init=False, repr=False, compare=False, default_factory=list)
    """After :meth:`fit`: what the classifiers of each window say of every event."""

    def __post_init__(self) -> None:
        named = isinstance(self.estimator, Mapping)
        self._recipe = Recipe(
            self.windows,
            dict(self.estimator) if named else {type(self.estimator).__name__: self.estimator},
            self.folds,
            self.members,
            self.attribute_fraction,
            self.reduction,
            self.seed,
            self.best_at,
        )

    @property
    def recipe(self) -> Recipe:
        """What decides the fits besides the events.

        Returns
        -------
        Recipe
        """
        return self._recipe

    def fit(
        self,
        X: npt.ArrayLike,
        mass: npt.ArrayLike,
        ids: npt.ArrayLike,
        *,
        weights: npt.ArrayLike | None = None,
        match: npt.ArrayLike | None = None,
    ) -> "CWoLa":
        """Train every window's classifiers in every fold and score each event by those that never saw it.

        Parameters
        ----------
        X
            Features, shape (events, features).
        mass
            The resonance mass in GeV, shape (events,); it makes the labels and is no feature.
        ids
            Integers (events, 3) of run, luminosity block, event, or (events,), or hashes of them.
        weights
            Event weights, not negative; 1 by default.
        match
            Variables, shape (events, variables), in which the sidebands are weighted to look like the window.

        Returns
        -------
        CWoLa
            Itself, with ``scores_``.

        Raises
        ------
        FeatureError, WeightError, FoldError
            If the input cannot be used.
        EmptyRegionError, SelectionError, ClassifierError
            If no classifiers or thresholds can be made of it.
        """
        sample = make_sample(X, mass, ids, weights, match)
        trained = train_windows(sample, self.recipe, client=self.client, progress=self.progress)
        self.scores_ = [one.scores for one in trained]
        return self

    def fit_predict(
        self,
        X: npt.ArrayLike,
        mass: npt.ArrayLike,
        ids: npt.ArrayLike,
        *,
        weights: npt.ArrayLike | None = None,
        match: npt.ArrayLike | None = None,
    ) -> Floats:
        """Out-of-fold scores.

        Parameters
        ----------
        X, mass, ids, weights, match
            As for :meth:`fit`.

        Returns
        -------
        array of float, (events,) for one window, (events, windows) for several
            NaN outside the fit range and, in forward order, in the first fold.

        Raises
        ------
        FeatureError, WeightError, FoldError, EmptyRegionError, SelectionError, ClassifierError
            As :meth:`fit`.
        """
        scores = [one.score for one in self.fit(X, mass, ids, weights=weights, match=match).scores_]
        return scores[0] if len(scores) == 1 else np.stack(scores, axis=1)
