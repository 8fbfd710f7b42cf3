"""The order of a nested family of functions (how many parameters?) by F-test, for data and for toys.

F compares what a parameter gains with what is left (Bevington and Robinson, Data Reduction and Error Analysis, 3rd
edition, section 11.4), with the Poisson deviance of Baker and Cousins, NIM 221 (1984) 437, for chi-squared. Its
distribution is taken from toys, since bins with few events do not follow Fisher's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from jepa_coffea.bumphunt.background import BackgroundFit
from jepa_coffea.bumphunt.fit import fit_background
from jepa_coffea.bumphunt.functions import DIJET_FAMILY
from jepa_coffea.bumphunt.likelihood import fit_batch
from jepa_coffea.bumphunt.newton import Array
from jepa_coffea.bumphunt.records import Record
from jepa_coffea.bumphunt.spectrum import Interval, SpectrumLike
from jepa_coffea.errors import FitError

THRESHOLD = 0.05
"""A richer function is taken when its F has a smaller p-value."""


@dataclass(frozen=True)
class FTestStep(Record):
    """One comparison of the F-test."""

    simpler: str
    richer: str
    f: float
    """[(D1 - D2) / (nu1 - nu2)] / (D2 / nu2), with the deviances D for chi-squared."""
    p_value: float
    """Share of toys of the simpler function with at least this F; both functions are refitted to each."""
    p_fisher: float
    """The same from the F distribution; wrong where bins hold few events."""
    critical: float
    """The F that has to be exceeded for a ``p_value`` below the threshold."""


@dataclass(frozen=True)
class FTest(Record):
    """Result of :func:`f_test`."""

    function: str
    """The simplest that no richer one improves on."""
    steps: tuple[FTestStep, ...]
    stopped: str
    """Why the search ended."""


@dataclass(frozen=True, eq=False)
class FTestRule:
    """The same choice for many spectra at once: a richer function is taken while its F exceeds the critical value.

    The critical values are those of toys of the data's own fits; see :func:`f_test_rule`. Picklable.
    """

    fits: tuple[BackgroundFit, ...]
    """Of the data, window masked, from the simplest function to the richest that could be compared."""
    critical: tuple[float, ...]
    """Of each function after the first, against the one before it."""

    @property
    def functions(self) -> tuple[str, ...]:
        """Names of the functions.

        Returns
        -------
        tuple of str
        """
        return tuple(fit.function for fit in self.fits)

    def choose(self, counts: Array) -> npt.NDArray[np.int64]:
        """Choose the function for each of many spectra.

        Parameters
        ----------
        counts
            [toy, bin]: events.

        Returns
        -------
        Array
            [toy]: index in ``functions``. A toy in which a richer function cannot be fitted keeps the simpler one, as
            the data would.
        """
        used = self.fits[0].used
        batches = [fit_batch(fit.model.bins(used), counts[:, used]) for fit in self.fits]
        chosen = np.zeros(len(counts), np.int64)
        going = batches[0].converged
        for step, critical in enumerate(self.critical):
            simple, rich = batches[step], batches[step + 1]
            f = _f(simple.deviance, rich.deviance, self.fits[step].ndof, self.fits[step + 1].ndof)
            going = going & rich.converged & (f > critical)
            chosen += going
        return chosen


def f_test(
    data: SpectrumLike,
    orders: Sequence[str] = DIJET_FAMILY,
    *,
    sqrt_s: float = 13000.0,
    window: Interval | None = None,
    threshold: float = THRESHOLD,
    toys: int = 500,
    seed: int = 0,
) -> FTest:
    """Add parameters as long as the F-test says that they help.

    Parameters
    ----------
    data
        Spectrum, GeV.
    orders
        Nested functions, from the simplest to the richest.
    sqrt_s
        Centre-of-mass energy, GeV.
    window
        Masked mass interval, GeV.
    threshold
        A richer function is taken for a smaller p-value.
    toys
        Pseudo-experiments of each simpler function, which give the distribution of F.
    seed
        Of these.

    Returns
    -------
    FTest

    Raises
    ------
    FitError
        If the simplest function cannot be fitted.
    """
    steps: list[FTestStep] = []
    current = fit_background(data, orders[0], sqrt_s=sqrt_s, window=window, toys=0)
    for name in orders[1:]:
        try:
            richer = fit_background(data, name, sqrt_s=sqrt_s, window=window, toys=0)
            steps.append(_compare(current, richer, threshold, toys, seed))
        except FitError as error:
            return FTest(current.function, tuple(steps), f"{name} cannot be fitted: {error}")
        if steps[-1].p_value >= threshold:
            return FTest(current.function, tuple(steps), f"{name} is no improvement (p = {steps[-1].p_value:.2g})")
        current = richer
    return FTest(current.function, tuple(steps), "the richest function of the family was reached")


def f_test_rule(
    data: SpectrumLike,
    orders: Sequence[str] = DIJET_FAMILY,
    *,
    sqrt_s: float = 13000.0,
    window: Interval | None = None,
    threshold: float = THRESHOLD,
    toys: int = 500,
    seed: int = 0,
) -> FTestRule:
    """:func:`f_test` as a rule that pseudo-experiments can follow; applied to ``data`` it chooses the same.

    Every order is compared with the one before it, also beyond the one that the data stop at, because a toy may go
    further; where a function cannot be fitted to the data the rule ends.

    Parameters
    ----------
    data
        Spectrum, GeV.
    orders
        Nested functions, from the simplest to the richest.
    sqrt_s
        Centre-of-mass energy, GeV.
    window
        Masked mass interval, GeV.
    threshold
        A richer function is taken for a smaller p-value.
    toys
        Pseudo-experiments of each simpler function.
    seed
        Of these.

    Returns
    -------
    FTestRule

    Raises
    ------
    FitError
        If the simplest function cannot be fitted.
    """
    fits = [fit_background(data, orders[0], sqrt_s=sqrt_s, window=window, toys=0)]
    critical = []
    for name in orders[1:]:
        try:
            richer = fit_background(data, name, sqrt_s=sqrt_s, window=window, toys=0)
            critical.append(_compare(fits[-1], richer, threshold, toys, seed).critical)
        except FitError:
            break
        fits.append(richer)
    return FTestRule(tuple(fits), tuple(critical))


def richest(rules: Sequence[FTestRule], counts: Array) -> npt.NDArray[np.str_]:
    """The richest function that any of several rules chooses.

    Parameters
    ----------
    rules
        One for each window masked.
    counts
        [toy, bin]: events.

    Returns
    -------
    Array
        [toy]: names.
    """
    names = max((rule.functions for rule in rules), key=len)
    return np.asarray(names)[np.max([rule.choose(counts) for rule in rules], axis=0)]


def _f(simple: Array, rich: Array, ndof_simple: int, ndof_rich: int) -> Array:
    return np.asarray((simple - rich) / (ndof_simple - ndof_rich) / (rich / ndof_rich))


def _compare(simpler: BackgroundFit, richer: BackgroundFit, threshold: float, toys: int, seed: int) -> FTestStep:
    if richer.ndof < 1:
        msg = f"{richer.function} leaves no degree of freedom on {int(richer.used.sum())} bins"
        raise FitError(msg)
    ndof = simpler.ndof, richer.ndof
    f = float(_f(np.array(simpler.deviance), np.array(richer.deviance), *ndof))
    mean = simpler.expected[simpler.used]
    pseudo = np.random.default_rng(seed).poisson(mean, (toys, len(mean))).astype(float)
    first, second = (fit_batch(fit.model.bins(fit.used), pseudo) for fit in (simpler, richer))
    good = first.converged & second.converged
    if good.mean() < 0.95:
        msg = f"{richer.function} does not refit {int((~good).sum())} of {toys} toys of {simpler.function}"
        raise FitError(msg)
    null = _f(first.deviance[good], second.deviance[good], *ndof)
    p_value = (1 + int((null >= f).sum())) / (1 + len(null))
    # p < threshold allows this many toys at or above F; with too few toys none is few enough.
    allowed = int(np.ceil(threshold * (1 + len(null)) - 1)) - 1
    critical = float(np.sort(null)[::-1][allowed]) if allowed >= 0 else np.inf
    p_fisher = float(stats.f.sf(f, ndof[0] - ndof[1], ndof[1]))
    return FTestStep(simpler.function, richer.function, f, p_value, p_fisher, critical)
