"""Which background estimate the result is by, decided without looking at the window."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from jepa_coffea.bumphunt import counting_significance
from jepa_coffea.hunt.null import Corrected, Null
from jepa_coffea.hunt.sections import StatisticsConfig
from jepa_coffea.hunt.selections import ESTIMATES, FUNCTION, Estimate, Selection

SIGNAL = 3.0
"""Signal with which the estimates are compared, in square roots of the background."""


def expected_significances(
    selections: Sequence[Selection], corrected: Sequence[Mapping[str, Corrected | str]], statistics: StatisticsConfig
) -> dict[str, float]:
    """What a signal of ``SIGNAL`` square roots of the background would be worth by each estimate.

    Background and error are those beside the window, mean and width of Z those of the pseudo-experiments; the number of
    selected events in the window does not enter.

    Parameters
    ----------
    selections
        Of the data.
    corrected
        Of each selection, by estimate.
    statistics
        The constraint of the background.

    Returns
    -------
    dict
        Estimate to the mean corrected Z over the selections that both estimates are calibrated for; empty for none.
    """
    found: dict[str, list[float]] = {name: [] for name in ESTIMATES}
    for selection, of_selection in zip(selections, corrected, strict=True):
        nulls = {name: one.null for name, one in of_selection.items() if isinstance(one, Corrected)}
        if len(nulls) < len(ESTIMATES):
            continue
        signal = SIGNAL * float(np.sqrt(selection.function.b))
        for name, null in nulls.items():
            estimate = selection.estimates[name]
            found[name].append(expected_significance(estimate, signal, statistics.constraint, null))
    return {name: float(np.mean(values)) for name, values in found.items() if values}


def expected_significance(
    estimate: Estimate, signal: float, constraint: Literal["poisson", "gaussian"], null: Null | None
) -> float:
    """What a signal would be worth, from the background alone.

    Parameters
    ----------
    estimate
        The background and its error.
    signal
        Events in the window.
    constraint
        Of the background.
    null
        Of the same selection and estimate; without one Z is as counted.

    Returns
    -------
    float
    """
    z = float(counting_significance(estimate.b + signal, estimate.b, estimate.sigma_b, constraint))
    return z if null is None else float(null.corrected(z))


def preferred(
    selections: Sequence[Selection], corrected: Sequence[Mapping[str, Corrected | str]], statistics: StatisticsConfig
) -> str:
    """The background estimate of the result.

    Parameters
    ----------
    selections, corrected, statistics
        As for :func:`expected_significances`.

    Returns
    -------
    str
        What the document says; otherwise the estimate with the larger expected significance among those whose Z is 0
        on average without signal, or the function where none is.
    """
    if statistics.background is not None:
        return statistics.background
    biased = {
        name
        for of_selection in corrected
        for name, one in of_selection.items()
        if isinstance(one, Corrected) and not one.null.is_centred
    }
    expected = expected_significances(selections, corrected, statistics)
    expected = {name: value for name, value in expected.items() if name not in biased}
    return max(expected, key=expected.__getitem__, default=FUNCTION)
