r"""What the whole pipeline calls significant when there is nothing: Z under the null, measured by redoing everything.

Why the sum over k folds is not what its counts say. Let d_j be the fluctuation (events minus expectation, over
feature space) of fold j. For fold i a classifier picks a region g_i; the excess counted there is N_i = <g_i, d_i>. As
g_i is made from the other folds, N_i has the Poisson variance of a fixed selection: each fold alone is right. But
the same pair of folds enters twice: g_i leans towards where d_j fluctuated upwards, g_j towards where d_i did, and
both N_i and N_j contain the overlap <d_i, d_j>. To first order, g_i = g + sum_{j != i} K d_j, with K symmetric,

    sum_i N_i = <g, sum_i d_i> + 2 sum_{i < j} <d_i, K d_j>,

a linear term with the variance of a fixed selection, and a U-statistic whose terms all have coefficient 2 where
independent folds would have two terms of coefficient 1: twice the variance. A classifier that learns nothing but noise
(the linear term is small) has Var(Z) up to 2, std(Z) up to 1.41; one that always picks the same region has 1. What is
measured lies between, and depends on the classifier, its regularisation and the data: so it is measured.

Two remedies. ``order: forward`` trains fold i on the folds before it: then E[N_i | d_1 ... d_{i-1}] = 0, the N_i are
martingale differences, the cross terms vanish, std(Z) is 1 up to small counts (below), and the price is a fifth of
the events and classifiers trained on less. ``order: cross`` keeps all events, and the Z is read off against
pseudo-experiments that redo folds, training, thresholds and fit:

* corrected p: t = (Z - mean) / (width sqrt(1 + 1/n)) with mean and width of the n pseudo-experiments follows Student's
  law with n - 1 degrees of freedom, exactly so if Z is Gaussian under the null; p is its tail, whatever the number of
  experiments (few of them cost significance instead of inventing it), and corrected Z the same p in Gaussian units;
* rank p = (1 + #{toys with Z at least as large}) / (1 + toys), exact for any distribution, never below 1/(1 + toys);
* global p: the rank of the largest corrected Z of all windows and efficiencies among the largest of each toy.

Thresholds are quantiles of the held-out sidebands of the fold, so k of its m sideband events pass by construction, and
the window count, given the threshold, is Poisson with a mean that fluctuates: relative variance 1/k. That equals the
relative variance of a Poisson sideband count k at a fixed threshold (inverse sampling: k is fixed rather than the cut),
so the fit, which takes the sidebands' counts as Poisson, has nearly the right uncertainty. Nearly: a random 10 %
selection in 1000 pseudo-experiments has std(Z) = 1.03 +- 0.02 with fixed thresholds and 1.07 +- 0.02 with quantiles in
each fold. ``forward`` therefore gives 1 only up to such effects of small counts in a fold, which no argument above
covers; that is why the correction is measured, for either order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from jepa_coffea.cwola.tasks import run_tasks
from jepa_coffea.hunt.config import HuntError
from jepa_coffea.hunt.experiment import Counting, Method, run_experiment
from jepa_coffea.hunt.pseudo import PseudoData
from jepa_coffea.hunt.store import Ledger

Floats = npt.NDArray[np.float64]

MINIMUM_EXPERIMENTS = 20
"""Fewer pseudo-experiments measure no width."""


def toy_seed(seed: int, number: int, stream: int = 0) -> int:
    """The seed of one pseudo-experiment; streams are independent families (calibration, validation, injection)."""
    return int(np.random.SeedSequence(seed, spawn_key=(stream, number)).generate_state(1, np.uint64)[0] >> np.uint64(1))


def null_experiment(seed: int, pseudo: PseudoData, method: Method) -> list[float]:
    """Z of every (window, efficiency) in one background-only pseudo-experiment; NaN where the fit failed."""
    return [result.z for result in run_experiment(pseudo.draw(seed), method.seeded(seed))]


def null_significances(
    pseudo: PseudoData,
    method: Method,
    experiments: int,
    *,
    seed: int,
    stream: int = 0,
    ledger: Path | None = None,
    client: Any = None,
    progress: bool = False,
) -> Floats:
    """Z of ``experiments`` pseudo-experiments, shape (experiments, windows x efficiencies).

    With a ``ledger`` file every finished experiment is kept, and only those that it lacks are done.
    """
    seeds = [toy_seed(seed, number, stream) for number in range(experiments)]
    book = Ledger(ledger)
    missing = [s for s in seeds if str(s) not in book]
    run_tasks(
        null_experiment,
        missing,
        (pseudo, method),
        client=client,
        progress=progress,
        description="Calibration: pseudo-experiments",
        done=lambda number, z: book.add(str(missing[number]), z),
    )
    return np.array([book[str(s)] for s in seeds], dtype=float)


def gaussian_units(t: Floats, degrees: int) -> Floats:
    """Z with the same upper tail as Student's t >= 0; through logarithms, as large excesses have no smaller number."""
    log_p = stats.t.logsf(t, degrees)
    # Where the tail underflows, its first asymptotic term: density times (t + degrees / t) / degrees.
    large = np.maximum(t, 1.0)
    asymptotic = stats.t.logpdf(large, degrees) + np.log((large + degrees / large) / degrees)
    return np.asarray(-special.ndtri_exp(np.where(np.isfinite(log_p), log_p, asymptotic)))


@dataclass(frozen=True)
class Null:
    """The distribution of one Z under the null."""

    toys: Floats
    """Z of the pseudo-experiments whose fit worked, sorted."""
    failed: int
    """Pseudo-experiments whose fit failed; each counts as one with a larger Z."""

    @property
    def mean(self) -> float:
        """Mean Z."""
        return float(self.toys.mean())

    @property
    def width(self) -> float:
        """Standard deviation of Z."""
        return float(self.toys.std(ddof=1))

    @property
    def mean_error(self) -> float:
        """Statistical error of the mean."""
        return self.width / float(np.sqrt(len(self.toys)))

    @property
    def width_error(self) -> float:
        """Statistical error of the width, from the toys' own fourth moment."""
        n = len(self.toys)
        m4 = float(((self.toys - self.mean) ** 4).mean())
        return float(np.sqrt(max(m4 - self.width**4 * (n - 3) / (n - 1), 0) / n)) / (2 * self.width)

    def corrected(self, z: npt.ArrayLike) -> Floats:
        """Corrected Z, of the shape of ``z``: the tail of Student's t of n - 1 degrees in Gaussian units."""
        n = len(self.toys)
        t = (np.asarray(z, dtype=float) - self.mean) / (self.width * np.sqrt(1 + 1 / n))
        return np.sign(t) * gaussian_units(np.abs(t), n - 1)

    def error(self, z: float) -> float:
        """Statistical error of the corrected Z from the errors of mean and width."""
        return float(np.hypot(self.mean_error, (z - self.mean) / self.width * self.width_error) / self.width)

    def rank_p(self, z: float) -> float:
        """(1 + number of toys with at least this Z) / (1 + toys)."""
        above = self.failed + int(np.count_nonzero(self.toys >= z))
        return (1 + above) / (1 + self.failed + len(self.toys))


@dataclass(frozen=True)
class Calibrated:
    """A counting result and what it is worth after calibration."""

    counting: Counting
    null: Null
    z: float
    """Corrected significance."""
    z_error: float
    """Its error from the finite number of pseudo-experiments."""
    p: float
    """Its p-value: the tail of Student's t."""
    rank_p: float

    def record(self) -> dict[str, Any]:
        """Plain numbers."""
        null = self.null
        return {
            **self.counting.record(),
            "corrected_z": self.z,
            "corrected_z_error": self.z_error,
            "corrected_p": self.p,
            "rank_p": self.rank_p,
            "null": {
                "experiments": len(null.toys) + null.failed,
                "failed": null.failed,
                "mean": null.mean,
                "mean_error": null.mean_error,
                "width": null.width,
                "width_error": null.width_error,
            },
        }


def nulls_of(toys: Floats) -> list[Null]:
    """One null distribution per column of (experiments, windows x efficiencies).

    Raises HuntError when fewer than ``MINIMUM_EXPERIMENTS`` worked or more than one in ten failed.
    """
    result = []
    for column in toys.T:
        good = np.sort(column[np.isfinite(column)])
        failed = len(column) - len(good)
        if len(good) < MINIMUM_EXPERIMENTS or failed > 0.1 * len(column):
            msg = (
                f"calibration: {len(good)} of {len(column)} pseudo-experiments gave a significance, expected at least "
                f"{MINIMUM_EXPERIMENTS} and nine in ten; run more, or choose a fit that converges at this efficiency"
            )
            raise HuntError(msg)
        result.append(Null(good, failed))
    return result


def calibrate(results: Sequence[Counting], toys: Floats) -> list[Calibrated]:
    """Each result against its own null; results in the order of the columns of ``toys``."""
    calibrated = []
    for result, null in zip(results, nulls_of(toys), strict=True):
        z = float(null.corrected(result.z))
        p = float(stats.norm.sf(z))
        calibrated.append(Calibrated(result, null, z, null.error(result.z), p, null.rank_p(result.z)))
    return calibrated


@dataclass(frozen=True)
class GlobalP:
    """How often nothing gives, anywhere in the search, what was found at its best place."""

    largest_z: float
    """The largest corrected Z of all windows and efficiencies."""
    where: int
    """Its number in the list of results."""
    p: float
    """Rank among the pseudo-experiments' largest corrected Z."""
    exceeding: int
    """Pseudo-experiments with at least as large a one; 0 makes ``p`` an upper bound."""
    experiments: int
    bound: float
    """Bonferroni: number of trials times the smallest corrected local p."""


def global_p(calibrated: Sequence[Calibrated], toys: Floats) -> GlobalP:
    """The p-value of the whole search: windows and efficiencies are trials, counted inside the pseudo-experiments."""
    z = np.array([result.z for result in calibrated])
    # A failed fit is a toy that could have been anything: it counts as exceeding.
    corrected = np.stack(
        [result.null.corrected(column) for result, column in zip(calibrated, toys.T, strict=True)], axis=1
    )
    largest = np.where(np.isfinite(corrected), corrected, np.inf).max(axis=1)
    where = int(np.nanargmax(z))
    exceeding = int(np.count_nonzero(largest >= z[where]))
    return GlobalP(
        float(z[where]),
        where,
        (1 + exceeding) / (1 + len(toys)),
        exceeding,
        len(toys),
        float(min(1.0, len(z) * stats.norm.sf(z[where]))),
    )
