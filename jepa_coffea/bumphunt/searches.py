"""Two ways of looking for a bump, each giving local significances for one spectrum or for many toys of it at once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from jepa_coffea.bumphunt.background import BackgroundFit
from jepa_coffea.bumphunt.fit import check_sidebands, fit_background
from jepa_coffea.bumphunt.ftest import FTestRule, richest
from jepa_coffea.bumphunt.functions import get_function
from jepa_coffea.bumphunt.likelihood import BackgroundModel, BatchFit, Start, fit_batch
from jepa_coffea.bumphunt.newton import Array
from jepa_coffea.bumphunt.reference import reference_model
from jepa_coffea.bumphunt.significance import Constraint, counting_significance
from jepa_coffea.bumphunt.spectrum import Interval, Spectrum
from jepa_coffea.errors import FitError, HistogramError

CHUNK = 1024
"""Fits done together: many enough to hide Python's overhead, few enough to stay in the processor's cache."""


class SpectrumSearch(Protocol):
    """What a global significance needs to know of a search."""

    @property
    def name(self) -> str:
        """What was searched."""

    @property
    def spectrum(self) -> Spectrum:
        """The data."""

    @property
    def null(self) -> BackgroundFit:
        """Background-only fit of the whole range: where the toys come from."""

    @property
    def labels(self) -> tuple[str, ...]:
        """One for each hypothesis."""

    @property
    def ordered(self) -> bool:
        """Whether neighbouring hypotheses are points of one continuous scan (Gross-Vitells counts its upcrossings)."""

    @property
    def in_toys(self) -> SpectrumSearch:
        """The search as toys repeat it: they are made with its function, which fakes nothing in them.

        Data whose function may be wrong have a Z of unit width with the error of that counted; such toys without.
        """

    def local_z(self, counts: Array) -> Array:
        """Signed local significances, every fit redone.

        Parameters
        ----------
        counts
            [toy, bin]: events.

        Returns
        -------
        Array
            [toy, hypothesis]; NaN where a fit failed.
        """


@dataclass(frozen=True, eq=False)
class _Search:
    name: str
    spectrum: Spectrum
    function: str
    sqrt_s: float

    @cached_property
    def null(self) -> BackgroundFit:
        """Background-only fit of the whole range."""
        return fit_background(self.spectrum, self.function, sqrt_s=self.sqrt_s, toys=0)


@dataclass(frozen=True, eq=False)
class ShapeSearch(_Search):
    """Signal-plus-background fits of the whole range, one per mass hypothesis; Z is the root of q0."""

    masses: Array
    """[hypothesis], GeV."""
    templates: Array
    """[hypothesis, bin]: signal events for a yield of 1."""
    spurious: Array | None = None
    """[hypothesis]: signal events that the function may fake, the standard deviation of an uncertainty of the yield."""

    ordered = True

    @property
    def labels(self) -> tuple[str, ...]:
        """The masses.

        Returns
        -------
        tuple of str
        """
        return tuple(f"m = {mass:.4g}" for mass in self.masses)

    @cached_property
    def in_toys(self) -> ShapeSearch:
        """Without spurious signals.

        Returns
        -------
        ShapeSearch
        """
        return replace(self, spurious=None)

    @cached_property
    def _model(self) -> BackgroundModel:
        return self.null.model

    def fits(self, counts: Array) -> ShapeFits:
        """Signal yield at each mass and its significance, for many spectra.

        An excess is fitted. A deficit gets Rao's score test and its one-step yield, asymptotically the same: the
        likelihood of a negative yield ends where a bin without events would expect less than none, so that in sparse
        spectra it often has no maximum at all. A spurious signal is added to the error of the yield in quadrature, and
        Z is smaller in proportion.

        Parameters
        ----------
        counts
            [toy, bin]: events.

        Returns
        -------
        ShapeFits
        """
        alone = fit_batch(self._model, counts)
        z, yields, errors = _score(self._model, counts, alone, self.templates)
        excess = np.argwhere(alone.converged[:, None] & (z > 0))
        for first in range(0, len(excess), CHUNK):
            rows, columns = excess[first : first + CHUNK].T
            start = Start(alone.phi[rows], yields[rows, columns])
            fit = fit_batch(self._model, counts[rows], self.templates[columns], start)
            q = np.maximum(alone.deviance[rows] - fit.deviance, 0)
            z[rows, columns] = np.where(fit.converged, np.sqrt(q), np.nan)
            yields[rows, columns], errors[rows, columns] = fit.signal, fit.signal_error
        z[~alone.converged] = np.nan
        if self.spurious is not None:
            z = z / np.sqrt(1 + (self.spurious / errors) ** 2)
        return ShapeFits(z, yields, errors)

    def local_z(self, counts: Array) -> Array:
        """Signed local significances.

        Parameters
        ----------
        counts
            [toy, bin]: events.

        Returns
        -------
        Array
            [toy, hypothesis]; NaN where a fit failed.
        """
        return self.fits(counts).z


class ShapeFits(NamedTuple):
    """Fits of a signal in many spectra at many masses."""

    z: Array
    """[toy, mass]: signed significance."""
    yields: Array
    """[toy, mass]: signal events."""
    errors: Array
    """[toy, mass]: of the yields, statistical."""


def _score(model: BackgroundModel, counts: Array, alone: BatchFit, templates: Array) -> tuple[Array, Array, Array]:
    """Score statistic, one-step yield and its error [toy, mass], the background parameters profiled."""
    mu, slope = model.expected_and_slope(alone.phi)
    # Rows whose fit failed are thrown away by the caller; a singular matrix in them must not stop the others.
    background = np.where(alone.converged[:, None, None], alone.information, np.eye(slope.shape[-1]))
    inverse = np.linalg.pinv(background, hermitian=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        score = (counts / mu - 1) @ templates.T
        mixed = np.matmul(templates, slope / mu[..., None])
        information = (1 / mu) @ (templates**2).T
        information -= np.einsum("tmp,tmp->tm", mixed, np.matmul(mixed, inverse))
        return score / np.sqrt(information), score / information, 1 / np.sqrt(information)


@dataclass(frozen=True, eq=False)
class WindowSearch(_Search):
    """Counting in mass windows, each against a fit that masks it; Z from the closed form.

    Raises
    ------
    HistogramError
        If there is not one error for each window, or a window has no events beside it.
    """

    windows: tuple[Interval, ...]
    """Mass intervals at bin edges, GeV."""
    constraint: Constraint = "poisson"
    """How the background is known, see :func:`~jepa_coffea.bumphunt.significance.counting_significance`."""
    function_errors: tuple[float, ...] = ()
    """[window]: relative error of the background from the choice of the function; empty for none."""

    ordered = False

    def __post_init__(self) -> None:
        if self.function_errors and len(self.function_errors) != len(self.windows):
            msg = f"expected one function error for each of {len(self.windows)} windows, got {self.function_errors}"
            raise HistogramError(msg)
        for window in self.windows:
            check_sidebands(self.spectrum, self.spectrum.inside(window), window)

    @property
    def labels(self) -> tuple[str, ...]:
        """The windows.

        Returns
        -------
        tuple of str
        """
        return tuple(f"{low:g} to {high:g}" for low, high in self.windows)

    @cached_property
    def in_toys(self) -> WindowSearch:
        """Without errors of the function.

        Returns
        -------
        WindowSearch
        """
        return replace(self, function_errors=())

    @cached_property
    def _models(self) -> list[tuple[npt.NDArray[np.bool_], BackgroundModel]]:
        masks = [self.spectrum.inside(window) for window in self.windows]
        n, function = self.spectrum, get_function(self.function)
        return [(mask, reference_model(function, self.sqrt_s, n.edges, n.counts, ~mask)) for mask in masks]

    def local_z(self, counts: Array) -> Array:
        """Signed local significances.

        Parameters
        ----------
        counts
            [toy, bin]: events.

        Returns
        -------
        Array
            [toy, window]; NaN where a fit failed.
        """
        errors = self.function_errors or (0.0,) * len(self.windows)
        columns = [
            self._window_z(counts, mask, model, error)
            for (mask, model), error in zip(self._models, errors, strict=True)
        ]
        return np.stack(columns, axis=1)

    def _window_z(
        self, counts: Array, mask: npt.NDArray[np.bool_], model: BackgroundModel, function_error: float
    ) -> Array:
        fit = fit_batch(model.bins(~mask), counts[:, ~mask])
        # A toy whose data leave a direction of the parameters open has no background uncertainty: a failed fit.
        good = fit.converged.copy()
        good[good] = np.linalg.cond(fit.information[good]) < 1e12
        z = np.full(len(counts), np.nan)
        yields, slope = model.bins(mask).expected_and_slope(fit.phi[good])
        total = slope.sum(axis=1)
        spread = np.linalg.solve(fit.information[good], total[..., None])[..., 0]
        b = yields.sum(axis=1)
        sigma = np.sqrt(np.einsum("rp,rp->r", total, spread) + (function_error * b) ** 2)
        z[good] = counting_significance(counts[good][:, mask].sum(axis=1), b, sigma, self.constraint)
        return z


@dataclass(frozen=True, eq=False)
class ChosenSearch:
    """A search that chooses the order of its background function anew in every spectrum, as in the data."""

    searches: dict[str, ShapeSearch | WindowSearch]
    """The same search with each function."""
    rules: tuple[FTestRule, ...]

    @property
    def ordered(self) -> bool:
        """As the search itself.

        Returns
        -------
        bool
        """
        return self._chosen.ordered

    @cached_property
    def _chosen(self) -> ShapeSearch | WindowSearch:
        data = next(iter(self.searches.values())).spectrum.counts
        return self.searches[str(richest(self.rules, data[None])[0])]

    @property
    def name(self) -> str:
        """What was searched.

        Returns
        -------
        str
        """
        return self._chosen.name + ", function chosen in each spectrum"

    @property
    def spectrum(self) -> Spectrum:
        """The data.

        Returns
        -------
        Spectrum
        """
        return self._chosen.spectrum

    @property
    def null(self) -> BackgroundFit:
        """With the function that the data choose.

        Returns
        -------
        BackgroundFit
        """
        return self._chosen.null

    @property
    def labels(self) -> tuple[str, ...]:
        """One for each hypothesis.

        Returns
        -------
        tuple of str
        """
        return self._chosen.labels

    @cached_property
    def in_toys(self) -> ChosenSearch:
        """With searches as toys repeat them.

        Returns
        -------
        ChosenSearch
        """
        return replace(self, searches={name: search.in_toys for name, search in self.searches.items()})

    def local_z(self, counts: Array) -> Array:
        """Signed local significances, each with the function that its spectrum asks for.

        Parameters
        ----------
        counts
            [toy, bin]: events.

        Returns
        -------
        Array
            [toy, hypothesis]; NaN where a fit failed.
        """
        chosen = richest(self.rules, counts)
        z = np.full((len(counts), len(self.labels)), np.nan)
        for name in np.unique(chosen):
            # A function that can be fitted beside one window and not beside another gives no number: a failed fit.
            with suppress(FitError):
                z[chosen == name] = self.searches[str(name)].local_z(counts[chosen == name])
        return z


def chosen_anew(search: ShapeSearch | WindowSearch, rules: Sequence[FTestRule]) -> ChosenSearch:
    """A search with its function chosen in every spectrum.

    Parameters
    ----------
    search
        With any function.
    rules
        One for each window; the richest of what they choose is taken.

    Returns
    -------
    ChosenSearch
    """
    names = max((rule.functions for rule in rules), key=len)
    return ChosenSearch({name: replace(search, function=name) for name in names}, tuple(rules))
