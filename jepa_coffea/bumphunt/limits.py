"""Upper limits by the CLs method, computed by pyhf on the window's template model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyhf
from scipy import interpolate, optimize

from jepa_coffea.bumphunt.exports.workspace import numpy_backend, workspace
from jepa_coffea.bumphunt.likelihood import Array
from jepa_coffea.bumphunt.records import Record
from jepa_coffea.bumphunt.window_model import WindowModel
from jepa_coffea.errors import FitError, HistogramError


@dataclass(frozen=True, eq=False)
class Limit(Record):
    """Upper limit on the signal strength, on the events it stands for, and on the cross-section."""

    level: float
    strength: float
    """Observed, in units of the model's signal."""
    expected_strength: Array
    """[5]: at -2, -1, 0, 1, 2 standard deviations of background-only data."""
    events: float
    """Observed limit on signal events in the model's bins."""
    expected_events: Array
    """[5]."""
    cross_section: float
    """Observed, in the inverse unit of the luminosity; NaN without one."""
    expected_cross_section: Array
    """[5]."""


def cls_limit(
    model: WindowModel, *, level: float = 0.95, luminosity: float | None = None, efficiency: float = 1.0
) -> Limit:
    """CLs upper limit (asymptotic q-tilde; Read, J. Phys. G 28 (2002) 2693, Cowan et al., EPJC 71 (2011) 1554).

    luminosity: integrated. efficiency: of the whole selection for signal, ``model.signal``'s bins included, so that
    ``cross-section = events / (luminosity * efficiency)``. With less than about 5 background events the asymptotic
    limit is up to 20 % too tight. Raises FitError when pyhf does not find the limit.
    """
    if not 0 < level < 1:
        msg = f"the confidence level is between 0 and 1, got {level:g}"
        raise HistogramError(msg)
    if not 0 < efficiency <= 1 or (luminosity is not None and not luminosity > 0):
        msg = f"a cross-section needs luminosity > 0 and 0 < efficiency <= 1, got {luminosity} and {efficiency:g}"
        raise HistogramError(msg)
    with numpy_backend():
        space = pyhf.Workspace(workspace(model))
        pdf = space.model()
        data = space.data(pdf)
        try:
            strength, band = _crossings(lambda mu: _cls(mu, data, pdf), _grid(model), 1 - level)
        except (pyhf.exceptions.FailedMinimization, ValueError) as error:
            msg = f"pyhf found no {level:.0%} limit for {model.name}: {error}. Use fewer or wider bins in the window"
            raise FitError(msg) from error
    events = float(model.signal.sum())
    per_event = float("nan") if luminosity is None else 1 / (luminosity * efficiency)
    return Limit(
        level=level,
        strength=strength,
        expected_strength=band,
        events=strength * events,
        expected_events=band * events,
        cross_section=strength * events * per_event,
        expected_cross_section=band * events * per_event,
    )


def _cls(mu: float, data: Any, pdf: Any) -> Array:
    """[6]: CLs observed and expected at -2 to 2 standard deviations, of one signal strength."""
    observed, expected = pyhf.infer.hypotest(mu, data, pdf, test_stat="qtilde", return_expected_set=True)
    return np.array([float(observed), *(float(value) for value in expected)])


def _grid(model: WindowModel) -> Array:
    """Signal strengths around the limits, from the Gaussian estimate of the strength and its error."""
    shifts = (model.up - model.down) / 2
    inverse = np.linalg.inv(np.diag(model.background) + shifts.T @ shifts)
    information = model.signal @ inverse @ model.signal
    best = max(0.0, float(model.signal @ inverse @ (model.observed - model.background) / information))
    sigma = float(1 / np.sqrt(information))
    return np.asarray(sigma * np.linspace(0.7, 4.5 + best / sigma, 10 + int(best / sigma)))


def _crossings(cls: Callable[[float], Array], grid: Array, alpha: float) -> tuple[float, Array]:
    """Where the six CLs curves fall through ``alpha``: their logarithms are smooth, so a dozen points suffice."""
    curves = np.array([cls(mu) for mu in grid])
    # Few background events make the limits wider than a Gaussian: go on until every curve has passed.
    while (curves[-1] > alpha).any() and len(curves) < 60:
        grid = np.append(grid, 1.15 * grid[-1])
        curves = np.vstack([curves, cls(grid[-1])])
    while (curves[0] < alpha).any() and len(curves) < 60:
        grid = np.insert(grid, 0, 0.7 * grid[0])
        curves = np.vstack([cls(grid[0]), curves])
    found = []
    for curve in np.log(np.maximum(curves, 1e-300)).T:
        smooth = interpolate.PchipInterpolator(grid, curve - np.log(alpha))
        found.append(float(optimize.brentq(smooth, grid[0], grid[-1])))
    return found[0], np.array(found[1:])
