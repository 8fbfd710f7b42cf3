"""Events as classifiers see them: features, mass, identity, weight."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from jepa_coffea.cwola.features import check_features
from jepa_coffea.cwola.folds import FoldError, as_hashes
from jepa_coffea.cwola.weights import check_weights

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """Events as the classifiers see them, one entry per event in each array."""

    X: npt.NDArray[Any]
    """Features, (events, features)."""
    mass: Floats
    """The resonance mass, GeV."""
    hashes: npt.NDArray[np.uint64]
    """Identities, which decide the folds."""
    weights: Floats
    """Event weights, not negative."""
    match: Floats | None = None
    """Variables, (events, variables), in which sidebands are weighted to look like the window."""

    def take(self, rows: npt.NDArray[Any]) -> "Sample":
        """Some of the events.

        Parameters
        ----------
        rows
            Row numbers, or a mask of shape (events,).

        Returns
        -------
        Sample
        """
        match = None if self.match is None else self.match[rows]
        return Sample(self.X[rows], self.mass[rows], self.hashes[rows], self.weights[rows], match)

    def columns(self, features: slice) -> "Sample":
        """The same events with some of the features.

        Parameters
        ----------
        features
            Which columns of ``X``.

        Returns
        -------
        Sample
        """
        return replace(self, X=self.X[:, features])

    def joined(self, other: "Sample") -> "Sample":
        """These events and, after them, those of another sample.

        Parameters
        ----------
        other
            With the same features; ``match`` is kept where both samples have it.

        Returns
        -------
        Sample
        """
        match = None
        if self.match is not None and other.match is not None:
            match = np.concatenate([self.match, other.match])
        X, mass, hashes, weights = (
            np.concatenate([getattr(self, name), getattr(other, name)]) for name in ("X", "mass", "hashes", "weights")
        )
        return Sample(X, mass, hashes, weights, match)


def make_sample(
    X: npt.ArrayLike,
    mass: npt.ArrayLike,
    ids: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    match: npt.ArrayLike | None = None,
) -> Sample:
    """Check that arrays are finite and of one length.

    Parameters
    ----------
    X
        Features, shape (events, features).
    mass
        The resonance mass in GeV, shape (events,).
    ids
        Identities; see :func:`~jepa_coffea.cwola.folds.as_hashes`.
    weights
        Event weights; 1 by default.
    match
        See :class:`Sample`.

    Returns
    -------
    Sample

    Raises
    ------
    FeatureError
        If features are not finite.
    WeightError
        If weights are negative or not finite.
    FoldError
        If lengths differ, identities are no integers, or masses are not finite.
    """
    features, masses = np.asarray(X), np.asarray(mass, dtype=float)
    check_features(features)
    hashes = as_hashes(ids)
    event_weights = np.ones(len(features)) if weights is None else np.asarray(weights, dtype=float)
    matched = None if match is None else np.asarray(match, dtype=float)
    lengths = {"X": len(features), "mass": masses.size, "ids": len(hashes), "weights": event_weights.size}
    if matched is not None:
        lengths["match"] = len(matched)
        check_features(matched)
    if len(set(lengths.values())) > 1 or masses.ndim != 1:
        msg = f"CWoLa: expected one entry per event in each argument, got lengths {lengths}"
        raise FoldError(msg)
    if not np.isfinite(masses).all():
        msg = f"CWoLa: {np.count_nonzero(~np.isfinite(masses))} of {len(masses)} masses are not finite"
        raise FoldError(msg)
    check_weights(event_weights)
    return Sample(features, masses, hashes, event_weights, matched)
