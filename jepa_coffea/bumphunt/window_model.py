"""A fit frozen into templates: the form in which pyhf, Combine and everyone without our functions can use it.

Nominal contents of the window's bins, predicted by a fit that masked them, and one shift of the contents for each
eigenvector of that prediction's covariance: a unit Gaussian constraint on each is then the whole uncertainty. The
sidebands enter through the constraints only, so no event is used twice. What the choice of the function and the
calibration of Z add to the uncertainty are nuisances of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from jepa_coffea.bumphunt.background import BackgroundFit, Prediction
from jepa_coffea.bumphunt.calibrated import ZCalibration, calibrated_background
from jepa_coffea.bumphunt.newton import Array
from jepa_coffea.bumphunt.pass_fail import TransferFactorFit
from jepa_coffea.bumphunt.records import Record
from jepa_coffea.bumphunt.signals import SignalSystematics
from jepa_coffea.bumphunt.spectrum import Spectrum
from jepa_coffea.errors import HistogramError

FLOOR = 1e-6
"""Smallest content of a shifted bin in an export; a Poisson mean must stay positive."""

Shapes = Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]]
"""Name of a nuisance -> signal [bin] at +1 and at -1."""


@dataclass(frozen=True, eq=False)
class WindowModel(Record):
    """One channel: signal strength ``mu`` times signal, plus background with one nuisance per shift."""

    name: str
    edges: Array
    """[bin + 1], GeV."""
    observed: Array
    """[bin]: events."""
    background: Array
    """[bin]: events."""
    signal: Array
    """[bin]: events at signal strength 1."""
    shifts: Array
    """[nuisance, bin]: change of the background at +1; -1 is the opposite."""
    nuisances: tuple[str, ...]
    """[nuisance]: names."""
    signal_rates: dict[str, float] = field(default_factory=dict)
    """Name -> relative uncertainty of the signal's yield, log-normal."""
    signal_shifts: dict[str, Array] = field(default_factory=dict)
    """Name -> [bin]: change of the signal at +1."""
    calibration: ZCalibration | None = None
    """Of the significance, contained in ``background`` and ``shifts``; None for an uncalibrated model."""

    @property
    def up(self) -> Array:
        """[nuisance, bin]: background with that nuisance at +1.

        Returns
        -------
        Array
        """
        return np.maximum(self.background + self.shifts, FLOOR)

    @property
    def down(self) -> Array:
        """[nuisance, bin]: background with that nuisance at -1; cut at ``FLOOR``.

        Returns
        -------
        Array
        """
        return np.maximum(self.background - self.shifts, FLOOR)

    @property
    def sigma(self) -> Array:
        """[bin]: uncertainty of the background from all nuisances.

        Returns
        -------
        Array
        """
        return np.asarray(np.sqrt((self.shifts**2).sum(axis=0)))


def window_model(
    fit: BackgroundFit | TransferFactorFit,
    signal: npt.ArrayLike | None = None,
    edges: npt.ArrayLike | None = None,
    name: str = "window",
    *,
    function_error: float = 0.0,
    calibration: ZCalibration | None = None,
    systematics: SignalSystematics | None = None,
    signal_shapes: Shapes | None = None,
) -> WindowModel:
    """The window's bins against what a fit that masked them predicts there.

    Parameters
    ----------
    fit
        A background function fitted beside the window, or a pass/fail transfer factor.
    signal
        [bin] of the fit range: events at signal strength 1. Without it the window is one bin with one signal event: a
        counting experiment.
    edges
        Other bins than those of the fit, GeV; they must be edges of it.
    name
        Of the channel.
    function_error
        Events in the window by which the choice of the function may be wrong, see
        :func:`~jepa_coffea.bumphunt.envelope.function_uncertainty`; a nuisance of its own.
    calibration
        Mean and width of Z without a signal: the background is moved, and the nuisance ``null_width`` widens it.
    systematics
        Relative uncertainties of the signal's yield.
    signal_shapes
        Signals [bin] of the fit range at +1 and at -1, such as ``SignalSystematics.shapes`` gives, at strength 1.

    Returns
    -------
    WindowModel

    Raises
    ------
    HistogramError
        If the fit saw the window, or signal shapes are given for a counting experiment.
    """
    if fit.window is None or (isinstance(fit, BackgroundFit) and fit.used.all()):
        msg = "the window model needs a fit that masked its window: otherwise the same events would be used twice"
        raise HistogramError(msg)
    if signal is None and signal_shapes:
        msg = "a counting experiment has no signal shape; give the signal's bins to vary them"
        raise HistogramError(msg)
    counting = np.asarray(fit.window) if signal is None else None
    chosen = counting if edges is None else np.asarray(edges, dtype=float)
    prediction = fit.prediction(chosen)
    observed = merge(fit.counts, fit.spectrum, prediction.edges)
    shape = np.ones(1) if signal is None else merge(np.asarray(signal, dtype=float), fit.spectrum, prediction.edges)
    model = model_of_prediction(
        prediction, observed, shape, name, function_error=function_error, calibration=calibration
    )
    shifts = {
        name: merge((np.asarray(up, float) - np.asarray(down, float)) / 2, fit.spectrum, prediction.edges)
        for name, (up, down) in (signal_shapes or {}).items()
    }
    rates = {} if systematics is None else systematics.rates()
    return WindowModel(
        model.name,
        model.edges,
        model.observed,
        model.background,
        model.signal,
        model.shifts,
        model.nuisances,
        rates,
        shifts,
        calibration,
    )


def model_of_prediction(
    prediction: Prediction,
    observed: Array,
    signal: Array,
    name: str,
    *,
    function_error: float = 0.0,
    calibration: ZCalibration | None = None,
) -> WindowModel:
    """Predicted bins with their covariance as a model with one nuisance per eigenvector.

    Parameters
    ----------
    prediction
        Background of the bins.
    observed
        [bin].
    signal
        [bin]: events at strength 1.
    name
        Of the channel.
    function_error
        Events, see :func:`window_model`.
    calibration
        See :func:`window_model`.

    Returns
    -------
    WindowModel

    Examples
    --------
    >>> import numpy as np
    >>> from jepa_coffea.bumphunt.background import Prediction
    >>> one = Prediction(np.array([2900.0, 3100.0]), np.array([40.0]), np.array([[9.0]]))
    >>> model_of_prediction(one, np.array([52.0]), np.ones(1), "W1").sigma
    array([3.])
    """
    values, vectors = np.linalg.eigh(prediction.covariance)
    # Fewer parameters than bins (or the reverse): eigenvectors without variance would be nuisances without effect.
    kept = values > 1e-10 * max(values.max(), 1e-300)
    shifts = list((vectors[:, kept] * np.sqrt(values[kept])).T)
    names = [f"fit_{index}" for index in range(len(shifts))]
    background = prediction.yields
    share = background / background.sum()
    if function_error > 0:
        shifts.append(function_error * share)
        names.append("function")
    if calibration is not None:
        total = float(np.hypot(prediction.sigma, function_error))
        b, sigma = calibrated_background(prediction.total, total, calibration)
        extra = float(np.sqrt(max(sigma**2 - total**2, 0.0)))
        background = b * share
        if extra > 0:
            shifts.append(extra * share)
            names.append("null_width")
    table = np.array(shifts) if shifts else np.zeros((0, len(background)))
    return WindowModel(
        name, prediction.edges, observed, background, signal, table, tuple(names), calibration=calibration
    )


def merge(values: Array, spectrum: Spectrum, edges: Array) -> Array:
    """Sum bins into coarser ones.

    Parameters
    ----------
    values
        [bin] of the spectrum.
    spectrum
        Whose bins they are.
    edges
        [coarse bin + 1]: among the edges of the spectrum.

    Returns
    -------
    Array
        [coarse bin].
    """
    ends = [(float(low), float(high)) for low, high in pairwise(edges)]
    return np.array([values[spectrum.inside(end)].sum() for end in ends])
