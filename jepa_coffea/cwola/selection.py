"""From out-of-fold scores to selected events, and the figures of merit of a selection."""

import numpy as np
import numpy.typing as npt

from jepa_coffea.errors import JepaCoffeaError

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


class SelectionError(JepaCoffeaError, ValueError):
    """An efficiency that the held-out sidebands cannot define."""


def sideband_fraction(scores: Floats, sideband: Mask, weights: Floats, ties: Floats) -> Floats:
    """For each event of one fold, the smallest sideband efficiency whose threshold admits it: (events,), in (0, 1].

    Args:
        scores: the fold's scores by a classifier that was not trained on it, shape (events,).
        sideband: which of these events are sideband events; they define the thresholds.
        weights: event weights.
        ties: label-free numbers in [0, 1) that order events of equal score (trees give many).

    A cut ``fraction <= efficiency`` is the cut at the held-out sideband quantile, and, unlike scores, fractions of
    different folds and windows may be pooled. A sideband event has the summed weight of sideband events at or above it;
    any other event has that of the next sideband event below it. With n sideband events, k of them above the cut, an
    event from the sidebands' distribution passes with probability k / (n + 1), whatever the distribution.

    Raises:
        SelectionError: no sideband events.
    """
    if not sideband.any():
        msg = "sideband_fraction: a fold has no sideband events to set thresholds with; use fewer folds or more data"
        raise SelectionError(msg)
    order = np.lexsort((ties, -scores))
    in_order = sideband[order]
    cumulative = np.cumsum(np.where(in_order, weights[order], 0.0))
    places = np.flatnonzero(in_order)
    levels = cumulative[places] / cumulative[-1]
    following = np.searchsorted(places, np.arange(len(order)))
    fraction = np.empty(len(order))
    fraction[order] = np.append(levels, 1.0)[following]
    return fraction


def check_efficiency(efficiency: float, sideband_events: int) -> None:
    """Raise SelectionError unless the efficiency leaves at least one of a fold's sideband events."""
    if not 0 < efficiency <= 1:
        msg = f"efficiency: expected a number in (0, 1], got {efficiency:g}"
        raise SelectionError(msg)
    if efficiency * sideband_events < 1:
        msg = (
            f"efficiency {efficiency:g}: a fold has {sideband_events} sideband events, fewer than the "
            f"{int(np.ceil(1 / efficiency))} that define a threshold; use fewer folds, more data or a larger efficiency"
        )
        raise SelectionError(msg)


def argos(fraction: Floats, window: Mask, sideband: Mask, *, floor: float = 1e-3, events: int = 20) -> float:
    """ARGOS of a weak classifier: max over cuts of eff_window / sqrt(eff_sideband) - sqrt(eff_sideband).

    It needs no truth. Zero for a classifier that sees no difference; see arXiv:2511.14832. Cuts below ``floor`` or
    with fewer than ``events`` sideband events are not looked at: there the maximum is one of noise.
    """
    cuts = np.sort(fraction[sideband])
    cuts = cuts[max(events, int(np.ceil(floor * len(cuts)))) - 1 :]
    if not len(cuts) or not window.any():
        msg = f"argos: expected {events} sideband events and one in the window, got {np.count_nonzero(sideband)}"
        raise SelectionError(msg)
    efficiency = np.searchsorted(np.sort(fraction[window]), cuts, side="right") / np.count_nonzero(window)
    return float((efficiency / np.sqrt(cuts) - np.sqrt(cuts)).max())


def auc(scores: Floats, positive: Mask, negative: Mask) -> tuple[float, float]:
    """Area under the ROC curve of ``positive`` against ``negative`` events, and its standard error for equal samples.

    The error is that of the Mann-Whitney statistic under equality, sqrt((n + m + 1) / (12 n m)).
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
    """Signal and background efficiencies, SIC = eff_S / sqrt(eff_B), and the floor on eff_B; shapes (cuts,).

    The curve stops at the floor, where ``events`` background events are left: below it the SIC is one of noise.
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
