"""Counting experiments with an uncertain background: significance and p-value, closed forms and no fit.

Both forms are the signed root of the profile-likelihood ratio of ``n ~ Poisson(s + b)`` for ``s = 0``. With
``constraint="poisson"`` the background is measured by an auxiliary Poisson count of mean ``tau b`` with
``tau = b / sigma_b**2`` (Cowan, Cranmer, Gross, Vitells, Eur. Phys. J. C 71 (2011) 1554, and Cousins, Linnemann,
Tucker, NIM A 595 (2008) 480); with ``constraint="gaussian"`` by a normal measurement of width ``sigma_b``, the
background staying non-negative.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from jepa_coffea.errors import HistogramError

Array = npt.NDArray[np.float64]

Constraint: TypeAlias = Literal["poisson", "gaussian"]
"""How a background is known beside its uncertainty."""


def z_value(p: npt.ArrayLike) -> Array:
    """Significance of a one-sided p-value.

    Parameters
    ----------
    p
        [...]: between 0 and 1.

    Returns
    -------
    Array
        [...]: standard deviations of a Gaussian; negative for p > 0.5.

    Raises
    ------
    HistogramError
        For anything outside 0 to 1, NaN included.

    Examples
    --------
    >>> float(z_value(0.5))
    0.0
    """
    p = np.asarray(p, dtype=float)
    if np.any(~((p >= 0) & (p <= 1))):
        msg = f"a p-value lies in [0, 1], got {p}"
        raise HistogramError(msg)
    return np.asarray(stats.norm.isf(p))


def p_value(z: npt.ArrayLike, side: Literal["excess", "deficit"] = "excess") -> Array:
    """One-sided p-value of a significance.

    Parameters
    ----------
    z
        [...]: standard deviations.
    side
        An excess at least this large, or a deficit at least this deep.

    Returns
    -------
    Array
        [...].

    Examples
    --------
    >>> round(float(p_value(3.0)), 5)
    0.00135
    """
    sign = {"excess": 1.0, "deficit": -1.0}[side]
    return np.asarray(stats.norm.sf(sign * np.asarray(z, dtype=float)))


def counting_significance(
    n: npt.ArrayLike,
    b: npt.ArrayLike,
    sigma_b: npt.ArrayLike,
    constraint: Constraint = "poisson",
) -> Array:
    """Significance Z of ``n`` observed events over ``b`` expected with absolute uncertainty ``sigma_b``.

    The arguments broadcast against each other.

    Parameters
    ----------
    n
        Observed events; they may be fractional (Asimov data).
    b
        Expected background events. A background that is only known to be about 0 (``b = 0``, ``sigma_b > 0``) has no
        Poisson measurement behind it: any ``n`` is then Z = 0 for ``"poisson"``.
    sigma_b
        Absolute uncertainty of ``b``; 0 is a known background.
    constraint
        How the background is known: by a Poisson count in a control region (``"poisson"``), or by a normal measurement
        of width ``sigma_b`` (``"gaussian"``).

    Returns
    -------
    Array
        Negative for a deficit, 0 at ``n == b``; inf where a known background of 0 meets events.

    Raises
    ------
    HistogramError
        For negative or NaN input.

    Examples
    --------
    >>> round(float(counting_significance(150, 100, 10)), 3)
    3.173
    >>> round(float(counting_significance(150, 100, 10, "gaussian")), 3)
    3.289
    """
    count, mean, sigma = np.broadcast_arrays(*(np.asarray(value, dtype=float) for value in (n, b, sigma_b)))
    for name, value in (("n", count), ("b", mean), ("sigma_b", sigma)):
        if not np.all(np.isfinite(value) & (value >= 0)):
            msg = f"counting_significance needs finite, non-negative {name}, got {value}"
            raise HistogramError(msg)
    if constraint not in ("poisson", "gaussian"):
        msg = f'constraint is "poisson" or "gaussian", got {constraint!r}'
        raise HistogramError(msg)
    known = sigma**2 == 0  # or so small that its square is no number
    form = _poisson if constraint == "poisson" else _gaussian
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        q = np.where(known, _deviance(count, mean), form(count, mean, np.where(known, 1.0, sigma)))
        # A difference of large numbers near n == b: rounding may leave it just below 0.
        return np.asarray(np.sign(count - mean) * np.sqrt(np.maximum(q, 0.0)))


def _deviance(n: Array, b: Array) -> Array:
    """2 [n ln(n/b) - (n - b)], also at n = 0 and b = 0."""
    return np.asarray(2 * (special.rel_entr(n, b) - n + b))


def _poisson(n: Array, b: Array, sigma: Array) -> Array:
    s2 = sigma**2
    excess = n - b
    # The logarithm of n (b + s2) / (b^2 + n s2), written so that it is exact for a small excess.
    first = 2 * n * np.log1p(b * excess / (b**2 + n * s2))
    second = 2 * b**2 / s2 * np.log1p(s2 * excess / (b * (b + s2)))
    return np.where(b == 0, 0.0, np.where(n == 0, 0.0, first) - second)


def _gaussian(n: Array, b: Array, sigma: Array) -> Array:
    s2 = sigma**2
    centre = b - s2
    root = np.sqrt(centre**2 + 4 * n * s2)
    # The background that fits n best without signal; the second form does not cancel for b < sigma^2.
    null = np.where(centre >= 0, (centre + root) / 2, 2 * n * s2 / np.where(centre < 0, root - centre, 1.0))
    return _deviance(n, null) + ((b - null) / sigma) ** 2
