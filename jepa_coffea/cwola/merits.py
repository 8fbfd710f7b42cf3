"""Figures of merit of a classifier and of its selections: ARGOS, AUC, significance improvement."""

import numpy as np
import numpy.typing as npt

from jepa_coffea.cwola.efficiency import SelectionError

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def argos(fraction: Floats, window: Mask, sideband: Mask, *, floor: float = 1e-3, events: int = 20) -> float:
    """ARGOS of a weak classifier: the largest eff_window / sqrt(eff_sideband) - sqrt(eff_sideband) of all cuts.

    It needs no truth and is zero for a classifier that sees no difference; see arXiv:2511.14832.

    Parameters
    ----------
    fraction
        Sideband efficiency at which each event is admitted, (events,).
    window, sideband
        Which events are in the window and in its sidebands, (events,).
    floor, events
        Cuts at a smaller sideband efficiency, or with fewer sideband events, are not looked at: there the maximum is
        one of noise.

    Returns
    -------
    float

    Raises
    ------
    SelectionError
        If there are too few events.
    """
    cuts = np.sort(fraction[sideband])
    cuts = cuts[max(events, int(np.ceil(floor * len(cuts)))) - 1 :]
    if not len(cuts) or not window.any():
        msg = f"argos: expected {events} sideband events and one in the window, got {np.count_nonzero(sideband)}"
        raise SelectionError(msg)
    efficiency = np.searchsorted(np.sort(fraction[window]), cuts, side="right") / np.count_nonzero(window)
    return float((efficiency / np.sqrt(cuts) - np.sqrt(cuts)).max())


def auc(scores: Floats, positive: Mask, negative: Mask) -> tuple[float, float]:
    """Area under the ROC curve of ``positive`` against ``negative`` events, and its standard error.

    Parameters
    ----------
    scores
        (events,); positive events should have larger ones.
    positive, negative
        Masks, (events,).

    Returns
    -------
    area, error : float
        The error is that of the Mann-Whitney statistic of equal distributions, sqrt((n + m + 1) / (12 n m)).

    Raises
    ------
    SelectionError
        If either side is empty.
    """
    n, m = int(np.count_nonzero(positive)), int(np.count_nonzero(negative))
    if not n or not m:
        msg = f"auc: expected events on both sides, got {n} and {m}"
        raise SelectionError(msg)
    both = np.concatenate([scores[positive], scores[negative]])
    values, inverse, counts = np.unique(both, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse[:n]] if len(values) else np.zeros(n)
    return float((ranks.sum() - n * (n + 1) / 2) / (n * m)), float(np.sqrt((n + m + 1) / (12 * n * m)))


def sic_curve(
    fraction: Floats, signal: Mask, background: Mask, *, events: int = 20
) -> tuple[Floats, Floats, Floats, float]:
    """Significance improvement characteristic, SIC = eff_S / sqrt(eff_B), by generator truth.

    Parameters
    ----------
    fraction
        Sideband efficiency at which each event is admitted, (events,).
    signal, background
        Masks, (events,).
    events
        Fewest background events that a cut must leave: below it the SIC is one of noise.

    Returns
    -------
    signal_efficiency, background_efficiency, sic : array of float, (cuts,)
    floor : float
        Smallest background efficiency of the curve.

    Raises
    ------
    SelectionError
        If there is no signal or too little background.
    """
    cuts = np.unique(fraction[signal | background])
    n_signal, n_background = np.count_nonzero(signal), np.count_nonzero(background)
    if not n_signal or n_background <= events:
        msg = f"sic_curve: expected signal and more than {events} background events, got {n_signal} and {n_background}"
        raise SelectionError(msg)
    eff_s = np.searchsorted(np.sort(fraction[signal]), cuts, side="right") / n_signal
    eff_b = np.searchsorted(np.sort(fraction[background]), cuts, side="right") / n_background
    floor = events / n_background
    keep = eff_b >= floor
    return eff_s[keep], eff_b[keep], eff_s[keep] / np.sqrt(eff_b[keep]), floor
