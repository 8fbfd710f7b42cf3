"""What a fitted background function expects, bin by bin and in a window, and how well it knows that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jepa_coffea.bumphunt.functions import check_masses, get_function
from jepa_coffea.bumphunt.likelihood import Array, BackgroundModel, deviance
from jepa_coffea.bumphunt.records import Record
from jepa_coffea.bumphunt.spectrum import Spectrum, check_edges
from jepa_coffea.errors import HistogramError


@dataclass(frozen=True, eq=False)
class Prediction(Record):
    """Background events that a fit expects in given bins."""

    edges: Array
    yields: Array
    """[bin]."""
    covariance: Array
    """[bin, bin]: of the yields, from the fit's parameters (no Poisson fluctuation of the data)."""

    @property
    def total(self) -> float:
        return float(self.yields.sum())

    @property
    def sigma(self) -> float:
        """Uncertainty of ``total`` with all correlations."""
        return float(np.sqrt(self.covariance.sum()))

    @property
    def errors(self) -> Array:
        """[bin]: uncertainty of each yield."""
        return np.sqrt(np.diagonal(self.covariance))


@dataclass(frozen=True, eq=False)
class BackgroundFit(Record):
    """A fitted background function; made by :func:`fit_background`."""

    function: str
    formula: str
    sqrt_s: float
    edges: Array
    """[bin + 1]: the fit range."""
    counts: Array
    """[bin]: what was observed there, masked bins included."""
    used: npt.NDArray[np.bool_]
    """[bin]: which bins entered the likelihood."""
    window: Array | None
    """[2]: the masked or tested mass window."""
    parameters: Array
    """[parameter]: p0 (logarithm of the normalisation), p1, p2, ..."""
    transform: Array
    """[parameter, parameter]: ``parameters + transform @ phi``; phi are the uncorrelated coordinates of the fit."""
    covariance: Array
    """[parameter, parameter]: of phi, near the unit matrix (that of the parameters themselves is ill-conditioned)."""
    expected: Array
    """[bin]: background events."""
    signal_yield: float | None
    """Fitted signal events, if a signal was fitted along."""
    signal_error: float | None
    deviance: float
    """-2 ln likelihood ratio to the saturated model, over the used bins."""
    ndof: int
    p_chi2: float
    """Goodness of fit if the deviance followed its asymptotic chi-squared law; wrong with few events a bin."""
    p_value: float
    """Goodness of fit from toys that refit; equal to p_chi2 when no toys were asked for."""
    toys: int

    @property
    def parameter_covariance(self) -> Array:
        """[parameter, parameter]: of ``parameters``."""
        return np.asarray(self.transform @ self.covariance @ self.transform.T)

    @property
    def spectrum(self) -> Spectrum:
        return Spectrum(self.counts, self.edges)

    @property
    def model(self) -> BackgroundModel:
        """The fit as a likelihood model on its own bins, phi = 0 being the fit."""
        return BackgroundModel.build(
            get_function(self.function), self.sqrt_s, self.edges, self.parameters, self.transform
        )

    def prediction(self, edges: npt.ArrayLike | None = None) -> Prediction:
        """Background events and their full covariance in bins of ``edges`` (by default the bins of the window).

        The covariance is propagated through the exact derivatives of the bin integrals.
        """
        if edges is None:
            if self.window is None:
                msg = "this fit has no window; say which edges to predict"
                raise HistogramError(msg)
            chosen = self.spectrum.within((float(self.window[0]), float(self.window[1]))).edges
        else:
            chosen = np.asarray(edges, dtype=float)
        check_edges(chosen)
        check_masses(chosen, self.sqrt_s)
        yields, slope = self.model.at(chosen).expected_and_slope(np.zeros((1, len(self.parameters))))
        return Prediction(chosen, yields[0], slope[0] @ self.covariance @ slope[0].T)

    def sample(self, samples: int = 4000, seed: int = 0, edges: Array | None = None) -> Array:
        """Expected events [sample, bin] for parameters drawn from the fit's covariance."""
        model = self.model if edges is None else self.model.at(edges)
        rng = np.random.default_rng(seed)
        normal = rng.standard_normal((samples, len(self.parameters)))
        return model.expected(normal @ np.linalg.cholesky(self.covariance).T)

    def band(self, level: float = 0.6827, samples: int = 4000, seed: int = 0) -> tuple[Array, Array]:
        """Lower and upper edge [bin] of the central band that holds ``level`` of the sampled functions."""
        tail = 50 * (1 - level)
        low, high = np.percentile(self.sample(samples, seed), [tail, 100 - tail], axis=0)
        return low, high

    def pulls(self) -> Array:
        """[bin]: signed root of each bin's deviance from the background alone."""
        return signed_pulls(self.counts, self.expected)


def signed_pulls(counts: Array, expected: Array) -> Array:
    """[bin]: signed root of each bin's deviance: Poisson-correct also where few events are expected."""
    per_bin = deviance(counts[:, None], expected[:, None])
    return np.asarray(np.sign(counts - expected) * np.sqrt(np.maximum(per_bin, 0)))
