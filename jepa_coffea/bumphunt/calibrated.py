"""Background estimates that include the calibration of Z: counts taken from them have the corrected significance.

An analysis that chooses its selection with the data has a Z whose mean and width under background alone are not 0 and
1. Counts and backgrounds that are exported without this correction would lead to the wrong significance. In the
Gaussian limit
``Z = (n - b) / sqrt(b + sigma_b**2)``, so that a background moved by ``mean * sqrt(b + sigma_b**2)`` and a total
uncertainty multiplied by ``width`` have exactly the corrected ``(Z - mean) / width``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jepa_coffea.bumphunt.records import Record
from jepa_coffea.errors import HistogramError


@dataclass(frozen=True)
class ZCalibration(Record):
    """How Z is distributed where there is no signal, measured by pseudo-experiments that redo the whole analysis.

    Raises
    ------
    HistogramError
        If numbers are not finite, the width is not positive, or there are too few pseudo-experiments.
    """

    mean: float
    """Mean Z."""
    width: float
    """Standard deviation of Z."""
    experiments: int
    """How many pseudo-experiments."""
    corrected_z: float
    """The calibrated significance of the data."""
    function: float = 0.0
    """Standard deviation of Z by the choice of the function, which the pseudo-experiments lack."""

    def __post_init__(self) -> None:
        if not (np.isfinite([self.mean, self.width]).all() and self.width > 0 and self.experiments > 1):
            msg = (
                f"a calibration needs a finite mean, a positive width and several pseudo-experiments, got "
                f"{self.mean:g}, {self.width:g} and {self.experiments}"
            )
            raise HistogramError(msg)

    @property
    def spread(self) -> float:
        """Standard deviation of Z in data without a signal.

        Returns
        -------
        float
        """
        return float(np.hypot(self.width, self.function))

    @property
    def measured(self) -> str:
        """What was measured and what the data are worth by it, for numbers that are as counted.

        Returns
        -------
        str
        """
        wrong = f", and the choice of the function adds {self.function:.3f} in quadrature" if self.function else ""
        return (
            f"Calibrated with {self.experiments} background-only pseudo-experiments that redo the whole analysis: Z as "
            f"counted has mean {self.mean:.3f} and width {self.width:.3f} there{wrong}; the corrected significance is "
            f"{self.corrected_z:.2f}."
        )

    @property
    def sentence(self) -> str:
        """What an export says whose background contains the calibration.

        Returns
        -------
        str
        """
        return (
            f"{self.measured} The background is moved and its uncertainty widened accordingly, never narrowed. The "
            f"numbers alone give more than the corrected significance where it is large: that also knows that mean and "
            f"width are of {self.experiments} pseudo-experiments only (Student's t)."
        )


def width_error(z: npt.ArrayLike) -> float:
    """Statistical error of a standard deviation, from the sample's own fourth moment.

    Parameters
    ----------
    z
        [experiment].

    Returns
    -------
    float
        Of the standard deviation with ``ddof=1``.

    Examples
    --------
    >>> round(width_error(np.random.default_rng(1).normal(size=10_000)), 3)  # 1 / sqrt(2 n) for a Gaussian
    0.007
    """
    values = np.asarray(z, dtype=float)
    n, width = len(values), float(values.std(ddof=1))
    m4 = float(((values - values.mean()) ** 4).mean())
    return float(np.sqrt(max(m4 - width**4 * (n - 3) / (n - 1), 0) / n)) / (2 * width)


UNCALIBRATED = (
    "Not calibrated: no pseudo-experiments of the whole analysis say how Z is distributed without a signal. "
    "Significances and limits from these numbers may be too strong."
)
"""What an export says where there is no calibration."""


def calibrated_background(b: float, sigma_b: float, calibration: ZCalibration) -> tuple[float, float]:
    """The background and its uncertainty with which a counting experiment has the corrected significance.

    Parameters
    ----------
    b
        Expected background events.
    sigma_b
        Absolute uncertainty.
    calibration
        Mean and width of Z without a signal. A width below 1 is taken as 1: the counts fluctuate by their Poisson law
        in any case.

    Returns
    -------
    b
        Moved by the mean, not negative.
    sigma_b
        Widened.

    Examples
    --------
    >>> b, sigma = calibrated_background(100.0, 10.0, ZCalibration(0.0, 1.2, 200, 2.6))
    >>> round(b, 1), round(sigma, 2)
    (100.0, 13.71)
    """
    total = b + sigma_b**2
    moved = max(b + calibration.mean * float(np.sqrt(total)), 0.0)
    widened = max(calibration.spread, 1.0) ** 2 * total - moved
    return moved, float(np.sqrt(max(widened, sigma_b**2)))
