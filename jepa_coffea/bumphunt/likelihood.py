"""The extended binned likelihood of many spectra at once, minimised by Newton steps with Fisher information.

The logarithm of every background function is linear in its parameters, so the gradient is exact and cheap, and a
thousand toys are fitted in a fraction of a second by array operations. Coordinates: ``theta`` are the function's own
parameters, strongly correlated; ``phi`` are deviations from a reference fit in units in which the Fisher information
there is the unit matrix, so that all of them are of order 1, uncorrelated, and safe to invert.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from jepa_coffea.bumphunt.functions import Function, quadrature

Array = npt.NDArray[np.float64]

TOLERANCE = 1e-8
"""A fit has converged when a Newton step promises to lower the deviance by less than this."""

STEPS = 100
LARGEST_STEP = 8.0
"""Longest step in phi: the quadratic picture is not trusted further away."""


@dataclass(frozen=True, eq=False)
class BackgroundModel:
    """A function, a reference point ``theta`` and the coordinates ``phi`` around it, on fixed bins."""

    function: Function
    sqrt_s: float
    edges: Array
    theta: Array
    """[parameter]: the reference; ``theta = theta0 + transform @ phi``."""
    transform: Array
    """[parameter, parameter]."""
    base: Array
    """[bin, node]: quadrature weight times density at the reference."""
    design: Array
    """[bin, node, parameter]: derivative of the log density with respect to phi."""

    @classmethod
    def build(cls, function: Function, sqrt_s: float, edges: Array, theta: Array, transform: Array) -> BackgroundModel:
        mass, weights = quadrature(edges)
        terms = function.design(mass / sqrt_s)
        with np.errstate(over="ignore", under="ignore"):
            return cls(function, sqrt_s, edges, theta, transform, weights * np.exp(terms @ theta), terms @ transform)

    def at(self, edges: Array) -> BackgroundModel:
        """The same function and coordinates on other bins."""
        return BackgroundModel.build(self.function, self.sqrt_s, edges, self.theta, self.transform)

    def bins(self, chosen: npt.NDArray[np.bool_]) -> BackgroundModel:
        """Only some of the bins; ``edges`` then no longer describes them."""
        return replace(self, base=self.base[chosen], design=self.design[chosen])

    def expected(self, phi: Array) -> Array:
        """Events per bin [..., bin] for coordinates [..., parameter]."""
        return np.asarray(self._nodes(phi).sum(axis=-1))

    def expected_and_slope(self, phi: Array) -> tuple[Array, Array]:
        """Events [row, bin] and their derivatives [row, bin, parameter] for coordinates [row, parameter]."""
        nodes = self._nodes(phi)
        slope = np.matmul(nodes.transpose(1, 0, 2), self.design).transpose(1, 0, 2)
        return nodes.sum(axis=-1), slope

    def _nodes(self, phi: Array) -> Array:
        with np.errstate(over="ignore", under="ignore"):
            return np.asarray(self.base * np.exp(np.tensordot(phi, self.design, axes=(-1, -1))))


@dataclass(frozen=True, eq=False)
class BatchFit:
    """Fits of many spectra, one per row."""

    phi: Array
    """[row, parameter]."""
    signal: Array
    """[row]: fitted signal yield; 0 in background-only fits."""
    signal_error: Array
    """[row]: from the inverse information."""
    deviance: Array
    """[row]: -2 ln of the likelihood over that of a saturated model."""
    information: Array
    """[row, parameter (+ 1), parameter (+ 1)]: of phi, and of the signal yield when there is one."""
    converged: npt.NDArray[np.bool_]
    """[row]."""


def deviance(counts: Array, expected: Array) -> Array:
    """2 sum_bins [mu - n + n ln(n / mu)]; inf where an expectation is negative, or 0 with events."""
    terms = special.rel_entr(counts, expected) - counts + expected
    return np.asarray(2 * np.where(expected >= 0, terms, np.inf).sum(axis=-1))


class Start(NamedTuple):
    """Where to begin: coordinates [row, parameter] and signal yields [row]."""

    phi: Array
    signal: Array


def fit_batch(
    model: BackgroundModel, counts: Array, template: Array | None = None, start: Start | None = None
) -> BatchFit:
    """Fit ``counts`` [row, bin] with the function, plus a signal yield times ``template`` when there is one.

    template: [bin] or [row, bin], signal events per bin for a yield of 1. The yield may become negative as long as the
    expectation of every bin stays positive. start: by default the reference and no signal.
    """
    rows, n_phi = len(counts), model.design.shape[-1]
    shape = None if template is None else np.broadcast_to(template, counts.shape)
    phi = np.zeros((rows, n_phi)) if start is None else start.phi.copy()
    signal = np.zeros(rows) if start is None or shape is None else start.signal.copy()
    value = np.full(rows, np.inf)
    size = n_phi + (shape is not None)
    information = np.full((rows, size, size), np.nan)
    converged = np.zeros(rows, dtype=bool)
    active = np.arange(rows)
    for _ in range(STEPS):
        n = counts[active]
        t = None if shape is None else shape[active]
        mu, slope = _with_signal(model, phi[active], signal[active], t)
        value[active] = deviance(n, mu)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            gradient = np.einsum("rb,rbp->rp", 1 - n / mu, slope)
            fisher = np.matmul(slope.transpose(0, 2, 1), slope / mu[..., None])
        usable = np.isfinite(fisher).all(axis=(1, 2)) & np.isfinite(gradient).all(axis=1) & np.isfinite(value[active])
        step = np.zeros_like(gradient)
        step[usable] = _solve(fisher[usable], -gradient[usable])
        usable &= np.isfinite(step).all(axis=1)
        information[active] = fisher
        gain = -np.einsum("rp,rp->r", gradient, step)
        done = usable & (gain < TOLERANCE)
        converged[active[done]] = True
        moving = usable & ~done
        active, step = active[moving], step[moving]
        if not len(active):
            break
        stuck = _advance(model, counts, shape, active, step, phi, signal, value)
        # Rounding hides the last crumbs of an improvement: a tiny promised gain that cannot be cashed is convergence.
        converged[active[stuck & (gain[moving] < 1e-5)]] = True
        active = active[~stuck]
    error = np.zeros(rows) if shape is None else _last_error(information)
    return BatchFit(phi, signal, error, value, information, converged)


def _with_signal(model: BackgroundModel, phi: Array, signal: Array, template: Array | None) -> tuple[Array, Array]:
    mu, slope = model.expected_and_slope(phi)
    if template is None:
        return mu, slope
    return mu + signal[:, None] * template, np.concatenate([slope, template[..., None]], axis=-1)


def _solve(matrix: Array, vector: Array) -> Array:
    """Row by row; NaN where a matrix is singular."""
    if not len(matrix):
        return vector
    # Scaled to a unit diagonal: the yield's information has another unit than that of phi.
    scale = 1 / np.sqrt(np.diagonal(matrix, axis1=1, axis2=2))
    scaled = matrix * scale[:, :, None] * scale[:, None, :]
    try:
        return np.asarray(np.linalg.solve(scaled, (vector * scale)[..., None])[..., 0] * scale)
    except np.linalg.LinAlgError:
        if len(matrix) == 1:
            return np.full_like(vector, np.nan)
        return np.concatenate([_solve(matrix[i : i + 1], vector[i : i + 1]) for i in range(len(matrix))])


def _advance(
    model: BackgroundModel,
    counts: Array,
    shape: Array | None,
    active: npt.NDArray[np.intp],
    step: Array,
    phi: Array,
    signal: Array,
    value: Array,
) -> npt.NDArray[np.bool_]:
    """Move each active row along its step, halved until the deviance falls; True where it never does."""
    n_phi = phi.shape[1]
    length = np.linalg.norm(step[:, :n_phi], axis=1)
    step = step * np.minimum(1, LARGEST_STEP / np.maximum(length, 1e-300))[:, None]
    waiting = np.arange(len(active))
    for _ in range(40):
        rows = active[waiting]
        trial_phi = phi[rows] + step[waiting, :n_phi]
        mu = model.expected(trial_phi)
        trial_signal = signal[rows]
        if shape is not None:
            trial_signal = trial_signal + step[waiting, n_phi]
            mu = mu + trial_signal[:, None] * shape[rows]
        trial = deviance(counts[rows], np.where(mu > 0, mu, -1.0))
        better = trial < value[rows]
        phi[rows[better]], signal[rows[better]] = trial_phi[better], trial_signal[better]
        waiting = waiting[~better]
        if not len(waiting):
            break
        step[waiting] /= 2
    stuck = np.zeros(len(active), dtype=bool)
    stuck[waiting] = True
    return stuck


def _last_error(information: Array) -> Array:
    """Error of the last parameter: root of the last element of the inverse, by the Schur complement."""
    block, mixed, last = information[:, :-1, :-1], information[:, :-1, -1], information[:, -1, -1]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(1 / np.sqrt(last - np.einsum("rp,rp->r", mixed, _solve(block, mixed))))
