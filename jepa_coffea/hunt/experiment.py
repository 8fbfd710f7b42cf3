"""One experiment: from events to significances. Data, pseudo-data and injections all go through this same door."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from jepa_coffea.bumphunt import BackgroundFit, FitError, HistogramError, counting_significance, fit_background, p_value
from jepa_coffea.bumphunt.ftest import FTestRule, richest
from jepa_coffea.bumphunt.pass_fail import fit_transfer_factor
from jepa_coffea.cwola.cwola import CWoLa
from jepa_coffea.cwola.fits import Sample
from jepa_coffea.cwola.scores import WindowScores
from jepa_coffea.cwola.windows import Window, Windows
from jepa_coffea.hunt.sections import StatisticsConfig

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Method:
    """Everything an experiment does besides its events; picklable."""

    cwola: CWoLa
    efficiencies: tuple[float, ...]
    statistics: StatisticsConfig
    rules: tuple[FTestRule, ...] = ()
    """How the order of the background function is chosen, one for each window masked; empty for a named function. Every
    experiment chooses on its own inclusive spectrum, as the data did."""

    def seeded(self, seed: int) -> "Method":
        """The same method with other folds and other random states."""
        folds = replace(self.cwola.folds, seed=seed)
        return replace(self, cwola=replace(self.cwola, folds=folds, seed=seed, client=None, progress=False))


@dataclass(frozen=True)
class Counting:
    """Events counted in a window after a selection, and what was expected there.

    ``problem`` says why there is no number: then b, sigma_b, z and p are NaN.
    """

    window: str
    efficiency: float
    """Sideband efficiency of the selection; 1 is no selection."""
    n: int
    b: float
    sigma_b: float
    z: float
    """Signed significance of the counts, before any calibration."""
    p: float
    problem: str = ""

    def record(self) -> dict[str, Any]:
        """Plain numbers."""
        return asdict(self)


def count(
    counts: Floats, windows: Windows, window: Window, efficiency: float, statistics: StatisticsConfig, toys: int = 0
) -> tuple[Counting, BackgroundFit | None]:
    """Fit the background of a spectrum beside the window and judge the count inside it.

    The uncertainty of the expectation is that of the sum over the window's bins with the full covariance of the fit.
    """
    n = int(counts[windows.bins_of(window)].sum())
    try:
        fit = fit_background(
            (counts, np.asarray(windows.edges)),
            statistics.function,
            sqrt_s=statistics.sqrt_s,
            window=(window.low, window.high),
            toys=toys,
        )
    except (FitError, HistogramError) as error:
        return Counting(window.name, efficiency, n, np.nan, np.nan, np.nan, np.nan, str(error)), None
    expected = fit.prediction()
    z = float(counting_significance(n, expected.total, expected.sigma, statistics.constraint))
    return Counting(window.name, efficiency, n, expected.total, expected.sigma, z, float(p_value(z))), fit


@dataclass(frozen=True)
class Template:
    """The second background estimate of a selection: the events that fail it times the odds of passing.

    It assumes nothing about the spectrum, only that the odds are smooth in mass. ``problem`` as in Counting.
    """

    b: float
    sigma_b: float
    z: float
    fit_p: float
    """Goodness of the fit of the odds in the sidebands."""
    pull: float
    """Its difference from the fitted function, over both errors in quadrature. Both use the sideband events that pass,
    so the estimates are correlated and the true pull is at least as large."""
    problem: str = ""

    def record(self) -> dict[str, Any]:
        """Plain numbers."""
        return asdict(self)


def estimate_by_template(
    counts: Floats, total: Floats, counting: Counting, windows: Windows, window: Window, statistics: StatisticsConfig
) -> Template:
    """The background under a selection from its efficiency in the sidebands, beside the fitted one in ``counting``.

    counts, total: events per bin after and before the selection.
    """
    try:
        edges = np.asarray(windows.edges)
        fit = fit_transfer_factor((counts, edges), (total, edges), window=(window.low, window.high))
    except (FitError, HistogramError) as error:
        return Template(np.nan, np.nan, np.nan, np.nan, np.nan, str(error))
    expected = fit.prediction()
    z = float(counting_significance(counting.n, expected.total, expected.sigma, statistics.constraint))
    pull = (expected.total - counting.b) / float(np.hypot(expected.sigma, counting.sigma_b))
    return Template(expected.total, expected.sigma, z, fit.p_value, pull)


def spectra(
    scores: WindowScores, mass: Floats, windows: Windows, efficiencies: tuple[float, ...]
) -> dict[float, Floats]:
    """Events per bin after each selection, by sideband efficiency."""
    return {efficiency: windows.histogram(mass[scores.selected(efficiency)]) for efficiency in efficiencies}


def run_experiment(sample: Sample, method: Method) -> list[tuple[Counting, Template]]:
    """Train, score, select, choose the function, fit and count: every window, every efficiency; windows outermost."""
    windows, statistics = method.cwola.windows, method.statistics
    if method.rules:
        function = str(richest(method.rules, windows.histogram(sample.mass)[None])[0])
        statistics = statistics.model_copy(update={"function": function})
    results = []
    for scores in method.cwola.fit_sample(sample):
        window, total = scores.window, windows.histogram(sample.mass[scores.scored])
        for efficiency, counts in spectra(scores, sample.mass, windows, method.efficiencies).items():
            counting, _ = count(counts, windows, window, efficiency, statistics)
            results.append((counting, estimate_by_template(counts, total, counting, windows, window, statistics)))
    return results
