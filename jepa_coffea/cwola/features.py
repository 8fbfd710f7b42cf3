"""Label-free reductions of embeddings and the symmetric treatment of an event's two jets.

A weak classifier drowns in many dimensions when little signal is in the window. What shrinks them here looks at no
labels and is fitted on the sidebands of the training folds only, so it belongs to the folds as the classifier does.
"""

from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA

from jepa_coffea.errors import JepaCoffeaError

Floats = npt.NDArray[Any]
Directions: TypeAlias = Literal["variance", "observables"]

SMALL = 1e-9
"""Variance over that of the leading component, below which a direction is one without variance."""

ROUNDING = 1e-5
"""Squared distance outside the components over the mean squared distance of all, below which it is rounding."""


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
    """A few directions of embeddings with unit variance, optionally with how far an event lies from the sidebands.

    By variance they are the leading principal components. By observables the first ones are linear regressors of the
    passed columns, as few as explain most of them (reduced-rank regression; Izenman, J. Multivariate Anal. 5 (1975)
    248), and principal components follow where more are asked for than there are observables: a direction that tells
    the number of prongs is found however little it varies. Linear, since a regressor of many parameters would know the
    sideband events that it was fitted to, and tell them from those of the window.

    Parameters
    ----------
    components
        How many directions to keep.
    novelty
        Append two numbers: the squared distance from the mean in the kept components (Mahalanobis), and the log of the
        squared residual outside them. Rare events of any kind, signal among them, are extreme in both.
    passed
        The last columns, this many, are left as they are: observables, whose units have nothing in common and of which
        there are few.
    by
        What the directions follow: ``variance``, or ``observables``, the passed columns.
    """

    def __init__(
        self,
        components: int = 12,
        novelty: bool = True,
        passed: int = 0,
        by: Directions = "variance",
    ) -> None:
        self.components = components
        self.novelty = novelty
        self.passed = passed
        self.by = by

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
            If there is nothing to reduce, or there are no observables to follow.
        """
        reducible = X.shape[1] - self.passed
        if not reducible:
            msg = f"Whitening: there are no features to reduce beside the {self.passed} that are left as they are"
            raise FeatureError(msg)
        components = min(self.components, reducible)
        if self.by == "observables" and not self.passed:
            msg = "Whitening: directions by observables need observables beside the embeddings"
            raise FeatureError(msg)
        embeddings, observables = X[:, :reducible], X[:, reducible:].astype(float)
        self.mean_ = embeddings.mean(axis=0, dtype=float).astype(X.dtype)
        if self.by == "variance":
            # Faster than singular values, and as exact for leading components if centred and in double precision.
            pca = PCA(components, svd_solver="covariance_eigh").fit(embeddings - self.mean_.astype(float))
            varies = pca.explained_variance_ > SMALL * pca.explained_variance_[0]
            self.directions_ = pca.components_[varies].T
            self.scales_ = np.diag(pca.explained_variance_[varies] ** -0.5)
            return self
        pca = PCA(svd_solver="full").fit(embeddings)
        varies = pca.explained_variance_ > SMALL * pca.explained_variance_[0]
        white = (pca.components_.T * pca.explained_variance_**-0.5)[:, varies]
        targets = (observables - observables.mean(axis=0)) / np.maximum(observables.std(axis=0), 1e-12)
        slopes = np.linalg.lstsq((embeddings - self.mean_) @ white, targets, rcond=None)[0]
        regressors = np.linalg.svd(slopes, full_matrices=False)[0]
        ordered = np.linalg.qr(np.column_stack([regressors, np.eye(len(slopes))[:, :components]]))[0]
        kept = white @ ordered[:, :components]
        self.directions_ = np.linalg.qr(kept)[0]
        self.scales_ = self.directions_.T @ kept
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
            Fewer components where the features vary in fewer directions.
        """
        X, passed = np.split(X, [X.shape[1] - self.passed], axis=1)
        centred = X - self.mean_
        inside = centred @ self.directions_
        reduced = inside @ self.scales_
        if not self.novelty:
            return np.column_stack([reduced, passed])
        least = max(ROUNDING * (centred**2).sum(axis=1).mean(), np.finfo(np.float32).tiny)
        residual = np.maximum((centred**2).sum(axis=1) - (inside**2).sum(axis=1), least)
        return np.column_stack([reduced, (reduced**2).sum(axis=1), np.log(residual), passed])
