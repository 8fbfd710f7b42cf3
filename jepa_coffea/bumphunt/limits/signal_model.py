"""A background and a signal of any strength, with nuisances: expected events and their derivatives.

The signal has nuisances of two kinds: rates that multiply it (log-normal, as in ATL-PHYS-PUB-2011-11) and shapes that
reweight its bins. HistFactory (CERN-OPEN-2012-016) interpolates exponentially in two pieces, (up / nominal)^x above 0
and (down / nominal)^-x below; here both are one piece without a kink, (up / down)^(x / 2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jepa_coffea.bumphunt.newton import Array, Expectation, Rows

LARGEST_TILT = 3.0
"""Largest logarithm by which a nuisance changes a bin: in a signal's tails the ratio of two shapes is no number."""


@dataclass(frozen=True, eq=False)
class ShapeNuisances:
    """Changes of a signal's shape; at x a bin is multiplied by ``exp(x tilt)``, and the whole kept at ``exp(x norm)``.

    So bins stay positive at any x, and a Gaussian peak that moves keeps its shape.
    """

    tilts: Array
    """[hypothesis, nuisance, bin]."""
    norms: Array
    """[hypothesis, nuisance]."""


def shape_nuisances(up: Array, down: Array) -> ShapeNuisances:
    """Changes of shape from the signals at +1 and -1.

    Parameters
    ----------
    up
        [hypothesis, nuisance, bin]: events at +1.
    down
        [hypothesis, nuisance, bin]: events at -1.

    Returns
    -------
    ShapeNuisances
    """
    floor = 1e-9 * np.maximum(up, down).max(axis=-1, initial=0.0, keepdims=True) + 1e-300
    tilts = np.log(np.maximum(up, floor) / np.maximum(down, floor)) / 2
    norms = np.log(np.maximum(up.sum(axis=-1), 1e-300) / np.maximum(down.sum(axis=-1), 1e-300)) / 2
    return ShapeNuisances(np.clip(tilts, -LARGEST_TILT, LARGEST_TILT), norms)


@dataclass(frozen=True, eq=False)
class SignalPart:
    """The signal of several hypotheses; all share the kind of their nuisances."""

    shape: Array
    """[hypothesis, bin]: events at a strength of 1."""
    rates: Array
    """[rate]: relative uncertainties; a nuisance at x multiplies the signal by ``exp(x log(1 + rate))``."""
    shapes: ShapeNuisances
    """Of all hypotheses."""

    @property
    def nuisances(self) -> int:
        """How many.

        Returns
        -------
        int
        """
        return len(self.rates) + self.shapes.norms.shape[1]


@dataclass(frozen=True, eq=False)
class BackgroundPart:
    """The background of several hypotheses."""

    model: Expectation
    """One hypothesis per row."""
    prior: Array
    """[parameter]: inverse variance of the constraint on each; 0 for a free one."""


@dataclass(frozen=True, eq=False)
class WithSignal:
    """Background and signal; parameters: those of the background, rates, shapes, and the strength if it is free."""

    background: Expectation
    signal: SignalPart
    of: Rows
    """[row]: hypothesis of each row."""
    strength: Array | None
    """[row]; None for a free one."""

    def mean(self, values: Array, rows: Rows) -> Array:
        """Expected events.

        Parameters
        ----------
        values
            [row, parameter].
        rows
            [row].

        Returns
        -------
        Array
            [row, bin].
        """
        k, r = self.signal.nuisances, len(self.signal.rates)
        end = values.shape[1] - (self.strength is None)
        strength = values[:, -1] if self.strength is None else self.strength[rows]
        mu = self.background.mean(values[:, : end - k], self.of[rows])
        signal = self._signal(values[:, end - k : end - k + r], values[:, end - k + r : end], rows)
        return mu + strength[:, None] * signal

    def _signal(self, rate: Array, shape: Array, rows: Rows) -> Array:
        """[row, bin]: events at a strength of 1."""
        nominal = self.signal.shape[self.of[rows]]
        factor = np.exp(rate @ np.log1p(self.signal.rates))
        if not shape.shape[1]:
            return factor[:, None] * nominal
        tilts, norms = self.signal.shapes.tilts[self.of[rows]], self.signal.shapes.norms[self.of[rows]]
        tilted = nominal * np.exp(np.einsum("rk,rkb->rb", shape, tilts))
        kept = factor * nominal.sum(axis=1) * np.exp((shape * norms).sum(axis=1))
        return (kept / np.maximum(tilted.sum(axis=1), 1e-300))[:, None] * tilted

    def mean_and_slope(self, values: Array, rows: Rows) -> tuple[Array, Array]:
        """Expected events and their derivatives.

        Parameters
        ----------
        values
            [row, parameter].
        rows
            [row].

        Returns
        -------
        mean
            [row, bin].
        slope
            [row, bin, parameter].
        """
        k, r = self.signal.nuisances, len(self.signal.rates)
        free = self.strength is None
        end = values.shape[1] - free
        mu, slope = self.background.mean_and_slope(values[:, : end - k], self.of[rows])
        strength = values[:, -1] if self.strength is None else self.strength[rows]
        whole = self._signal(values[:, end - k : end - k + r], values[:, end - k + r : end], rows)
        columns = [slope, (strength[:, None] * whole)[..., None] * np.log1p(self.signal.rates)]
        if k > r:
            tilts, norms = self.signal.shapes.tilts[self.of[rows]], self.signal.shapes.norms[self.of[rows]]
            share = whole / np.maximum(whole.sum(axis=1, keepdims=True), 1e-300)
            change = tilts - np.einsum("rb,rkb->rk", share, tilts)[..., None] + norms[..., None]
            columns.append((strength[:, None] * whole)[..., None] * change.transpose(0, 2, 1))
        if free:
            columns.append(whole[..., None])
        return mu + strength[:, None] * whole, np.concatenate(columns, axis=-1)
