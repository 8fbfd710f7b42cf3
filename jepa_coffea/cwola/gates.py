"""Closure gates: what must hold where there is no signal, each with a threshold that statistics can defend.

A gate about a trend fails when the trend is both significant (three standard deviations, or p below the same) and
larger than a size that a smooth fit of the spectrum absorbs: with few events it does not fail by chance, with many it
does not fail for a trend that hurts nobody. A gate about a count fails at three standard deviations from what a smooth
curve through the sidebands expects.

A leak is found here and not cured. Moving each feature to mass-independent quantiles, interpolated in mass between the
sidebands, does let these gates pass; but where a feature's mass dependence is not exactly that of the interpolation the
window then differs from both sidebands, in 20 000 simulated events by 2 to 7 standard deviations of false excess, and
that is what a classifier of window against sidebands looks for. Choose features, or sidebands, that do not leak.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from jepa_coffea.bumphunt.pass_fail import fit_transfer_factor
from jepa_coffea.bumphunt.significance import counting_significance
from jepa_coffea.cwola.efficiency import WindowScores
from jepa_coffea.cwola.merits import auc
from jepa_coffea.cwola.windows import HIGH, LOW, OUTSIDE, WINDOW, Window, Windows
from jepa_coffea.errors import SpectrumError

Floats = npt.NDArray[np.float64]

SIGMAS = 3.0
"""Significance at which a gate fails; a good analysis fails one such gate in 370 (741 one-sided)."""
AUC_TOLERANCE = 0.05
"""|AUC - 0.5| of low against high sideband that is tolerated however significant."""
CORRELATION_TOLERANCE = 0.1
"""|Spearman rho| of score and mass inside a sideband that is tolerated."""
BINS = 8
"""Bins of each sideband in which a parabola is fitted."""
ENOUGH = 10
"""Expected events below which a gate at a smaller efficiency says nothing."""
EFFICIENCY_TOLERANCE = 0.15
"""Relative variation of the efficiency over the sidebands, beyond statistics, that is tolerated."""


@dataclass(frozen=True)
class Gate:
    """One closure test and its verdict."""

    name: str
    window: str
    passed: bool
    value: float
    """What was measured; NaN when it could not be."""
    error: float
    """Its statistical error."""
    threshold: float
    """What ``value`` (its size, or its distance from where it should be) must not exceed."""
    explanation: str
    counted: tuple[float, float] | None = None
    """Masses between which events were counted against an expectation, GeV; None where none were."""

    def record(self) -> dict[str, Any]:
        """The gate as JSON can say it.

        Returns
        -------
        dict
        """
        return asdict(self)


def sideband_auc(scores: WindowScores) -> Gate:
    """AUC of the high against the low sideband, which no classifier was trained for.

    Parameters
    ----------
    scores
        Of one window.

    Returns
    -------
    Gate
        Passed if the AUC is 0.5, as it is unless the score knows the mass.
    """
    high, low = scores.scored & (scores.region == HIGH), scores.scored & (scores.region == LOW)
    value, error = auc(scores.fraction, low, high)  # fractions fall with the score
    threshold = max(AUC_TOLERANCE, SIGMAS * error)
    return Gate(
        "AUC of high against low sideband",
        scores.window.name,
        abs(value - 0.5) <= threshold,
        value,
        error,
        threshold,
        "0.5 if the score does not tell the sidebands apart; beyond the threshold the classifier knows the mass",
    )


def score_mass_correlation(scores: WindowScores, mass: Floats) -> Gate:
    """The larger of the two Spearman correlations of score and mass, inside the low and inside the high sideband.

    Separately, because a classifier that learned the window's masses rises below it and falls above it.

    Parameters
    ----------
    scores
        Of one window.
    mass
        GeV, (events,).

    Returns
    -------
    Gate
    """
    rho, error = 0.0, 0.0
    for code in (LOW, HIGH):
        here = scores.scored & (scores.region == code)
        one = -float(stats.spearmanr(scores.fraction[here], mass[here]).statistic)
        if abs(one) >= abs(rho):
            rho, error = one, 1 / float(np.sqrt(max(int(np.count_nonzero(here)) - 1, 1)))
    threshold = max(CORRELATION_TOLERANCE, SIGMAS * error)
    return Gate(
        "correlation of score and mass in a sideband",
        scores.window.name,
        abs(rho) <= threshold,
        rho,
        float(error),
        float(threshold),
        "0 if the score does not know the mass; beyond the threshold a selection sculpts the spectrum",
    )


def flat_efficiency(scores: WindowScores, mass: Floats, windows: Windows, efficiency: float) -> Gate:
    """Efficiency against mass over the sidebands: its relative variation beyond statistics.

    Bins are joined until ten events are expected to pass. With chi2 per degree of freedom c of a constant efficiency
    and relative statistical errors e, the variation beyond them is sqrt((c - 1) <e^2>).

    Parameters
    ----------
    scores
        Of one window.
    mass
        GeV, (events,).
    windows
        Bins of the mass.
    efficiency
        Sideband efficiency of the selection.

    Returns
    -------
    Gate

    Raises
    ------
    SelectionError
        If the efficiency has no threshold.
    """
    side = scores.sideband
    everything, passed = windows.histogram(mass[side]), windows.histogram(mass[side & scores.selected(efficiency)])
    mean = passed.sum() / everything.sum()
    place = np.minimum((np.cumsum(everything) * mean / 10).astype(int), int(everything.sum() * mean / 10) - 1)
    everything = np.bincount(place.clip(0), everything).astype(float)
    passed = np.bincount(place.clip(0), passed).astype(float)
    good = everything > 0
    everything, passed = everything[good], passed[good]
    ndof = len(passed) - 1
    variance = everything * mean * (1 - mean)
    chi2 = float(((passed - everything * mean) ** 2 / variance).sum()) if 0 < mean < 1 else 0.0
    p = float(stats.chi2.sf(chi2, ndof)) if ndof > 0 else 1.0
    relative = float((variance / (everything * mean) ** 2).mean())
    value = float(np.sqrt(max(chi2 / ndof - 1, 0) * relative)) if ndof > 0 else 0.0
    significant = p < 2 * stats.norm.sf(SIGMAS)
    return Gate(
        f"efficiency against mass at {efficiency:g}",
        scores.window.name,
        not (significant and value > EFFICIENCY_TOLERANCE),
        value,
        float(np.sqrt(relative * np.sqrt(2 / max(ndof, 1)))),
        EFFICIENCY_TOLERANCE,
        f"relative variation over the sidebands beyond statistics (chi2 {chi2:.1f} for {ndof}, p = {p:.2g})",
    )


def interpolated_count(
    passed: npt.NDArray[np.bool_], region: npt.NDArray[np.int8], mass: Floats
) -> tuple[int, float, float]:
    """Events selected in the window, and the number expected from the efficiencies of the sidebands.

    The efficiency at the window's mean mass is (1 - w) e_low + w e_high with w between the sidebands' mean masses, so a
    linear trend cancels; the expectation is it times all window events.

    Parameters
    ----------
    passed
        Selected events, (events,).
    region
        LOW, WINDOW, HIGH or OUTSIDE for each event, (events,).
    mass
        GeV, (events,).

    Returns
    -------
    n : int
    b, sigma_b : float
    """
    centre, efficiency, variance = {}, {}, {}
    for code in (LOW, WINDOW, HIGH):
        here = region == code
        total = max(int(np.count_nonzero(here)), 1)
        centre[code] = float(mass[here].mean()) if here.any() else np.nan
        efficiency[code] = np.count_nonzero(passed & here) / total
        variance[code] = max(efficiency[code], 1 / total) / total
    w = (centre[WINDOW] - centre[LOW]) / (centre[HIGH] - centre[LOW])
    total = int(np.count_nonzero(region == WINDOW))
    b = total * ((1 - w) * efficiency[LOW] + w * efficiency[HIGH])
    sigma = total * np.sqrt((1 - w) ** 2 * variance[LOW] + w**2 * variance[HIGH])
    return int(np.count_nonzero(passed & (region == WINDOW))), float(b), float(sigma)


def inverted_selection(scores: WindowScores, mass: Floats, efficiency: float) -> Gate:
    """The least signal-like events, as many as are selected: their count in the window against the sidebands'.

    Parameters
    ----------
    scores
        Of one window.
    mass
        GeV, (events,).
    efficiency
        Sideband efficiency of the selection.

    Returns
    -------
    Gate
    """
    passed = scores.scored & (scores.fraction > 1 - efficiency)
    region = np.where(scores.scored, scores.region, OUTSIDE)
    return count_gate(
        f"inverted selection at {efficiency:g}",
        scores.window.name,
        scores.window,
        interpolated_count(passed, region, mass),
        "the window has as many of the least signal-like events as the sidebands predict, or the score knows the mass",
        bent_count(passed, region, mass),
    )


def count_gate(
    name: str,
    window: str,
    counted: Window,
    count: tuple[int, float, float],
    explanation: str,
    smooth: tuple[float, float] | None = None,
) -> Gate:
    """Whether a count is what is expected, within three standard deviations.

    What a straight line between the sidebands does not explain, but a smooth fit of the spectrum follows, biases no Z.

    Parameters
    ----------
    name, window
        Of the gate.
    counted
        Where the events were counted.
    count
        n, b and sigma_b, from :func:`interpolated_count`.
    explanation
        What a failure means.
    smooth
        b and sigma_b from :func:`bent_count`, asked where the straight line does not hold.

    Returns
    -------
    Gate
    """
    n, b, sigma = count
    z = float(counting_significance(n, b, sigma))
    found = f"{n} found, {b:.1f} ± {sigma:.1f} expected"
    if smooth is not None and abs(z) > SIGMAS:
        b, sigma = smooth
        straight, z = z, float(counting_significance(n, b, sigma))
        found += f" from a straight line in mass (Z = {straight:.1f}), {b:.1f} ± {sigma:.1f} from a bent one"
    where = (counted.low, counted.high)
    return Gate(name, window, abs(z) <= SIGMAS, z, 1.0, SIGMAS, f"{explanation}: {found}", where)


def bent_count(passed: npt.NDArray[np.bool_], region: npt.NDArray[np.int8], mass: Floats) -> tuple[float, float] | None:
    """Expected events in the window where the logarithm of the odds of passing is a parabola in mass.

    With many events any feature bends a little with the mass, by hundredths of its spread. A smooth fit of the spectrum
    follows that, and a straight line between two sidebands does not.

    Parameters
    ----------
    passed, region, mass
        As for :func:`interpolated_count`.

    Returns
    -------
    tuple of float or None
        b and sigma_b; None where the parabola is not determined.
    """
    inside, edges = mass[region == WINDOW], []
    for code in (LOW, HIGH):
        here = mass[region == code]
        if len(here) < BINS or not len(inside):
            return None
        edges.append(np.quantile(here, np.linspace(0, 1, BINS + 1)))
    low, high = (edges[0][-1] + inside.min()) / 2, (inside.max() + edges[1][0]) / 2
    together = np.concatenate([edges[0][:-1], [low, high], edges[1][1:-1], [np.nextafter(edges[1][-1], np.inf)]])
    if not (np.diff(together) > 0).all():
        return None
    near = region != OUTSIDE
    before, after = (np.histogram(mass[rows], together)[0].astype(float) for rows in (near, near & passed))
    try:
        fit = fit_transfer_factor((after, together), (before, together), window=(low, high), degree=2)
    except SpectrumError:
        return None
    expected = fit.prediction()
    return expected.total, expected.sigma
