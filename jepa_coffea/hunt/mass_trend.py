"""How features change with the mass, and what an event's features would be at another mass.

A feature's mean moves, and its width grows as a power of the mass; a mass of a jet or its pT does no more than that.
Where that is not all, as for a score with two peaks whose sizes change, the shares of events between the feature's own
quantiles have the trend instead (:class:`ShapeTrend`), and those of each value for a feature of few values.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import stats

from jepa_coffea.hunt.feature_kinds import Column, column_of

Floats = npt.NDArray[np.float64]

SLICES = 8
"""Of the distribution of a feature, between its quantiles."""

LEAST = 0.01
"""Share of the events that is spread evenly over them, so that none is empty at any mass."""

FAR_OUT = 10.0
"""Interquartile ranges from the median, beyond which a value counts no more for the trend."""


@dataclass(frozen=True)
class ShapeTrend:
    """The distribution of one feature against the mass, made by :func:`shape_trend`."""

    values: Floats
    """Of all events, sorted, (events,)."""
    trend: Floats
    """(2, SLICES - 1): coefficients of log(mass) and log(mass)^2 of the share of events below each inner quantile."""
    column: Column
    """What the values can be."""

    def carried(self, x: Floats, here: Floats, there: Floats, rng: np.random.Generator) -> Floats:
        """Values with the same place in the distribution at the other mass.

        Special values have places as all others have, and with them a share that follows the mass.

        Parameters
        ----------
        x
            (events,).
        here, there
            Powers of the masses from their middle, (events, 2).
        rng
            For values that occur several times: their places are in no order.

        Returns
        -------
        array of float, (events,)
        """
        n, rows = len(self.values), np.arange(len(x))
        first, last = (np.searchsorted(self.values, x, side) for side in ("left", "right"))
        place = SLICES * (first + rng.random(len(x)) * (last - first)) / n
        piece = place.astype(int).clip(0, SLICES - 1)
        below_here, below_there = (self._below(from_middle) for from_middle in (here, there))
        lower, upper = below_here[rows, piece], below_here[rows, piece + 1]
        share = lower + (place - piece) * (upper - lower)
        piece = (below_there[:, 1:-1] <= share[:, None]).sum(axis=1)
        lower, upper = below_there[rows, piece], below_there[rows, piece + 1]
        rank = ((piece + (share - lower) / (upper - lower)) * n / SLICES - 0.5).clip(0, n - 1)
        near, low = self.values[np.rint(rank).astype(int)], np.floor(rank).astype(int)
        ends = self.values[low], self.values[(low + 1).clip(max=n - 1)]
        if self.column.values is not None:
            return near
        between = ends[0] + (rank - low) * (ends[1] - ends[0])
        return np.where(np.isin(ends, self.column.special).any(axis=0), near, between)

    def _below(self, from_middle: Floats) -> Floats:
        """Share of events below each quantile, (events, SLICES + 1); some are left between any two."""
        even = np.arange(SLICES + 1) / SLICES
        moved = (even[1:-1] + from_middle @ self.trend).clip(0, 1)
        ends = np.zeros((len(moved), 1)), np.ones((len(moved), 1))
        steps = np.concatenate([ends[0], np.maximum.accumulate(moved, axis=1), ends[1]], axis=1)
        return np.asarray((1 - LEAST) * steps + LEAST * even)


@dataclass(frozen=True)
class MassTrend:
    """The trend of each feature with the mass, made by :func:`mass_trend`."""

    columns: tuple[Column, ...]
    """One for each feature."""
    trend: Floats
    """(2, variables): coefficients of log(mass) and log(mass)^2. Variables are the features that are numbers and, for
    each that is a class, whether it is at least each of its values but the first."""
    means: Floats
    """Means of the variables over all events, (variables,)."""
    spread: Floats
    """By what power of the mass the width of each feature grows, (features,); 0 for classes and next to walls."""
    shapes: tuple[ShapeTrend | None, ...]
    """Of the features for which mean and width are not all that changes, one for each feature."""
    middle: Floats
    """Means of log(mass) and log(mass)^2 over all events, (2,)."""

    def carried(self, X: npt.NDArray[np.floating], origin: Floats, mass: Floats, rng: np.random.Generator) -> Floats:
        """Features of events as they would be at other masses.

        Parameters
        ----------
        X
            (events, features).
        origin
            Masses of these events, GeV, (events,).
        mass
            Masses to carry them to, GeV, (events,).
        rng
            For features that are not continuous.

        Returns
        -------
        array of float, (events, features)
        """
        here, there = powers(origin) - self.middle, powers(mass) - self.middle
        result, first = np.empty(X.shape), 0
        for number, one in enumerate(self.columns):
            x = X[:, number].astype(float)
            variables = slice(first, first + _variables(one))
            trend = self.trend[:, variables]
            shape = self.shapes[number]
            if shape is not None:
                result[:, number] = shape.carried(x, here, there, rng)
            elif one.is_class:
                result[:, number] = self._of_class(one, x, here @ trend, there @ trend, self.means[variables], rng)
            else:
                before, after = (self.means[variables] + from_middle @ trend for from_middle in (here, there))
                stretch = (mass / origin) ** self.spread[number]
                result[:, number] = one.moved(x, before[:, 0], after[:, 0], stretch, rng)
            first = variables.stop
        return result

    @staticmethod
    def _of_class(
        one: Column, x: Floats, here: Floats, there: Floats, shares: Floats, rng: np.random.Generator
    ) -> Floats:
        """Values with the same place in the distribution of values at the other mass."""
        assert one.values is not None
        one_and_zero = np.ones((len(x), 1)), np.zeros((len(x), 1))
        reached = [
            np.concatenate(
                [one_and_zero[0], np.minimum.accumulate((shares + moved).clip(0, 1), axis=1), one_and_zero[1]], axis=1
            )
            for moved in (here, there)
        ]  # the probability to be at least each value
        index = np.searchsorted(one.values, x)
        rows = np.arange(len(x))
        upper, lower = reached[0][rows, index], reached[0][rows, index + 1]
        place = lower + rng.random(len(x)) * (upper - lower)
        return np.asarray(one.values[(reached[1][:, 1:-1] > place[:, None]).sum(axis=1)])


def mass_trend(X: npt.NDArray[np.floating], mass: Floats) -> MassTrend:
    """Measure the trends of features.

    Parameters
    ----------
    X
        Features of background events, (events, features).
    mass
        GeV, (events,).

    Returns
    -------
    MassTrend
    """
    columns, variables, numbers, first = [], [], [], 0
    for values in X.T.astype(float):
        one = column_of(values)
        columns.append(one)
        variable, first = first, first + _variables(one)
        if one.is_class:
            assert one.values is not None
            variables.append(values[:, None] >= one.values[1:])
            continue
        usual = ~np.isin(values, one.special)
        numbers.append((len(columns) - 1, variable, usual))
        if not usual.all():  # special values know nothing of the trend of the others
            line = np.polynomial.Polynomial.fit(np.log(mass[usual]), values[usual], 1)
            values = np.where(usual, values, line(np.log(mass)))
        variables.append(_without_far(values)[:, None])
    together = np.concatenate([np.asarray(part, dtype=float) for part in variables], axis=1)
    trend, means, middle = trend_of(together, mass), together.mean(axis=0), powers(mass).mean(axis=0)
    spread = np.zeros(len(columns))
    for number, variable, usual in numbers:
        if not len(columns[number].walls):
            mean = means[variable] + (powers(mass[usual]) - middle) @ trend[:, variable]
            spread[number] = spread_of(together[usual, variable] - mean, mass[usual], len(columns))
    known = MassTrend(tuple(columns), trend, means, spread, (None,) * len(columns), middle)
    shapes: list[ShapeTrend | None] = [None] * len(columns)
    at_middle = known.carried(X, mass, np.full(len(mass), np.exp(middle[0]) * 1000), np.random.default_rng(0))
    for number, _, _ in numbers:
        if not shape_changes(at_middle[:, number], mass, len(columns)):
            continue
        x, here = X[:, number].astype(float), powers(mass) - middle
        shape = shape_trend(x, mass, columns[number], len(columns))
        instead = shape.carried(x, here, np.zeros_like(here), np.random.default_rng(0))
        # Shares that change slowly do not describe all: nothing of a pT is left where another mass has all of it.
        if dependence(instead, mass) < dependence(at_middle[:, number], mass):
            shapes[number] = shape
    return replace(known, shapes=tuple(shapes))


def _without_far(values: Floats) -> Floats:
    """Values of which none is far from all others."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    reach = FAR_OUT * (high - low)
    return values.clip(middle - reach, middle + reach) if reach > 0 else values


def _variables(one: Column) -> int:
    """How many variables a feature has in the trend."""
    return len(one.values) - 1 if one.is_class and one.values is not None else 1


def trend_of(variables: Floats, mass: Floats) -> Floats:
    """The trend of variables with the mass, without its noise.

    A window differs from the sidebands around it by the curvature of the trends, not by their slope. Fitted curvatures
    are never zero, also where the true ones are: used as they come, a classifier finds them in every experiment, and
    selects an excess in the window over the sideband efficiency that the data do not have. (In searches with 4
    features, ``python -m benchmarks.statistics.calibration searches``, that estimate's corrected Z was -0.38 +- 0.03 on
    average, and is -0.06 +- 0.02 with what follows.) A positive-part factor that takes the noise away on average is
    applied to all curvatures that are not significant by themselves (as James and Stein do, Proc. 4th Berkeley Symp. 1
    (1961) 361, for the least squared error). Their sum of squares in units of their errors is Hotelling's T^2 (Ann.
    Math. Stat. 2 (1931) 360): of p variables and a true sum s its mean is (p + s) n / (n - p - 1), where n are the
    degrees of freedom behind the covariance; for an embedding of hundreds of numbers and a thousand events that is half
    as much again as p + s. Significant is what exceeds three errors and sqrt(2 ln p) of them, which the largest of p
    noises hardly does (Donoho and Johnstone, Biometrika 81 (1994) 425).

    Parameters
    ----------
    variables
        (events, variables).
    mass
        GeV, (events,).

    Returns
    -------
    array of float, (2, variables)
        Coefficients of log(mass / TeV) and of its square.
    """
    log, square = powers(mass).T
    linear = np.stack([np.ones_like(log), log], axis=1)
    straight = np.linalg.lstsq(linear, variables, rcond=None)[0]
    bent = np.linalg.lstsq(np.column_stack([linear, square]), variables, rcond=None)[0]
    residuals = variables - linear @ bent[:2] - np.outer(square, bent[2])
    across = square - linear @ np.linalg.lstsq(linear, square, rcond=None)[0]
    spread = np.sqrt((residuals**2).sum(axis=0) / (len(mass) - 3))
    varies = spread > 1e-9 * np.abs(variables).max(axis=0)
    pulls = np.divide(bent[2] * np.linalg.norm(across), spread, out=np.zeros_like(spread), where=varies)
    weak = varies & (np.abs(pulls) < _large(len(pulls)))
    kept = np.ones(len(spread))
    if weak.any():
        values, vectors = np.linalg.eigh(np.atleast_2d(np.corrcoef(residuals[:, weak], rowvar=False)))
        known = values > 1e-6
        size = ((pulls[weak] @ vectors[:, known]) ** 2 / values[known]).sum()
        number, degrees = np.count_nonzero(known), len(mass) - 3
        noise = number * degrees / (degrees - number - 1) if number < degrees - 1 else np.inf
        kept[weak] = np.sqrt(max(0.0, 1 - noise / size))
    return np.stack([(1 - kept) * straight[1] + kept * bent[1], kept * bent[2]])


def spread_of(residuals: Floats, mass: Floats, features: int) -> float:
    """By what power of the mass a feature's width grows: 1 for a mass of a jet or its pT.

    Absolute residuals are regressed on log(mass) with a logarithmic link and a variance that goes with the square of
    the mean (McCullagh and Nelder, Generalized Linear Models, 2nd edition, chapter 8).

    Parameters
    ----------
    residuals
        Of the trend of the mean, (events,).
    mass
        GeV, (events,).
    features
        Among so many it must stand out.

    Returns
    -------
    float
        0 unless it is three errors away from it, and as many as the largest of that many noises hardly is; also where
        the fit does not converge.
    """
    size = np.abs(residuals)
    log = _directions(mass)[0]
    if not (size.mean() > 0 and log @ log > 0):
        return 0.0
    level, power, step = float(np.log(size.mean())), 0.0, np.inf
    for _ in range(20):
        pull = size / np.exp(level + power * log) - 1
        step = float(pull @ log) / float(log @ log)
        level, power = level + float(pull.mean()), power + step
        if abs(step) < 1e-6 or abs(power) > 20:
            break
    error = float(np.linalg.norm(pull * log)) / float(log @ log)
    return power if abs(step) < 1e-6 and abs(power) > _large(features) * error else 0.0


def shape_changes(x: Floats, mass: Floats, features: int) -> bool:
    """Whether the distribution of a feature depends on the mass at all.

    Parameters
    ----------
    x
        (events,).
    mass
        GeV, (events,).
    features
        Among so many it must stand out.

    Returns
    -------
    bool
        By score tests of the shares of events between its quantiles against log(mass) and its square: as unlikely
        without a change as three errors, or what the largest of that many noises hardly is.
    """
    slices = _slices(x)
    return any(_stands_out(slices, direction, features) for direction in _directions(mass))


def shape_trend(x: Floats, mass: Floats, one: Column, features: int) -> ShapeTrend:
    """The shares of events between a feature's quantiles against the mass.

    Parameters
    ----------
    x
        (events,).
    mass
        GeV, (events,).
    one
        What the values can be.
    features
        Among so many a curvature must stand out; without, the shares are straight in log(mass).

    Returns
    -------
    ShapeTrend
    """
    slices, curvature = _slices(x), _directions(mass)[1]
    below = slices[:, None] < np.arange(1, SLICES)
    terms = 1 + _stands_out(slices, curvature, features)
    design = np.column_stack([np.ones(len(mass)), powers(mass)])[:, : 1 + terms]
    trend = np.zeros((2, SLICES - 1))
    trend[:terms] = np.linalg.lstsq(design, below.astype(float), rcond=None)[0][1:]
    return ShapeTrend(np.sort(x), trend, one)


def dependence(x: Floats, mass: Floats) -> float:
    """How much the distribution of a feature depends on the mass.

    Parameters
    ----------
    x
        (events,).
    mass
        GeV, (events,).

    Returns
    -------
    float
        Chi-squared of the events in slices of both against independence.
    """
    expected = len(x) / SLICES**2
    found = np.bincount(SLICES * _slices(x) + _slices(mass), minlength=SLICES**2)
    return float(((found - expected) ** 2).sum() / expected)


def _slices(x: Floats) -> npt.NDArray[np.int_]:
    """Between which quantiles events lie; equal values in no order, (events,)."""
    shuffled = np.random.default_rng(0).permutation(len(x))
    order = shuffled[np.argsort(x[shuffled], kind="stable")]
    slices = np.empty(len(x), dtype=int)
    slices[order] = np.arange(len(x)) * SLICES // len(x)
    return slices


def _directions(mass: Floats) -> tuple[Floats, Floats]:
    """log(mass) without its mean, and its square without what is linear in it, each (events,)."""
    log = powers(mass)[:, 0]
    log = log - log.mean()
    square = log**2 - (log**2).mean()
    return log, square - (square @ log) / max(log @ log, np.finfo(float).tiny) * log


def _stands_out(slices: npt.NDArray[np.int_], direction: Floats, features: int) -> bool:
    scores = np.bincount(slices, weights=direction, minlength=SLICES)
    chi2 = SLICES * (scores**2).sum() / max((direction**2).sum(), np.finfo(float).tiny)
    return bool(stats.chi2.sf(chi2, SLICES - 1) < 2 * stats.norm.sf(_large(features)))


def _large(features: int) -> float:
    """Three errors, and what the largest of that many noises hardly is (Donoho and Johnstone, see trend_of)."""
    return max(3.0, float(np.sqrt(2 * np.log(max(features, 1)))))


def powers(mass: Floats) -> Floats:
    """The functions of the mass of which trends are made.

    Parameters
    ----------
    mass
        GeV, (events,).

    Returns
    -------
    array of float, (events, 2)
        log(mass / TeV) and its square.
    """
    log = np.log(mass / 1000.0)
    return np.stack([log, log**2], axis=1)
