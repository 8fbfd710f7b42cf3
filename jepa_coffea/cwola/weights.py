"""Training weights: the balance of window and sidebands; sidebands made to look like the window in given variables."""

import numpy as np
import numpy.typing as npt

from jepa_coffea.cwola.windows import HIGH, LOW, WINDOW
from jepa_coffea.errors import JepaCoffeaError

Floats = npt.NDArray[np.float64]

# Each side of the window weighs the same however many events it has, so that "low against high" teaches nothing.
SHARES = {LOW: 0.25, WINDOW: 0.5, HIGH: 0.25}
NAMES = {LOW: "low sideband", WINDOW: "window", HIGH: "high sideband"}


class WeightError(JepaCoffeaError, ValueError):
    """Event weights with which a classifier cannot be trained."""


class EmptyRegionError(JepaCoffeaError, ValueError):
    """A window or a sideband with too few events."""


def check_weights(weights: Floats) -> None:
    """Check that all weights are finite and none is negative.

    Parameters
    ----------
    weights
        Event weights, (events,).

    Raises
    ------
    WeightError
        If they are not.
    """
    if not np.isfinite(weights).all():
        msg = f"weights: {np.count_nonzero(~np.isfinite(weights))} of {len(weights)} are not finite"
        raise WeightError(msg)
    if (weights < 0).any():
        msg = (
            f"weights: {np.count_nonzero(weights < 0)} of {len(weights)} are negative (least {weights.min():g}); a "
            "classifier of window against sidebands needs counts. Take data, or unweight the simulation first"
        )
        raise WeightError(msg)


def balanced(region: npt.NDArray[np.int8], weights: Floats) -> Floats:
    """Weights whose sums are 1/4, 1/2, 1/4 of the number of events in low sideband, window, high sideband.

    The balance of Collins, Howe, Nachman (arXiv:1805.02664): both sidebands together weigh what the window does.

    Parameters
    ----------
    region
        LOW, WINDOW or HIGH for each event, (events,).
    weights
        Event weights to keep inside each region, (events,).

    Returns
    -------
    array of float, (events,)

    Raises
    ------
    WeightError
        If weights are negative or not finite.
    EmptyRegionError
        If a region has no weight.
    """
    check_weights(weights)
    result = np.zeros(len(region))
    for code, share in SHARES.items():
        here = region == code
        total = weights[here].sum()
        if total <= 0:
            msg = f"balanced: the {NAMES[code]} has no events with weight; widen it or take more data"
            raise EmptyRegionError(msg)
        result[here] = weights[here] * (share * len(region) / total)
    return result


def match_to_window(
    variables: Floats, region: npt.NDArray[np.int8], weights: Floats, *, bins: int = 20, rounds: int = 5
) -> Floats:
    """Weights with which each variable is distributed in each sideband as in the window.

    Without them a classifier that sees momenta, or anything that follows them, learns the mass from them. Window
    weights are unchanged. A bin where a sideband has no event cannot be matched and is left out of the sum.

    Parameters
    ----------
    variables
        What to match, such as jet pT, (events, variables).
    region
        LOW, WINDOW or HIGH for each event, (events,).
    weights
        Event weights to start from, (events,).
    bins
        Quantile bins of the window's distribution.
    rounds
        Sweeps over the variables; each sweep matches the one-dimensional distributions in turn (iterative proportional
        fitting, Deming and Stephan 1940).

    Returns
    -------
    array of float, (events,)
    """
    result = weights.astype(float).copy()
    window = region == WINDOW
    for _ in range(rounds):
        for values in variables.T:
            inner = np.quantile(values[window], np.linspace(0, 1, bins + 1)[1:-1])
            place = np.searchsorted(inner, values)
            goal = np.bincount(place[window], weights[window], minlength=bins) / weights[window].sum()
            for code in (LOW, HIGH):
                here = region == code
                now = np.bincount(place[here], result[here], minlength=bins)
                ratio = np.divide(goal, now / now.sum(), out=np.zeros(bins), where=now > 0)
                result[here] *= ratio[place[here]]
    return result
