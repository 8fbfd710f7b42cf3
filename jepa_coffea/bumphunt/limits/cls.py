"""The CLs method: from test statistics to excluded signal strengths, observed and expected without a signal."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import interpolate, optimize, stats

from jepa_coffea.bumphunt.newton import Array
from jepa_coffea.errors import FitError, HistogramError

BAND = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
"""Fluctuations of background-only data, in standard deviations, that an expected band shows."""

Curves = Callable[[Array], Array]
"""From signal strengths [point] to ln CLs [point, 6]: observed, and expected at each fluctuation of ``BAND``."""


def check_level(level: float) -> None:
    """Raise unless a confidence level is between 0 and 1.

    Parameters
    ----------
    level
        Between 0 and 1.

    Raises
    ------
    HistogramError
        If it is not.
    """
    if not 0 < level < 1:
        msg = f"the confidence level is between 0 and 1, got {level:g}"
        raise HistogramError(msg)


def asymptotic_log_cls(root_q: npt.ArrayLike, root_asimov: npt.ArrayLike) -> Array:
    """CLs of the statistic q-tilde by its asymptotic distributions.

    Source: Cowan, Cranmer, Gross, Vitells, Eur. Phys. J. C 71 (2011) 1554, and Read, J. Phys. G 28 (2002) 2693.

    Parameters
    ----------
    root_q
        [...]: root of q-tilde of the data.
    root_asimov
        [...]: root of q-tilde of background-only data without fluctuations.

    Returns
    -------
    Array
        [..., 6]: ln CLs, observed and for each fluctuation of ``BAND``.
    """
    q, a = np.broadcast_arrays(np.asarray(root_q, dtype=float), np.asarray(root_asimov, dtype=float))
    safe = np.maximum(a, 1e-12)
    near = stats.norm.logsf(q) - stats.norm.logsf(q - a)
    far = stats.norm.logsf((q**2 / safe + a) / 2) - stats.norm.logsf((q**2 / safe - a) / 2)
    observed = np.where(q <= a, near, far)
    expected = stats.norm.logsf(a[..., None] - BAND) - stats.norm.logcdf(BAND)
    return np.concatenate([observed[..., None], expected], axis=-1)


def crossings(curves: Curves, grid: Array, alpha: float) -> tuple[float, Array]:
    """Where the CLs curves fall through ``1 - level``.

    Parameters
    ----------
    curves
        ln CLs against signal strength. Their logarithms are smooth, so a dozen points suffice.
    grid
        [point]: rising, positive; it is continued until all curves have passed.
    alpha
        1 - confidence level.

    Returns
    -------
    observed
        The excluded strength.
    expected
        [5].

    Raises
    ------
    FitError
        If the curves do not fall through ``alpha``.
    """
    values = curves(grid)
    target = np.log(alpha)
    for _ in range(60):
        above, below = (values[-1] > target).any(), (values[0] < target).any()
        if not above and not below:
            break
        if above:
            more = grid[-1] * np.array([1.15, 1.4])
            grid, values = np.append(grid, more), np.vstack([values, curves(more)])
        if below:
            more = grid[0] * np.array([0.5, 0.75])
            grid, values = np.append(more, grid), np.vstack([curves(more), values])
    found = np.array([crossing(grid, curve, target) for curve in values.T])
    # Where the background that fits best reaches 0 the curves have kinks: once more, close by.
    near = np.unique(np.concatenate([0.97 * found, found, 1.03 * found]))
    grid, values = np.append(grid, near), np.vstack([values, curves(near)])
    order = np.unique(grid, return_index=True)[1]
    found = np.array([crossing(grid[order], curve, target) for curve in values[order].T])
    return float(found[0]), found[1:]


def crossing(grid: Array, curve: Array, target: float) -> float:
    """Where one curve falls through a value.

    Parameters
    ----------
    grid
        [point]: rising.
    curve
        [point]: NaN where there is no number.
    target
        The value.

    Returns
    -------
    float
        The last place at which the curve falls through it, interpolated by a monotone cubic.

    Raises
    ------
    FitError
        If it does not.
    """
    known = np.isfinite(curve)
    x, y = grid[known], np.maximum(curve[known], -700.0) - target
    falls = np.flatnonzero((y[:-1] > 0) & (y[1:] <= 0))
    if not len(falls):
        msg = (
            f"no limit found: CLs does not fall to {np.exp(target):.3g} between signal strengths {grid[0]:.4g} and "
            f"{grid[-1]:.4g}. Use fewer or wider bins in the window"
        )
        raise FitError(msg)
    smooth = interpolate.PchipInterpolator(x, y)
    return float(optimize.brentq(smooth, x[falls[-1]], x[falls[-1] + 1]))
