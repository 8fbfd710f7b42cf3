"""Label-free reductions of embeddings and the symmetric treatment of an event's two jets.

A weak classifier drowns in many dimensions when little signal is in the window. What shrinks them here looks at no
labels and is fitted on the sidebands of the training folds only, so it belongs to the folds as the classifier does.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA

from jepa_coffea.errors import JepaCoffeaError

Floats = npt.NDArray[Any]


class FeatureError(JepaCoffeaError, ValueError):
    """Features from which nothing can be learned: not finite, or not of the expected shape."""


def check_features(X: Floats, columns: list[str] | None = None) -> None:
    """Check that ``X`` is a finite matrix of events and features.

    Parameters
    ----------
    X
        (events, features).
    columns
        Names of the features, for the message.

    Raises
    ------
    FeatureError
        If it is not; the message names the first bad feature and event.
    """
    if X.ndim != 2 or X.shape[1] == 0:
        msg = f"features: expected shape (events, features) with at least one feature, got {X.shape}"
        raise FeatureError(msg)
    bad = ~np.isfinite(X)
    if bad.any():
        event, column = (int(i[0]) for i in np.nonzero(bad))
        name = columns[column] if columns else f"number {column}"
        msg = (
            f"features: {int(bad.any(axis=1).sum())} of {len(X)} events have a value that is not finite "
            f"(first: event {event}, feature {name}); a jet without constituents has no embedding: "
            "select events with good jets first"
        )
        raise FeatureError(msg)


def symmetrised(first: Floats, second: Floats) -> Floats:
    """Mean and absolute difference of two jets' features.

    Which jet is the leading one is noise (both recoil at almost the same pT); these keep, feature by feature, all that
    does not depend on it.

    Parameters
    ----------
    first, second
        Features of the two jets, (events, D).

    Returns
    -------
    array, (events, 2 D)

    Raises
    ------
    FeatureError
        If the shapes differ.
    """
    if first.shape != second.shape:
        msg = f"symmetrised: expected two matrices of the same shape, got {first.shape} and {second.shape}"
        raise FeatureError(msg)
    return np.concatenate([(first + second) / 2, np.abs(first - second)], axis=1)


class Whitening(TransformerMixin, BaseEstimator):
    """Leading principal components with unit variance, optionally with how far an event lies from the sidebands.

    Parameters
    ----------
    components
        How many principal components to keep.
    novelty
        Append two numbers: the squared distance from the mean in the kept components (Mahalanobis), and the log of the
        squared residual outside them. Rare events of any kind, signal among them, are extreme in both.
    passed
        The last columns, this many, are left as they are: observables, whose units have nothing in common and of which
        there are few.
    """

    def __init__(self, components: int = 12, novelty: bool = True, passed: int = 0) -> None:
        self.components = components
        self.novelty = novelty
        self.passed = passed

    def fit(self, X: Floats, y: None = None) -> "Whitening":  # noqa: ARG002 (scikit-learn's signature)
        """Find the components.

        Parameters
        ----------
        X
            (events, features).
        y
            Not used; there are no labels here.

        Returns
        -------
        Whitening

        Raises
        ------
        FeatureError
            If there are fewer features than components.
        """
        reducible = X.shape[1] - self.passed
        if self.components > reducible:
            msg = f"Whitening: {self.components} components of {reducible} features; take fewer"
            raise FeatureError(msg)
        self.pca_ = PCA(self.components, whiten=True, svd_solver="full").fit(X[:, :reducible])
        return self

    def transform(self, X: Floats) -> Floats:
        """Reduce features.

        Parameters
        ----------
        X
            (events, features).

        Returns
        -------
        array, (events, components + 2 with novelty + passed)
        """
        X, passed = np.split(X, [X.shape[1] - self.passed], axis=1)
        reduced = self.pca_.transform(X)
        if not self.novelty:
            return np.column_stack([reduced, passed])
        centred = X - self.pca_.mean_
        inside = centred @ self.pca_.components_.T
        residual = np.maximum((centred**2).sum(axis=1) - (inside**2).sum(axis=1), 1e-12 * (centred**2).mean())
        return np.column_stack([reduced, (reduced**2).sum(axis=1), np.log(residual), passed])
