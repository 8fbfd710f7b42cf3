"""Do p-values mean what they say? A table of how often background alone falls below each threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from jepa_coffea.bumphunt.newton import Array
from jepa_coffea.bumphunt.records import Record
from jepa_coffea.errors import HistogramError

THRESHOLDS = np.array([0.5, 0.1587, 0.0228, 0.00135])
"""0, 1, 2 and 3 standard deviations."""


@dataclass(frozen=True, eq=False)
class Coverage(Record):
    """P-values of background-only pseudo-experiments against the uniform distribution they should follow."""

    experiments: int
    """How many."""
    thresholds: Array
    """[threshold]: p-values."""
    shares: Array
    """[threshold]: share of pseudo-experiments with a p-value at or below it."""
    errors: Array
    """[threshold]: standard deviation of that share for perfect p-values."""
    kolmogorov_p: float
    """Of the whole distribution (Kolmogorov-Smirnov)."""

    @property
    def pulls(self) -> Array:
        """[threshold]: positive where small p-values come too often.

        Returns
        -------
        Array
        """
        return np.asarray((self.shares - self.thresholds) / self.errors)


def check_coverage(p_values: npt.ArrayLike, thresholds: npt.ArrayLike = THRESHOLDS) -> Coverage:
    """Compare p-values of background-only pseudo-experiments with uniform ones.

    Parameters
    ----------
    p_values
        [experiment].
    thresholds
        [threshold].

    Returns
    -------
    Coverage

    Raises
    ------
    HistogramError
        Unless ``p_values`` is a row of numbers between 0 and 1.

    Examples
    --------
    >>> import numpy as np
    >>> coverage = check_coverage(np.linspace(0.0005, 0.9995, 1000))
    >>> float(coverage.shares[0]), bool(np.abs(coverage.pulls).max() < 1)
    (0.5, True)
    """
    p, alpha = np.asarray(p_values, dtype=float), np.asarray(thresholds, dtype=float)
    if p.ndim != 1 or not len(p) or not ((p >= 0) & (p <= 1)).all():
        msg = f"coverage needs a row of p-values between 0 and 1, got shape {p.shape}"
        raise HistogramError(msg)
    return Coverage(
        experiments=len(p),
        thresholds=alpha,
        shares=np.array([(p <= a).mean() for a in alpha]),
        errors=np.sqrt(alpha * (1 - alpha) / len(p)),
        kolmogorov_p=float(stats.kstest(p, "uniform").pvalue),
    )
