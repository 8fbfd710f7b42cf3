"""A second, independent background estimate: what fails the selection, times the odds of passing it.

The odds are measured in the sidebands as a smooth function of mass and interpolated into the window, where the events
that fail provide the shape and the normalisation. No function of the spectrum itself is assumed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from jepa_coffea.bumphunt.background import Prediction
from jepa_coffea.bumphunt.fit import check_sidebands
from jepa_coffea.bumphunt.likelihood import Array
from jepa_coffea.bumphunt.records import Record
from jepa_coffea.bumphunt.spectrum import Interval, SpectrumLike, as_spectrum
from jepa_coffea.errors import FitError, HistogramError


@dataclass(frozen=True, eq=False)
class TransferFactorFit(Record):
    """Efficiency against mass, fitted in the sidebands; made by :func:`fit_transfer_factor`."""

    edges: Array
    window: Array
    """[2]."""
    efficiency: Array
    """[bin]: fitted share of events that pass, also inside the window."""
    parameters: Array
    """[parameter]: of the log odds as a polynomial in mass, from -1 to 1 over the range."""
    covariance: Array
    """[parameter, parameter]."""
    expected: Array
    """[bin]: background predicted to pass."""
    expected_covariance: Array
    """[bin, bin]: from the fit and from the Poisson fluctuation of the events that fail."""
    deviance: float
    """Of the binomial fit, over the sidebands."""
    ndof: int
    p_value: float
    """Of the deviance, by chi-squared over bins with at least 1 expected event on either side."""

    def prediction(self) -> Prediction:
        """Background in the bins of the window with its full covariance."""
        chosen = np.flatnonzero((self.edges[:-1] >= self.window[0]) & (self.edges[1:] <= self.window[1]))
        edges = self.edges[chosen[0] : chosen[-1] + 2]
        return Prediction(edges, self.expected[chosen], self.expected_covariance[np.ix_(chosen, chosen)])


def fit_transfer_factor(
    passed: SpectrumLike,
    total: SpectrumLike,
    *,
    window: Interval,
    degree: int = 1,
) -> TransferFactorFit:
    """Fit the odds of passing in the sidebands (binomial likelihood) and predict the window.

    passed, total: spectra after and before the selection, same edges. degree: of the polynomial of the log odds.
    Raises HistogramError when ``passed`` is no subset of ``total``, FitError when the odds are not determined.
    """
    after, before = as_spectrum(passed), as_spectrum(total)
    if not np.array_equal(after.edges, before.edges):
        msg = "the spectra before and after the selection need the same edges"
        raise HistogramError(msg)
    failing = before.counts - after.counts
    if (failing < 0).any():
        i = int(np.flatnonzero(failing < 0)[0])
        msg = f"bin {i} holds {after.counts[i]:g} events after the selection and {before.counts[i]:g} before"
        raise HistogramError(msg)
    inside = after.inside(window)
    check_sidebands(after, inside, window)
    scaled = 2 * (after.centres - after.edges[0]) / (after.edges[-1] - after.edges[0]) - 1
    design = np.polynomial.legendre.legvander(scaled, degree)
    side = ~inside & (before.counts > 0)
    parameters, covariance = _binomial_fit(design[side], after.counts[side], before.counts[side])
    odds = np.exp(design @ parameters)
    efficiency = odds / (1 + odds)
    expected = odds * failing
    slope = expected[:, None] * design
    deviance, ndof = _binomial_deviance(after.counts[side], before.counts[side], efficiency[side], degree + 1)
    return TransferFactorFit(
        edges=after.edges,
        window=np.asarray(window, dtype=float),
        efficiency=efficiency,
        parameters=parameters,
        covariance=covariance,
        expected=expected,
        expected_covariance=slope @ covariance @ slope.T + np.diag(odds**2 * failing),
        deviance=deviance,
        ndof=ndof,
        p_value=float(stats.chi2.sf(deviance, ndof)) if ndof > 0 else 1.0,
    )


def _binomial_fit(design: Array, k: Array, n: Array) -> tuple[Array, Array]:
    """Logistic regression of ``k`` out of ``n`` by Newton steps: parameters and their covariance."""
    parameters = np.zeros(design.shape[1])
    parameters[0] = special.logit((k.sum() + 0.5) / (n.sum() + 1))
    for _ in range(50):
        share = special.expit(design @ parameters)
        information = design.T @ (design * (n * share * (1 - share))[:, None])
        try:
            covariance = np.linalg.inv(information)
        except np.linalg.LinAlgError:
            break
        step = covariance @ (design.T @ (k - n * share))
        parameters = parameters + step
        if step @ information @ step < 1e-12:
            return parameters, covariance
    msg = (
        f"the efficiency fit of {k.sum():g} out of {n.sum():g} sideband events did not converge; take a lower "
        f"degree or a looser selection"
    )
    raise FitError(msg)


def _binomial_deviance(k: Array, n: Array, share: Array, parameters: int) -> tuple[float, int]:
    """Deviance and degrees of freedom, over bins that expect at least one event on either side of the cut."""
    good = (n * share >= 1) & (n * (1 - share) >= 1)
    k, n, share = k[good], n[good], share[good]
    terms = special.rel_entr(k, n * share) + special.rel_entr(n - k, n * (1 - share))
    return float(2 * terms.sum()), int(good.sum()) - parameters
