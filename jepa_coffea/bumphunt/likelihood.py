"""The extended binned likelihood of a falling function, alone or with a signal, for many spectra at once.

The logarithm of every background function is linear in its parameters, so the gradient is exact and cheap.
Coordinates: ``theta`` are the function's own parameters, strongly correlated; ``phi`` are deviations from a reference
fit in units in which the Fisher information there is the unit matrix, so that all of them are of order 1, uncorrelated,
and safe to invert.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from jepa_coffea.bumphunt.functions import Function, quadrature
from jepa_coffea.bumphunt.newton import Array, Rows, last_error, minimise


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
        """Prepare a function on bins.

        Parameters
        ----------
        function
            The background function.
        sqrt_s
            Centre-of-mass energy, GeV.
        edges
            [bin + 1], GeV.
        theta
            [parameter]: reference.
        transform
            [parameter, parameter]: from phi to theta.

        Returns
        -------
        BackgroundModel
        """
        mass, weights = quadrature(edges)
        terms = function.design(mass / sqrt_s)
        with np.errstate(over="ignore", under="ignore"):
            return cls(function, sqrt_s, edges, theta, transform, weights * np.exp(terms @ theta), terms @ transform)

    def at(self, edges: Array) -> BackgroundModel:
        """The same function and coordinates on other bins.

        Parameters
        ----------
        edges
            [bin + 1], GeV.

        Returns
        -------
        BackgroundModel
        """
        return BackgroundModel.build(self.function, self.sqrt_s, edges, self.theta, self.transform)

    def bins(self, chosen: npt.NDArray[np.bool_]) -> BackgroundModel:
        """Only some of the bins.

        Parameters
        ----------
        chosen
            [bin] mask.

        Returns
        -------
        BackgroundModel
            Its ``edges`` no longer describe its bins.
        """
        return replace(self, base=self.base[chosen], design=self.design[chosen])

    def expected(self, phi: Array) -> Array:
        """Expected events.

        Parameters
        ----------
        phi
            [..., parameter].

        Returns
        -------
        Array
            [..., bin].
        """
        return np.asarray(self._nodes(phi).sum(axis=-1))

    def expected_and_slope(self, phi: Array) -> tuple[Array, Array]:
        """Expected events and their derivatives.

        Parameters
        ----------
        phi
            [row, parameter].

        Returns
        -------
        expected
            [row, bin].
        slope
            [row, bin, parameter].
        """
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


class Start(NamedTuple):
    """Where a fit begins."""

    phi: Array
    """[row, parameter]."""
    signal: Array
    """[row]: signal yields."""


def fit_batch(
    model: BackgroundModel, counts: Array, template: Array | None = None, start: Start | None = None
) -> BatchFit:
    """Fit many spectra with a function, plus a signal of free yield when there is a template.

    Parameters
    ----------
    model
        The function on the bins of the fit.
    counts
        [row, bin] observed events.
    template
        [bin] or [row, bin]: signal events per bin for a yield of 1. The yield may become negative as long as the
        expectation of every bin stays positive.
    start
        By default the reference and no signal.

    Returns
    -------
    BatchFit
    """
    n_phi = model.design.shape[-1]
    phi = np.zeros((len(counts), n_phi)) if start is None else start.phi
    if template is None:
        alone = minimise(_Function(model), counts, phi)
        none = np.zeros(len(counts))
        return BatchFit(alone.values, none, none, alone.deviance, alone.information, alone.converged)
    shape = np.broadcast_to(template, counts.shape)
    signal = np.zeros(len(counts)) if start is None else start.signal
    both = minimise(_FunctionAndSignal(model, shape), counts, np.column_stack([phi, signal]), free=n_phi)
    error = last_error(both.information)
    return BatchFit(both.values[:, :-1], both.values[:, -1], error, both.deviance, both.information, both.converged)


@dataclass(frozen=True, eq=False)
class _Function:
    """Background alone; parameters: phi."""

    model: BackgroundModel

    def mean(self, values: Array, rows: Rows) -> Array:  # noqa: ARG002
        return self.model.expected(values)

    def mean_and_slope(self, values: Array, rows: Rows) -> tuple[Array, Array]:  # noqa: ARG002
        return self.model.expected_and_slope(values)


@dataclass(frozen=True, eq=False)
class _FunctionAndSignal:
    """Background and signal; parameters: phi and the signal yield."""

    model: BackgroundModel
    template: Array
    """[row, bin]."""

    def mean(self, values: Array, rows: Rows) -> Array:
        return self.model.expected(values[:, :-1]) + values[:, -1:] * self.template[rows]

    def mean_and_slope(self, values: Array, rows: Rows) -> tuple[Array, Array]:
        mu, slope = self.model.expected_and_slope(values[:, :-1])
        shape = self.template[rows]
        return mu + values[:, -1:] * shape, np.concatenate([slope, shape[..., None]], axis=-1)
