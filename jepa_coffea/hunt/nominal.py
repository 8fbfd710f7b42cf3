"""The nominal background estimate, by which the result is quoted, and the degree of the transfer factor.

Both are decided by pseudo-experiments without signal and by the events beside the window. The data's events in the
window, those that pass and those that fail, have no part in it but the one that they have in training the classifiers.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from jepa_coffea.bumphunt import counting_significance
from jepa_coffea.bumphunt.significance import Constraint
from jepa_coffea.hunt.config import HuntError, StatisticsConfig
from jepa_coffea.hunt.null import Corrected, Null, null_of
from jepa_coffea.hunt.selections import ESTIMATES, FUNCTION, SIDEBAND_EFFICIENCY, Estimate, Floats, Selection, unseen

LINE_TOLERANCE = 0.2
"""Mean Z without signal up to which the transfer factor stays a straight line."""


SIGNAL = 3.0
"""Signal with which the estimates are compared, in square roots of the background."""


def degree_of(line: Floats, parabola: Floats) -> int:
    """The degree of the transfer factor that suits a selection, from pseudo-experiments without signal alone.

    A straight line has about half of the parabola's error, and is biased where features are curved in the mass. The
    sidebands of one experiment cannot tell: a curvature that moves Z by 1 is hardly a standard deviation there, so that
    a test in each experiment leaves half of the bias and widens Z. The pseudo-experiments together can.

    Parameters
    ----------
    line, parabola
        Z with either, (experiments,); NaN for failed ones.

    Returns
    -------
    int
        1 if Z with the straight line is 0 on average within ``LINE_TOLERANCE`` or two of its errors, or is nearer to 0
        than with the parabola; otherwise 2.
    """
    try:
        straight, bent = null_of(line), null_of(parabola)
    except HuntError:
        return 1
    small = abs(straight.mean) <= max(LINE_TOLERANCE, 2 * straight.mean_error)
    return 1 if small or abs(straight.mean) <= abs(bent.mean) else 2


def with_degrees(selections: Sequence[Selection], null: Floats) -> tuple[list[Selection], Floats]:
    """Decide the degree of the transfer factor of each selection where it is open.

    Parameters
    ----------
    selections
        Of the data.
    null
        From :func:`~jepa_coffea.hunt.calibration.null_significances`.

    Returns
    -------
    selections : list of Selection
        With one sideband efficiency each.
    null : array of float, (experiments, estimates, selections)
        In the order of ``ESTIMATES``.
    """
    if null.shape[1] == len(ESTIMATES):
        return list(selections), null
    chosen = null[:, : len(ESTIMATES)].copy()
    place, decided = ESTIMATES.index(SIDEBAND_EFFICIENCY), []
    for number, selection in enumerate(selections):
        line, parabola = chosen[:, place, number], null[:, -1, number]
        degree = degree_of(line, parabola)
        if degree > 1:
            chosen[:, place, number] = parabola
        decided.append(selection.with_degree(degree))
    return decided, chosen


def bent_efficiencies(selections: Sequence[Selection], statistics: StatisticsConfig) -> list[str]:
    """Which transfer factors are parabolas because pseudo-experiments asked for it.

    Parameters
    ----------
    selections
        Of the data.
    statistics
        Whether the document fixes the degree.

    Returns
    -------
    list of str
        One sentence, or none.
    """
    bent = [one.label for one in selections if one.degree == 2]
    if statistics.transfer_factor != "auto" or not bent:
        return []
    where = "; ".join(bent)
    sentence = "is fitted with a parabola in mass: with a straight line, Z without signal would be biased."
    return [f"The sideband efficiency of {where} {sentence}"]


def expected_significances(
    selections: Sequence[Selection], corrected: Sequence[Mapping[str, Corrected | str]], statistics: StatisticsConfig
) -> dict[str, float]:
    """What a signal of ``SIGNAL`` square roots of the background would be worth by each estimate.

    Background and error are what the events beside the window let expect, see
    :func:`~jepa_coffea.hunt.selections.unseen`; mean and width of Z are those of the pseudo-experiments.

    Parameters
    ----------
    selections
        Of the data.
    corrected
        Of each selection, by estimate.
    statistics
        The background function, and the constraint of the background.

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
        expected = unseen(selection, statistics).estimates
        if any(estimate.problem for estimate in expected.values()):
            continue
        signal = SIGNAL * float(np.sqrt(selection.function.b))
        for name, null in nulls.items():
            found[name].append(expected_significance(expected[name], signal, statistics.constraint, null))
    return {name: float(np.mean(values)) for name, values in found.items() if values}


def expected_significance(estimate: Estimate, signal: float, constraint: Constraint, null: Null | None) -> float:
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
    """Choose the nominal estimate.

    Parameters
    ----------
    selections, corrected, statistics
        As for :func:`expected_significances`.

    Returns
    -------
    str
        What the document says; otherwise the estimate with the larger expected significance among those whose Z is 0
        on average without signal, or the only one that is calibrated; the function where none is.
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
    known = {name for of_selection in corrected for name, one in of_selection.items() if isinstance(one, Corrected)}
    alone = next((name for name in ESTIMATES if name in known - biased), FUNCTION)
    return max(expected, key=expected.__getitem__, default=alone)
