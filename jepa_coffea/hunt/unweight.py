"""Counts from simulated events of different weights.

Sums of different weights are not Poisson, and a classifier, a threshold or a pseudo-experiment that treats them as if
they were gives p-values that mean nothing. Hit or miss makes a sample of equal events with the same distribution: what
a smaller luminosity would have given, at the price of the events that are thrown away.
"""

import numpy as np
import numpy.typing as npt

from jepa_coffea.cwola.folds import salted, uniform
from jepa_coffea.cwola.sample import Sample
from jepa_coffea.hunt.config import HuntError


def hit_or_miss(sample: Sample, what: str, *, allowed: bool, seed: int) -> tuple[npt.NDArray[np.bool_], str]:
    """Keep each event with the probability of its weight over the largest.

    Parameters
    ----------
    sample
        The events.
    what
        What they are, for messages.
    allowed
        Whether events may be left out.
    seed
        Decides, with the identity of an event, whether it is kept.

    Returns
    -------
    kept : array of bool, (events,)
        All where all weights are the same.
    note : str
        What is to be said about it; empty where all are kept.

    Raises
    ------
    HuntError
        If weights differ and ``allowed`` is not set.
    """
    weights = sample.weights
    if not len(weights) or np.ptp(weights) == 0:
        return np.ones(len(weights), bool), ""
    largest = float(weights.max())
    if not allowed:
        msg = (
            f"hunt: {what} have weights from {weights.min():g} to {largest:g}; sums of different weights are not "
            "Poisson counts and no p-value of them can be believed. Set input.unweight to keep each event with a "
            f"probability of its weight over the largest ({weights.sum() / largest:.0f} of {len(weights)} would be "
            "left)"
        )
        raise HuntError(msg)
    kept = uniform(salted(sample.hashes, "unweight", seed)) * largest < weights
    number = int(np.count_nonzero(kept))
    return kept, (
        f"Of {len(weights)} weighted {what} {number} are kept by hit or miss and count as one each: the weights "
        f"describe {weights.sum() / max(number, 1):.3g} times as many."
    )
