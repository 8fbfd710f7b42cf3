"""The background that a fitted function predicts, in bins and in a window, with its uncertainty."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from jepa_coffea.bumphunt.functions import check_masses, get_function
from jepa_coffea.bumphunt.likelihood import BackgroundModel
from jepa_coffea.bumphunt.newton import Array, deviance
from jepa_coffea.bumphunt.records import Record
from jepa_coffea.bumphunt.spectrum import Spectrum, check_edges
from jepa_coffea.errors import HistogramError


@dataclass(frozen=True, eq=False)
class Prediction(Record):
    """Background events that a fit expects in given bins."""

    edges: Array
    """[bin + 1], GeV."""
    yields: Array
    """[bin]: events."""
    covariance: Array
    """[bin, bin]: of the yields, from the fit's parameters (no Poisson fluctuation of the data)."""

    @property
    def total(self) -> float:
        """Events in all bins.

        Returns
        -------
        float
        """
        return float(self.yields.sum())

    @property
    def sigma(self) -> float:
        """Uncertainty of ``total`` with all correlations.

        Returns
        -------
        float
        """
        return float(np.sqrt(self.covariance.sum()))

    @property
    def errors(self) -> Array:
        """[bin]: uncertainty of each yield.

        Returns
        -------
        Array
        """
        return np.sqrt(np.diagonal(self.covariance))

    def widened(self, function_error: float) -> Prediction:
        """The prediction with the uncertainty of the choice of the function, in quadrature.

        Parameters
        ----------
        function_error
            Events in all bins together by which the function may be wrong; shared out as the background is.

        Returns
        -------
        Prediction

        Raises
        ------
        HistogramError
            Unless it is a number that is not negative.

        Examples
        --------
        >>> import numpy as np
        >>> one = Prediction(np.array([2900.0, 3100.0]), np.array([40.0]), np.array([[9.0]]))
        >>> one.widened(4.0).sigma
        5.0
        """
        if not (np.isfinite(function_error) and function_error >= 0):
            msg = f"the error of the function is a number of events that is not negative, got {function_error:g}"
            raise HistogramError(msg)
        shift = function_error * self.yields / self.yields.sum()
        return replace(self, covariance=self.covariance + np.outer(shift, shift))


@dataclass(frozen=True, eq=False)
class BackgroundFit(Record):
    """A fitted background function; made by :func:`fit_background`."""

    function: str
    formula: str
    sqrt_s: float
    edges: Array
    """[bin + 1]: the fit range, GeV."""
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
    """Goodness of fit if the deviance followed its asymptotic chi-squared law; wrong with few events per bin."""
    p_value: float
    """Goodness of fit from toys that refit; equal to p_chi2 when no toys were asked for."""
    toys: int

    @property
    def parameter_covariance(self) -> Array:
        """[parameter, parameter]: of ``parameters``.

        Returns
        -------
        Array
        """
        return np.asarray(self.transform @ self.covariance @ self.transform.T)

    @property
    def spectrum(self) -> Spectrum:
        """What was observed.

        Returns
        -------
        Spectrum
        """
        return Spectrum(self.counts, self.edges)

    @property
    def model(self) -> BackgroundModel:
        """The fit as a likelihood model on its own bins, phi = 0 being the fit.

        Returns
        -------
        BackgroundModel
        """
        return BackgroundModel.build(
            get_function(self.function), self.sqrt_s, self.edges, self.parameters, self.transform
        )

    def prediction(self, edges: npt.ArrayLike | None = None) -> Prediction:
        """Background events and their full covariance.

        The covariance is propagated through the exact derivatives of the bin integrals.

        Parameters
        ----------
        edges
            [bin + 1], GeV; by default the bins of the window.

        Returns
        -------
        Prediction

        Raises
        ------
        HistogramError
            For edges that cannot be used, and without edges for a fit that has no window.
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
        """Expected events for parameters drawn from the fit's covariance.

        Parameters
        ----------
        samples
            How many.
        seed
            Of the random numbers.
        edges
            [bin + 1], GeV; by default those of the fit.

        Returns
        -------
        Array
            [sample, bin].
        """
        model = self.model if edges is None else self.model.at(edges)
        rng = np.random.default_rng(seed)
        normal = rng.standard_normal((samples, len(self.parameters)))
        return model.expected(normal @ np.linalg.cholesky(self.covariance).T)

    def band(self, level: float = 0.6827, samples: int = 4000, seed: int = 0) -> tuple[Array, Array]:
        """The central band that holds a share of the sampled functions, bin by bin.

        Parameters
        ----------
        level
            The share.
        samples
            How many functions to draw.
        seed
            Of the random numbers.

        Returns
        -------
        low
            [bin]: events.
        high
            [bin].
        """
        tail = 50 * (1 - level)
        low, high = np.percentile(self.sample(samples, seed), [tail, 100 - tail], axis=0)
        return low, high

    def pulls(self) -> Array:
        """Signed root of each bin's deviance from the background alone.

        Returns
        -------
        Array
            [bin].
        """
        return signed_pulls(self.counts, self.expected)


def signed_pulls(counts: Array, expected: Array) -> Array:
    """Signed root of each bin's deviance: right also where few events are expected.

    Parameters
    ----------
    counts
        [bin]: observed events.
    expected
        [bin]: expected events.

    Returns
    -------
    Array
        [bin].
    """
    per_bin = deviance(counts[:, None], expected[:, None])
    return np.asarray(np.sign(counts - expected) * np.sqrt(np.maximum(per_bin, 0)))
