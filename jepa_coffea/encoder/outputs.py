"""Logits to class probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Class probabilities [jet, class].

    Parameters
    ----------
    logits
        [jet, class].

    Returns
    -------
    numpy.ndarray
        float32, [jet, class].
    """
    powers = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    return powers / powers.sum(axis=1, keepdims=True)
