"""Background-only pseudo-data: masses from a smooth spectrum, features of background events carried to these masses."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jepa_coffea.bumphunt import fit_background
from jepa_coffea.cwola.sample import Sample
from jepa_coffea.cwola.windows import Windows
from jepa_coffea.hunt.config import HuntError
from jepa_coffea.hunt.sections import StatisticsConfig

Floats = npt.NDArray[np.float64]

MINIMUM_DONORS = 200
"""Fewest background events from which features are taken."""


@dataclass(frozen=True)
class PseudoData:
    """A source of background-only experiments as large as the data.

    An experiment has Poisson counts in every bin of a smooth spectrum. Each of its events takes the features of a
    background event drawn at random, whatever its mass, and moves them along the trend of each feature with the mass
    from there to here (a residual bootstrap).

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
    trend: Floats
    """Of each feature and then each matched variable, (2, variables): coefficients of log(mass) and log(mass)^2."""

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
        shift = (_powers(mass) - _powers(drawn.mass)) @ self.trend
        size = drawn.X.shape[1]
        X = (drawn.X + shift[:, :size]).astype(drawn.X.dtype)
        match = None if drawn.match is None else drawn.match + shift[:, size:]
        return Sample(X, mass, drawn.hashes, np.ones(len(mass)), match)


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
    FitError, HistogramError
        If the spectrum cannot be fitted.
    """
    counts, edges = windows.histogram(sample.mass), np.asarray(windows.edges)
    single = windows.windows[0] if len(windows.windows) == 1 else None
    mask = None if single is None else (single.low, single.high)
    fit = fit_background((counts, edges), statistics.function, sqrt_s=statistics.sqrt_s, window=mask, toys=0)
    donors = background
    if donors is None:
        inside = windows.inside(sample.mass)
        if single is not None:
            inside &= (sample.mass < single.low) | (sample.mass >= single.high)
        donors = sample.take(inside)
    if len(donors.mass) < MINIMUM_DONORS:
        msg = f"hunt: {len(donors.mass)} events to take features of pseudo-data from, expected {MINIMUM_DONORS} or more"
        raise HuntError(msg)
    groups = [donors.X] if donors.match is None else [donors.X, donors.match]
    trend = np.concatenate([trend_of(group.astype(float), donors.mass) for group in groups], axis=1)
    return PseudoData(donors, np.asarray(fit.expected), edges, trend)


def trend_of(variables: Floats, mass: Floats) -> Floats:
    """The trend of variables with the mass, without its noise.

    A window differs from the sidebands around it by the curvature of the trends, not by their slope. Fitted curvatures
    are never zero, also where the true ones are: used as they come, a classifier finds them in every experiment, and
    selects an excess in the window over the sideband efficiency that the data do not have. (In a thousand searches with
    4 features, ``python -m benchmarks.statistics.calibration searches``, that estimate's corrected Z was -0.38 +- 0.03
    on average, and is -0.14 +- 0.03 with what follows.) In units of their errors their sum of squares is on average
    larger than the true one by their number, and the positive-part factor that takes this away is applied to all that
    are within three errors of zero (as James and Stein do, Proc. 4th Berkeley Symp. 1 (1961) 361, for the least squared
    error).

    Parameters
    ----------
    variables
        (events, variables).
    mass
        GeV, (events,).

    Returns
    -------
    array of float, (2, variables)
        See :attr:`PseudoData.trend`.
    """
    log, square = _powers(mass).T
    linear = np.stack([np.ones_like(log), log], axis=1)
    straight = np.linalg.lstsq(linear, variables, rcond=None)[0]
    bent = np.linalg.lstsq(np.column_stack([linear, square]), variables, rcond=None)[0]
    residuals = variables - linear @ bent[:2] - np.outer(square, bent[2])
    across = square - linear @ np.linalg.lstsq(linear, square, rcond=None)[0]
    spread = np.sqrt((residuals**2).sum(axis=0) / (len(mass) - 3))
    varies = spread > 1e-9 * np.abs(variables).max(axis=0)
    pulls = np.divide(bent[2] * np.linalg.norm(across), spread, out=np.zeros_like(spread), where=varies)
    weak = varies & (np.abs(pulls) < 3)
    kept = np.ones(len(spread))
    if weak.any():
        values, vectors = np.linalg.eigh(np.atleast_2d(np.corrcoef(residuals[:, weak], rowvar=False)))
        known = values > 1e-6
        size = ((pulls[weak] @ vectors[:, known]) ** 2 / values[known]).sum()
        kept[weak] = np.sqrt(max(0.0, 1 - np.count_nonzero(known) / size))
    return np.stack([(1 - kept) * straight[1] + kept * bent[1], kept * bent[2]])


def _powers(mass: Floats) -> Floats:
    """log(mass / TeV) and its square, (events, 2)."""
    log = np.log(mass / 1000.0)
    return np.stack([log, log**2], axis=1)
