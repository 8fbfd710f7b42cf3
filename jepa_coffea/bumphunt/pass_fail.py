"""A background estimate without a function of the spectrum: what fails the selection times a transfer factor.

The pass/fail transfer factor, the odds of passing, is measured in the sidebands as a smooth function of mass and
interpolated into the window, where the events that fail provide the shape and the normalisation. The idea is that of
CMS's search for boosted Higgs bosons, PRL 120 (2018) 071802 (arXiv:1709.05543), where the factor is a polynomial in two
variables; here its logarithm is one in the mass. The fit is a logistic regression by Fisher scoring, and its goodness
the binomial deviance (McCullagh and Nelder, Generalized Linear Models, 2nd edition, chapter 4).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from jepa_coffea.bumphunt.background import Prediction
from jepa_coffea.bumphunt.fit import check_sidebands
from jepa_coffea.bumphunt.newton import Array, solve
from jepa_coffea.bumphunt.records import Record
from jepa_coffea.bumphunt.spectrum import Interval, Spectrum, SpectrumLike, as_spectrum
from jepa_coffea.errors import FitError, HistogramError

STEPS = 25
"""Of the fits to toys, all at once."""


@dataclass(frozen=True, eq=False)
class TransferFactorFit(Record):
    """Transfer factor against mass, fitted in the sidebands; made by :func:`fit_transfer_factor`."""

    edges: Array
    """[bin + 1], GeV."""
    counts: Array
    """[bin]: events that pass, the window's included."""
    window: Array
    """[2], GeV."""
    transfer_factor: Array
    """[bin]: fitted odds of passing, also inside the window."""
    parameters: Array
    """[parameter]: of its logarithm as Legendre polynomials in mass, from -1 to 1 over the range."""
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

    @property
    def degree(self) -> int:
        """Of the polynomial in mass.

        Returns
        -------
        int
        """
        return len(self.parameters) - 1

    @property
    def efficiency(self) -> Array:
        """[bin]: fitted share of events that pass.

        Returns
        -------
        Array
        """
        return self.transfer_factor / (1 + self.transfer_factor)

    @property
    def failing(self) -> Array:
        """[bin]: events that fail, the window's included.

        Returns
        -------
        Array
        """
        return self.expected / self.transfer_factor

    @property
    def spectrum(self) -> Spectrum:
        """The events that pass.

        Returns
        -------
        Spectrum
        """
        return Spectrum(self.counts, self.edges)

    def prediction(self, edges: npt.ArrayLike | None = None) -> Prediction:
        """Background that passes, with its full covariance.

        Parameters
        ----------
        edges
            [bin + 1]: coarser bins, GeV; by default the bins of the window.

        Returns
        -------
        Prediction
        """
        if edges is None:
            chosen = self.spectrum.within((float(self.window[0]), float(self.window[1]))).edges
        else:
            chosen = np.asarray(edges, dtype=float)
        inside = [self.spectrum.inside((float(low), float(high))) for low, high in pairwise(chosen)]
        merge = np.array(inside, dtype=float)
        return Prediction(chosen, merge @ self.expected, merge @ self.expected_covariance @ merge.T)

    def expecting(self, total: npt.ArrayLike) -> TransferFactorFit:
        """The same transfer factor, applied to the events that are expected to fail instead of those that do.

        Parameters
        ----------
        total
            [bin]: expected events before the selection.

        Returns
        -------
        TransferFactorFit
            It predicts what the sidebands alone say, with the error that a count of the failing events would leave.
        """
        failing = np.asarray(total, dtype=float) / (1 + self.transfer_factor)
        design = _design(self.spectrum, self.degree)
        expected, covariance = _predicted(design, self.transfer_factor, self.covariance, failing)
        return replace(self, expected=expected, expected_covariance=covariance)


def fit_transfer_factor(
    passed: SpectrumLike,
    total: SpectrumLike,
    *,
    window: Interval,
    degree: int = 1,
    toys: int = 0,
) -> TransferFactorFit:
    """Fit the odds of passing in the sidebands (binomial likelihood) and predict the window.

    Parameters
    ----------
    passed
        Spectrum after the selection.
    total
        Spectrum before the selection, same edges.
    window
        Masked mass interval at bin edges, GeV.
    degree
        Of the polynomial of the logarithm of the transfer factor.
    toys
        Fits that the goodness of fit is found by; without them it is that of chi-squared, which is too small where few
        events are expected in a bin.

    Returns
    -------
    TransferFactorFit

    Raises
    ------
    HistogramError
        When ``passed`` is no subset of ``total``, or there are no events on a side of the window before the selection.
        That none pass on a side is no error, and tells much of the transfer factor; how many should pass there can be
        asked beforehand, see :func:`~jepa_coffea.bumphunt.check_expected_sides`.
    FitError
        When the odds are not determined.
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
    check_sidebands(before, inside, window)
    design = _design(after, degree)
    side = ~inside & (before.counts > 0)
    parameters, covariance = _binomial_fit(design[side], after.counts[side], before.counts[side])
    odds = np.exp(design @ parameters)
    expected, expected_covariance = _predicted(design, odds, covariance, failing)
    share = odds / (1 + odds)
    deviance, ndof = _binomial_deviance(after.counts[side], before.counts[side], share[side], degree + 1)
    return TransferFactorFit(
        edges=after.edges,
        counts=after.counts,
        window=np.asarray(window, dtype=float),
        transfer_factor=odds,
        parameters=parameters,
        covariance=covariance,
        expected=expected,
        expected_covariance=expected_covariance,
        deviance=deviance,
        ndof=ndof,
        p_value=_goodness(design[side], before.counts[side], share[side], deviance, ndof, toys),
    )


def _design(spectrum: Spectrum, degree: int) -> Array:
    """Legendre polynomials in mass at the bins' centres, (bins, degree + 1)."""
    scaled = 2 * (spectrum.centres - spectrum.edges[0]) / (spectrum.edges[-1] - spectrum.edges[0]) - 1
    return np.asarray(np.polynomial.legendre.legvander(scaled, degree))


def _predicted(design: Array, odds: Array, covariance: Array, failing: Array) -> tuple[Array, Array]:
    """What passes for these events that fail, and its covariance: of the fit, and of their Poisson fluctuation."""
    expected = odds * failing
    slope = expected[:, None] * design
    return expected, slope @ covariance @ slope.T + np.diag(odds**2 * failing)


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
        if step @ information @ step < 1e-12 and (np.linalg.eigvalsh(covariance) > 0).all():
            return parameters, covariance
    msg = (
        f"the transfer factor of {k.sum():g} out of {n.sum():g} sideband events did not converge; take a lower degree "
        f"or a looser selection"
    )
    raise FitError(msg)


def _binomial_deviance(k: Array, n: Array, share: Array, parameters: int) -> tuple[float, int]:
    """Deviance and degrees of freedom, over bins that expect at least one event on either side of the cut."""
    good = _counted(n, share)
    return float(_deviance(k, n, share, good)), int(good.sum()) - parameters


def _counted(n: Array, share: Array) -> npt.NDArray[np.bool_]:
    return np.asarray((n * share >= 1) & (n * (1 - share) >= 1))


def _deviance(k: Array, n: Array, share: Array, good: npt.NDArray[np.bool_]) -> Array:
    """Of binomial counts [..., bin], over some of the bins."""
    terms = special.rel_entr(k, n * share) + special.rel_entr(n - k, n * (1 - share))
    return np.asarray(2 * terms[..., good].sum(axis=-1))


def _goodness(design: Array, n: Array, share: Array, deviance: float, ndof: int, toys: int) -> float:
    """p-value of the deviance; by toys each of which is fitted as the data are, one without a fit counts as worse."""
    if ndof <= 0:
        return 1.0
    if not toys:
        return float(stats.chi2.sf(deviance, ndof))
    k = np.random.default_rng(0).binomial(n.astype(int), share, (toys, len(n))).astype(float)
    parameters = np.zeros((toys, design.shape[1]))
    parameters[:, 0] = special.logit((k.sum(axis=1) + 0.5) / (n.sum() + 1))
    for _ in range(STEPS):
        fitted = special.expit(parameters @ design.T)
        information = np.einsum("tb,bi,bj->tij", n * fitted * (1 - fitted), design, design)
        step = solve(information, (k - n * fitted) @ design)
        parameters += np.clip(np.nan_to_num(step), -2, 2)
    fitted = special.expit(parameters @ design.T)
    worse = ~(np.abs(step).max(axis=1) < 1e-3) | (_deviance(k, n, fitted, _counted(n, share)) >= deviance)
    return float((1 + np.count_nonzero(worse)) / (1 + toys))
