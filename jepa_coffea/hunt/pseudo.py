"""Background-only pseudo-data: masses from a smooth spectrum, features of background events near that mass."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jepa_coffea.bumphunt import fit_background
from jepa_coffea.cwola.fits import Sample
from jepa_coffea.cwola.windows import Windows
from jepa_coffea.hunt.config import HuntError, StatisticsConfig

Floats = npt.NDArray[np.float64]

REACH = 0.05
"""A pseudo-event takes its features from background events whose mass is within this fraction of its own."""
FEWEST = 50
"""Fewest background events to choose from; where there are fewer within reach, the nearest ones are taken."""


@dataclass(frozen=True)
class PseudoData:
    """A source of background-only experiments as large as the data.

    Attributes:
        donors: events whose features are taken, sorted by mass.
        expected: background events per bin, (bins,).
        edges: bin edges, GeV.
        gaps: mass intervals, (gaps, 2), without donors: a pseudo-event in a gap takes its features from beside it, from
            below or above with the probability of linear interpolation, so that what changes slowly with the mass keeps
            doing so and nothing is special about the gap.

    An event drawn twice keeps its identity: both copies are in the same fold, as if it were one event's features at two
    masses. Given the donors, features are independent of which side of the window's edges an event falls on, up to the
    slow trend, which is what "no signal" means.
    """

    donors: Sample
    expected: Floats
    edges: Floats
    gaps: Floats

    def draw(self, seed: int) -> Sample:
        """One pseudo-experiment: Poisson counts in every bin."""
        rng = np.random.default_rng(seed)
        counts = rng.poisson(self.expected)
        bins = np.repeat(np.arange(len(counts)), counts)
        mass = self.edges[bins] + rng.random(len(bins)) * np.diff(self.edges)[bins]
        rows = self._donors_for(mass, rng)
        pseudo = self.donors.take(rows)
        return Sample(pseudo.X, mass, pseudo.hashes, np.ones(len(mass)), pseudo.match)

    def _donors_for(self, mass: Floats, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        target = mass.copy()
        for low, high in self.gaps:
            inside = np.flatnonzero((mass >= low) & (mass < high))
            above = rng.random(len(inside)) < (mass[inside] - low) / (high - low)
            target[inside] = np.where(above, high, low)
        # Beside a gap, only donors of that side are neighbours.
        side = np.searchsorted(np.sort(self.gaps.ravel()), target, side="right") // 2
        limits = np.searchsorted(self.donors.mass, np.concatenate([[-np.inf], self.gaps[:, 1], [np.inf]]))
        first, last = limits[:-1][side], limits[1:][side]
        low = np.searchsorted(self.donors.mass, target * (1 - REACH)).clip(first, last)
        high = np.searchsorted(self.donors.mass, target * (1 + REACH)).clip(first, last)
        lacking = np.maximum(FEWEST - (high - low), 0)
        low = np.maximum(low - (lacking + 1) // 2, first)
        high = np.minimum(np.maximum(high, low + FEWEST), last)
        low = np.maximum(np.minimum(low, high - FEWEST), first)
        return (low + rng.random(len(mass)) * (high - low)).astype(np.int64)


def make_pseudo_data(
    sample: Sample, windows: Windows, statistics: StatisticsConfig, background: Sample | None = None
) -> PseudoData:
    """Pseudo-data like ``sample``.

    The spectrum is the background function fitted to it, with the window masked when there is one, all of it when there
    are several (they cover one another's sidebands). Donors are ``background`` events if given, otherwise the data
    outside the windows, or all data when the windows leave too little: a signal among them is then spread over
    neighbouring masses, which makes the calibration conservative.

    Raises:
        HuntError: too few donors. FitError: the spectrum cannot be fitted.
    """
    counts, edges = windows.histogram(sample.mass), np.asarray(windows.edges)
    single = len(windows.windows) == 1
    mask = (windows.windows[0].low, windows.windows[0].high) if single else None
    fit = fit_background((counts, edges), statistics.function, sqrt_s=statistics.sqrt_s, window=mask, toys=0)
    gaps = np.zeros((0, 2))
    if background is None:
        inside = np.zeros(len(sample.mass), bool)
        for window in windows.windows:
            inside |= (sample.mass >= window.low) & (sample.mass < window.high)
        background = sample.take(windows.inside(sample.mass))
        if single:
            background = sample.take(windows.inside(sample.mass) & ~inside)
            gaps = np.array([mask])
    donors = background.take(np.argsort(background.mass, kind="stable"))
    if len(donors.mass) < 200:
        msg = f"hunt: {len(donors.mass)} events to take features of pseudo-data from, expected at least 200"
        raise HuntError(msg)
    return PseudoData(donors, np.asarray(fit.expected), edges, gaps)
