"""What the values of a feature can be: numbers, whole numbers, classes, with special values, and where they end."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

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
    """Values that no shift makes another one."""
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

    def moved(self, x: Floats, here: Floats, there: Floats, stretch: Floats, rng: np.random.Generator) -> Floats:
        """Values moved from one mean to another and stretched about it, then made values that the feature can have.

        What would leave the range is reflected at its end. Where the range ends in a wall, values move in proportion to
        their distance from it, as if it stood still while they are scaled: moved alike, they would leave a gap there
        or pile up, at any mass another, and trees find that. A discrete value stands for all numbers that are nearer
        to it than to its neighbours: one of these at random is moved, and gives the value that it is then nearest to.

        Parameters
        ----------
        x
            (events,).
        here, there
            Means at the mass that events come from and at that they are carried to, (events,).
        stretch
            Ratio of the widths there and here, (events,); of no matter next to a wall.
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
        share = np.abs(y[:, None] - self.walls).prod(axis=1) / self.room
        y = y + (there - here) * share + (0.0 if len(self.walls) else (y - here) * (stretch - 1))
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
