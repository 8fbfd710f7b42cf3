"""The distribution of a significance without signal, and what a significance is worth against it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from jepa_coffea.bumphunt.calibrated import ZCalibration, width_error
from jepa_coffea.hunt.config import MINIMUM_EXPERIMENTS, HuntError

Floats = npt.NDArray[np.float64]


MEAN_TOLERANCE = 0.4
"""Mean Z of pseudo-experiments without signal that a correction may take away."""


def gaussian_units(t: Floats, degrees: int) -> Floats:
    """Z with the same upper tail as Student's t; by logarithms, because the tail of a large excess underflows.

    Parameters
    ----------
    t
        Not negative, any shape.
    degrees
        Of freedom.

    Returns
    -------
    array of float, of the shape of ``t``
    """
    log_p = stats.t.logsf(t, degrees)
    # Where the tail underflows, its first asymptotic term: density times (t + degrees / t) / degrees.
    large = np.maximum(t, 1.0)
    asymptotic = stats.t.logpdf(large, degrees) + np.log((large + degrees / large) / degrees)
    return np.asarray(-special.ndtri_exp(np.where(np.isfinite(log_p), log_p, asymptotic)))


@dataclass(frozen=True)
class Null:
    """The distribution of one Z without signal."""

    toys: Floats
    """Z of the pseudo-experiments whose fit worked, sorted."""
    failed: int
    """Pseudo-experiments whose fit failed; each counts as one with a larger Z."""
    function: float = 0.0
    """Standard deviation of Z by the choice of the function. The pseudo-experiments lack it: they are made with the
    very function that is fitted to them, though their Z counts its error as that of the data does."""

    @property
    def mean(self) -> float:
        """Mean Z.

        Returns
        -------
        float
        """
        return float(self.toys.mean())

    def calibration(self, z: float) -> ZCalibration:
        """Mean and width for models, limits and exports.

        Parameters
        ----------
        z
            The corrected significance of the data.

        Returns
        -------
        ZCalibration
        """
        return ZCalibration(self.mean, self.width, len(self.toys), z, self.function)

    @property
    def mean_threshold(self) -> float:
        """How far the mean may be from 0: three of its errors, and at least ``MEAN_TOLERANCE``.

        Returns
        -------
        float
        """
        return max(MEAN_TOLERANCE, 3 * self.mean_error)

    @property
    def is_centred(self) -> bool:
        """Whether the mean is near enough to 0 to correct for it.

        Returns
        -------
        bool
        """
        return abs(self.mean) <= self.mean_threshold

    @property
    def width(self) -> float:
        """Standard deviation of Z in the pseudo-experiments.

        Returns
        -------
        float
        """
        return float(self.toys.std(ddof=1))

    @property
    def spread(self) -> float:
        """Standard deviation of Z in data, where the function may be wrong.

        Returns
        -------
        float
        """
        return float(np.hypot(self.width, self.function))

    @property
    def mean_error(self) -> float:
        """Statistical error of the mean.

        Returns
        -------
        float
        """
        return self.width / float(np.sqrt(len(self.toys)))

    @property
    def width_error(self) -> float:
        """Statistical error of the width, from the toys' own fourth moment.

        Returns
        -------
        float
        """
        return width_error(self.toys)

    @property
    def gaussian_p(self) -> float:
        """p-value of the Shapiro-Wilk test: small where the toys are not Gaussian, which ``corrected`` supposes.

        Returns
        -------
        float
        """
        return float(stats.shapiro(self.toys).pvalue)

    def corrected(self, z: npt.ArrayLike) -> Floats:
        """Corrected Z: the tail of Student's t of n - 1 degrees of freedom in Gaussian units.

        Parameters
        ----------
        z
            Significances as counted, any shape.

        Returns
        -------
        array of float, of the same shape
        """
        n = len(self.toys)
        t = (np.asarray(z, dtype=float) - self.mean) / (self.spread * np.sqrt(1 + 1 / n))
        return np.sign(t) * gaussian_units(np.abs(t), n - 1)

    def error(self, z: float) -> float:
        """Statistical error of the corrected Z from the errors of mean and width.

        Parameters
        ----------
        z
            Significance as counted.

        Returns
        -------
        float
        """
        slope = (z - self.mean) * self.width / self.spread**2  # of the corrected Z against the width
        return float(np.hypot(self.mean_error, slope * self.width_error) / self.spread)

    def rank_p(self, z: float) -> float:
        """p-value by rank: (1 + number of toys with at least this Z) / (1 + toys).

        Parameters
        ----------
        z
            Significance as counted.

        Returns
        -------
        float
        """
        toys = self.mean + (self.toys - self.mean) * self.spread / self.width if self.function else self.toys
        above = self.failed + int(np.count_nonzero(toys >= z))
        return (1 + above) / (1 + self.failed + len(self.toys))

    def record(self) -> dict[str, Any]:
        """The numbers as JSON can say them.

        Returns
        -------
        dict
        """
        names = ("mean", "mean_error", "width", "width_error", "function", "gaussian_p")
        numbers = {name: getattr(self, name) for name in names}
        return {"experiments": len(self.toys) + self.failed, "failed": self.failed, **numbers}


@dataclass(frozen=True)
class Corrected:
    """A significance after calibration."""

    null: Null
    z: float
    """Corrected significance."""
    z_error: float
    """Its error from the finite number of pseudo-experiments; ``p`` accounts for it already."""
    p: float
    """Its p-value: the tail of Student's t."""
    rank_p: float
    """The p-value by rank."""

    @property
    def rank_is_bound(self) -> bool:
        """Whether no pseudo-experiment that worked reaches as far, which makes ``rank_p`` an upper bound.

        Returns
        -------
        bool
        """
        return self.rank_p <= self.null.rank_p(np.inf)

    @property
    def rank_text(self) -> str:
        """The p-value by rank in words, a bound named as one.

        Returns
        -------
        str
        """
        return f"{'below ' if self.rank_is_bound else ''}{self.rank_p:.2g}"

    def record(self) -> dict[str, Any]:
        """The numbers as JSON can say them.

        Returns
        -------
        dict
        """
        numbers = {name: getattr(self, name) for name in ("z", "z_error", "p", "rank_p", "rank_is_bound")}
        return {**numbers, "null": self.null.record()}


def correct(z: float, null: Null) -> Corrected:
    """What a significance is worth against its null.

    Parameters
    ----------
    z
        As counted.
    null
        Its distribution without signal.

    Returns
    -------
    Corrected
    """
    corrected = float(null.corrected(z))
    return Corrected(null, corrected, null.error(z), float(stats.norm.sf(corrected)), null.rank_p(z))


def leave_one_out(toys: Floats) -> Floats:
    """Corrected Z of each experiment, with the mean and the width of all the others.

    The data are no part of the mean and width that they are judged by. A toy that were part of its own would be pulled
    towards them, most of all the extreme ones, and its rank beside the data would flatter the data.

    Parameters
    ----------
    toys
        Z as counted, (experiments,); NaN for failed ones.

    Returns
    -------
    array of float, (experiments,)
        Infinite for failed ones.
    """
    good = np.isfinite(toys)
    z, n = toys[good], int(np.count_nonzero(good)) - 1
    deviation = z - z.mean()
    # Mean and sum of squares without one of n + 1 values.
    mean = -deviation / n
    squares = (deviation**2).sum() - deviation**2 * (n + 1) / n
    t = (deviation - mean) / np.sqrt(squares / (n - 1) * (1 + 1 / n))
    result = np.full(len(toys), np.inf)
    result[good] = np.sign(t) * gaussian_units(np.abs(t), n - 1)
    return result


def null_of(toys: Floats, function: float = 0.0) -> Null:
    """The null distribution of one significance.

    Parameters
    ----------
    toys
        Z of the pseudo-experiments, (experiments,); NaN for failed ones.
    function
        See :class:`Null`.

    Returns
    -------
    Null

    Raises
    ------
    HuntError
        If fewer than ``MINIMUM_EXPERIMENTS`` worked, more than one in ten failed, or all gave the same.
    """
    good = np.sort(toys[np.isfinite(toys)])
    failed = len(toys) - len(good)
    if len(good) < MINIMUM_EXPERIMENTS or failed > 0.1 * len(toys):
        msg = (
            f"calibration: {len(good)} of {len(toys)} pseudo-experiments gave a significance, expected at least "
            f"{MINIMUM_EXPERIMENTS} and nine in ten; run more, or choose a fit that converges at this efficiency"
        )
        raise HuntError(msg)
    if not np.ptp(good) > 0:
        msg = f"calibration: all pseudo-experiments gave Z = {good[0]:.2f}; select more events"
        raise HuntError(msg)
    return Null(good, failed, function)
