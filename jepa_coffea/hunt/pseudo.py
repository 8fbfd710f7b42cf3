"""Background-only pseudo-data: masses from a smooth spectrum, features of background events carried to these masses.

What is made must look like an event, or a classifier finds a difference between window and sidebands that data do not
have. An integer that is shifted by a fraction is such a difference: trees find the fraction, and pseudo-experiments of
24 000 events with the number of constituents had Z of 2.2 on average without any signal. A gap that grows with the mass
above the cut at which a feature begins is another, so that such features are scaled about their cut. A third one is a
feature in GeV that is shifted and not stretched: in a trial, pseudo-experiments of 20 000 events with one like a jet's
mass had Z of 1.6 on average.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from jepa_coffea.bumphunt import fit_background
from jepa_coffea.cwola.folds import salted, uniform
from jepa_coffea.cwola.sample import Sample
from jepa_coffea.cwola.windows import Windows
from jepa_coffea.hunt.config import HuntError, StatisticsConfig
from jepa_coffea.hunt.mass_trend import MassTrend, mass_trend

Floats = npt.NDArray[np.float64]

MINIMUM_DONORS = 200
"""Fewest background events from which features are taken."""


@dataclass(frozen=True)
class PseudoData:
    """A source of background-only experiments as large as the data.

    An experiment has Poisson counts in every bin of a smooth spectrum. Each of its events takes the features of a
    background event drawn at random, whatever its mass, and moves them along the trend of each feature with the mass
    from there to here (a residual bootstrap), so that each remains what it is: integers stay integers, bounded features
    within their bounds, special values special (:class:`~jepa_coffea.hunt.mass_trend.MassTrend`).

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

        The trend with the mass, and what values a feature can have, are of all donors.

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
