"""Background-only pseudo-data: masses from a smooth spectrum, features of background events carried to these masses.

What is made must look like an event, or a classifier finds a difference between window and sidebands that data do not
have. An integer that is shifted by a fraction is such a difference: trees find the fraction, and pseudo-experiments of
24 000 events with the number of constituents had Z of 2.2 on average without any signal. A gap that grows with the mass
above the cut at which a feature begins is another, so that such features are scaled about their cut.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from jepa_coffea.bumphunt import fit_background
from jepa_coffea.cwola.folds import salted, uniform
from jepa_coffea.cwola.sample import Sample
from jepa_coffea.cwola.windows import Windows
from jepa_coffea.hunt.config import HuntError, StatisticsConfig

Floats = npt.NDArray[np.float64]

MINIMUM_DONORS = 200
"""Fewest background events from which features are taken."""

FEW = 12
"""Up to so many different values a feature is a class, not a number: its probabilities have the trend."""

SPIKE = 0.01
"""Share of the events from which one value of a continuous feature is a special one, such as that of no measurement."""

FAR = 3.0
"""Interquartile ranges between an outermost value of a discrete feature and its neighbour that make it special."""

STANDS_OUT = 5.0
"""Times as frequent as both its neighbours is a value of a discrete feature that is special."""

STEPS = (1.0, 0.5, 0.1, 0.01, 0.001, 0.0001)
"""To what numbers are rounded most; any other step is found where two values are next to each other."""

COARSE = 4.0
"""So many times as large as the spacing of numbers in single precision is a step, at least."""

NEAR, DENSE = 0.1, 0.03
"""A wall: more than ``DENSE`` of the events lie within ``NEAR`` interquartile ranges, or a step, of an end."""


@dataclass(frozen=True)
class Column:
    """What the values of one feature can be."""

    values: Floats | None
    """All that there are, sorted; None where the feature is continuous."""
    special: Floats
    """Values that are kept as they are at every mass."""
    ends: Floats
    """Where the others end, (2,)."""
    walls: Floats
    """Which of these two are no tails but cuts or bounds, with many events next to them."""
    room: float = 1.0
    """Product of the distances to the walls, on average."""

    @property
    def is_class(self) -> bool:
        """Whether it has so few values that the trend is one of their probabilities, not of the values.

        Returns
        -------
        bool
        """
        return self.values is not None and len(self.values) + len(self.special) <= FEW

    def moved(self, x: Floats, shift: Floats, rng: np.random.Generator) -> Floats:
        """Values shifted, then made values that the feature can have.

        What would leave the range is reflected at its end. Where the range ends in a wall, values move in proportion to
        their distance from it, as if it stood still while they are scaled: moved alike, they would leave a gap there
        or pile up, at any mass another, and trees find that. A discrete value stands for all numbers that are nearer
        to it than to its neighbours: one of these at random is moved, and gives the value that it is then nearest to.

        Parameters
        ----------
        x
            (events,).
        shift
            (events,).
        rng
            For discrete features.

        Returns
        -------
        array of float, (events,)
        """
        y, ends = x, self.ends
        if self.values is not None:
            edges = _between(self.values)
            place = np.searchsorted(self.values, x).clip(0, len(self.values) - 1)
            y = edges[place] + rng.random(len(x)) * (edges[place + 1] - edges[place])
        y = y + shift * (np.abs(y[:, None] - self.walls).prod(axis=1) / self.room)
        y = np.where(y < ends[0], 2 * ends[0] - y, y)
        y = np.where(y > ends[1], 2 * ends[1] - y, y).clip(*ends)
        if self.values is not None:
            y = self.values[(np.searchsorted(edges, y) - 1).clip(0, len(self.values) - 1)]
        return np.where(np.isin(x, self.special), x, y)


def column_of(x: Floats) -> Column:
    """Find out what the values of a feature can be.

    Parameters
    ----------
    x
        Of many events, (events,).

    Returns
    -------
    Column
    """
    values, counts = np.unique(x, return_counts=True)
    if len(values) <= FEW:
        return Column(values, values[:0], values[[0, -1]], values[:0])
    frequent = counts > max(SPIKE * len(x), 3)
    special = frequent & _stands_out(values, counts, x)
    stepped = has_step(values[~special])
    rest = counts[~frequent]
    continuous = not stepped and rest.sum() >= 20 and len(rest) > 0.5 * rest.sum()  # hardly any other value twice
    if continuous:
        special = frequent
    others, usual = values[~special], x[~np.isin(x, values[special])]
    ends = (others if continuous else _between(others))[[0, -1]]
    distances = np.abs(usual[:, None] - ends)
    near = NEAR * np.subtract(*np.quantile(usual, [0.75, 0.25]))
    if not continuous:
        near = max(near, np.diff(others).min())
    walls = ends[((distances > 0) & (distances <= near)).mean(axis=0) > DENSE]
    room = float(np.abs(usual[:, None] - walls).prod(axis=1).mean())
    return Column(None if continuous else others, values[special], ends, walls, room)


def _between(values: Floats) -> Floats:
    """The middles between neighbouring values, and as far beyond the outermost ones, (values + 1,)."""
    middles = (values[1:] + values[:-1]) / 2
    return np.concatenate([[2 * values[0] - middles[0]], middles, [2 * values[-1] - middles[-1]]])


def _stands_out(values: Floats, counts: npt.NDArray[np.int_], x: Floats) -> npt.NDArray[np.bool_]:
    """Which values of a discrete feature are much more frequent than their neighbours, or outermost and far away."""
    beside = np.concatenate([[0], counts, [0]])
    special = counts > STANDS_OUT * np.maximum(beside[:-2], beside[2:])
    spread = float(np.subtract(*np.quantile(x, [0.75, 0.25])))
    special[[0, -1]] |= np.diff(values)[[0, -1]] > FAR * spread
    return special


def has_step(values: Floats) -> bool:
    """Whether all values are a whole number of steps apart: whole GeV, or what was rounded to decimals.

    A power of two is no step of its own: numbers that a computer has subtracted are as far apart.

    Parameters
    ----------
    values
        Different and sorted, in single precision or better.

    Returns
    -------
    bool
    """
    resolution = np.finfo(np.float32).eps * np.abs(values).max()
    gaps = np.diff(values)
    neighbours = gaps[gaps < 1.5 * gaps.min()].mean()
    own = float(np.ptp(values) / np.round(gaps / neighbours).sum())
    grids = [(0.0, step) for step in STEPS]
    if np.frexp(own)[0] != 0.5:
        grids.append((values[0], own))
    return any(
        step > COARSE * resolution
        and np.abs(np.remainder(values - start + step / 2, step) - step / 2).max() <= resolution
        for start, step in grids
    )


@dataclass(frozen=True)
class MassTrend:
    """The trend of each feature with the mass, made by :func:`mass_trend`."""

    columns: tuple[Column, ...]
    """One for each feature."""
    trend: Floats
    """(2, variables): coefficients of log(mass) and log(mass)^2. Variables are the features that are numbers and, for
    each that is a class, whether it is at least each of its values but the first."""
    shares: Floats
    """Means of the variables over all events, (variables,)."""
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
            if one.is_class:
                result[:, number] = self._of_class(one, x, here @ trend, there @ trend, self.shares[variables], rng)
            else:
                result[:, number] = one.moved(x, ((there - here) @ trend)[:, 0], rng)
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
    columns, variables = [], []
    for values in X.T.astype(float):
        one = column_of(values)
        columns.append(one)
        if one.is_class:
            assert one.values is not None
            variables.append(values[:, None] >= one.values[1:])
            continue
        usual = ~np.isin(values, one.special)
        if not usual.all():  # special values know nothing of the trend of the others
            line = np.polynomial.Polynomial.fit(np.log(mass[usual]), values[usual], 1)
            values = np.where(usual, values, line(np.log(mass)))
        variables.append(values[:, None])
    together = np.concatenate([np.asarray(part, dtype=float) for part in variables], axis=1)
    return MassTrend(tuple(columns), trend_of(together, mass), together.mean(axis=0), powers(mass).mean(axis=0))


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
    weak = varies & (np.abs(pulls) < max(3.0, np.sqrt(2 * np.log(max(len(pulls), 1)))))
    kept = np.ones(len(spread))
    if weak.any():
        values, vectors = np.linalg.eigh(np.atleast_2d(np.corrcoef(residuals[:, weak], rowvar=False)))
        known = values > 1e-6
        size = ((pulls[weak] @ vectors[:, known]) ** 2 / values[known]).sum()
        number, degrees = np.count_nonzero(known), len(mass) - 3
        noise = number * degrees / (degrees - number - 1) if number < degrees - 1 else np.inf
        kept[weak] = np.sqrt(max(0.0, 1 - noise / size))
    return np.stack([(1 - kept) * straight[1] + kept * bent[1], kept * bent[2]])


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


@dataclass(frozen=True)
class PseudoData:
    """A source of background-only experiments as large as the data.

    An experiment has Poisson counts in every bin of a smooth spectrum. Each of its events takes the features of a
    background event drawn at random, whatever its mass, and moves them along the trend of each feature with the mass
    from there to here (a residual bootstrap), so that each remains what it is: integers stay integers, bounded features
    within their bounds, special values special (:class:`MassTrend`).

    Drawing donors near the mass of the event would keep the trend as well, but then the window and the sidebands
    draw from different donors, whose finite number is a difference between them that repeats in every fold; it widens
    Z by as much as the counts themselves do. With common donors, features given the trend are independent of the mass,
    and that is what "no signal" means. An event drawn twice keeps its identity: both copies are in the same fold.
    """

    donors: Sample
    """Background events."""
    expected: Floats
    """Background events per bin, (bins,)."""
    edges: Floats
    """Bin edges, GeV, (bins + 1,)."""
    trend: MassTrend
    """Of each feature and then each matched variable."""
    fit_p: float | None = None
    """Goodness of the fit of the whole spectrum behind ``expected``; None for one window, where it is the fit beside
    the window of the spectrum without a selection."""

    def draw(self, seed: int) -> Sample:
        """The events of one pseudo-experiment.

        Parameters
        ----------
        seed
            Of all randomness.

        Returns
        -------
        Sample
        """
        rng = np.random.default_rng(seed)
        counts = rng.poisson(self.expected)
        bins = np.repeat(np.arange(len(counts)), counts)
        mass = self.edges[bins] + rng.random(len(bins)) * np.diff(self.edges)[bins]
        drawn = self.donors.take(rng.integers(len(self.donors.mass), size=len(mass)))
        carried, size = self.trend.carried(_with_match(drawn), drawn.mass, mass, rng), drawn.X.shape[1]
        match = None if drawn.match is None else carried[:, size:]
        return Sample(carried[:, :size].astype(drawn.X.dtype), mass, drawn.hashes, np.ones(len(mass)), match)

    def without(self, sample: Sample) -> "PseudoData":
        """A source that shares no donor with what was drawn already.

        Parameters
        ----------
        sample
            Drawn from this source, or events joined to them.

        Returns
        -------
        PseudoData
            With the other donors; of an experiment as large as the donors are, 37 in a hundred.
        """
        return replace(self, donors=self.donors.take(~np.isin(self.donors.hashes, sample.hashes)))

    def halves(self, seed: int) -> tuple["PseudoData", "PseudoData"]:
        """Two sources that share no donor: no event of one is made from a background event of the other.

        Parameters
        ----------
        seed
            Decides, with its identity, to which half a donor belongs.

        Returns
        -------
        tuple of PseudoData
        """
        first = uniform(salted(self.donors.hashes, "donor", seed)) < 0.5
        return replace(self, donors=self.donors.take(first)), replace(self, donors=self.donors.take(~first))


def make_pseudo_data(
    sample: Sample, windows: Windows, statistics: StatisticsConfig, background: Sample | None = None
) -> PseudoData:
    """Pseudo-data like a sample.

    The spectrum is the background function fitted to it, with the window masked when there is one, all of it when there
    are several (they cover one another's sidebands).

    Parameters
    ----------
    sample
        The data.
    windows
        Windows and bins.
    statistics
        The background function.
    background
        Events that give their features; by default the data outside the window, or all data when there are several: a
        signal among them is then spread over all masses, which makes the calibration conservative.

    Returns
    -------
    PseudoData

    Raises
    ------
    HuntError
        If there are too few donors.
    SpectrumError
        If the spectrum cannot be fitted.
    """
    counts, edges = windows.histogram(sample.mass), np.asarray(windows.edges)
    single = windows.windows[0] if len(windows.windows) == 1 else None
    mask = None if single is None else (single.low, single.high)
    toys = 0 if mask else statistics.goodness_toys
    fit = fit_background((counts, edges), statistics.function, sqrt_s=statistics.energy, window=mask, toys=toys)
    donors = background
    if donors is None:
        inside = windows.inside(sample.mass)
        if single is not None:
            inside &= (sample.mass < single.low) | (sample.mass >= single.high)
        donors = sample.take(inside)
    if len(donors.mass) < MINIMUM_DONORS:
        msg = f"hunt: {len(donors.mass)} events to take features of pseudo-data from, expected {MINIMUM_DONORS} or more"
        raise HuntError(msg)
    trend = mass_trend(_with_match(donors), donors.mass)
    return PseudoData(donors, np.asarray(fit.expected), edges, trend, None if mask else fit.p_value)


def _with_match(sample: Sample) -> Floats:
    """Features and behind them the matched variables, (events, variables)."""
    groups = [sample.X] if sample.match is None else [sample.X, sample.match]
    return np.concatenate([group.astype(float) for group in groups], axis=1)
