"""Metrics of a jet classifier, as published for JetClass (arXiv 2202.03772)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

BACKGROUND = "QCD"

WORKING_POINTS = {"Hqql": 0.99, "Tbl": 0.995}
"""Signal efficiency at which rejection is quoted; 0.5 for every other class."""

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]


def softmax(logits: Floats) -> Floats:
    """Probabilities from logits.

    Parameters
    ----------
    logits
        [jet, class].

    Returns
    -------
    ndarray
        float64 [jet, class].
    """
    shifted = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    return np.asarray(shifted / shifted.sum(1, keepdims=True))


def auc(probabilities: Floats, labels: Ints) -> float:
    """Area under the ROC curve.

    Parameters
    ----------
    probabilities
        [jet, class].
    labels
        [jet]; each class has a jet.

    Returns
    -------
    float
        Of class 1 for two classes, else the mean over pairs of classes (one against one).
    """
    if probabilities.shape[1] == 2:
        return float(roc_auc_score(labels, probabilities[:, 1]))
    return float(roc_auc_score(labels, probabilities, multi_class="ovo", average="macro"))


def only_present(probabilities: Floats, labels: Ints) -> tuple[Floats, Ints, Ints]:
    """Leave out classes without a jet.

    Parameters
    ----------
    probabilities
        [jet, class].
    labels
        [jet].

    Returns
    -------
    tuple of ndarray
        Probabilities among the classes that have a jet, labels that index these, and which classes they are.
    """
    present, renumbered = np.unique(labels, return_inverse=True)
    kept = probabilities[:, present]
    total = kept.sum(1, keepdims=True)
    return np.divide(kept, total, out=np.full_like(kept, 1 / len(present)), where=total > 0), renumbered, present


def discriminant(probabilities: Floats, signal: int, background: int) -> Floats:
    """p_S / (p_S + p_B).

    Parameters
    ----------
    probabilities
        [jet, class].
    signal, background
        Numbers of the two classes.

    Returns
    -------
    ndarray
        [jet], in [0, 1]; 0.5 for a jet that is neither.
    """
    s, b = probabilities[:, signal], probabilities[:, background]
    total = s + b
    return np.divide(s, total, out=np.full_like(total, 0.5), where=total > 0)


def rejection(signal: Floats, background: Floats, efficiency: float) -> tuple[float, float]:
    """Background rejection 1 / eps_B at a signal efficiency.

    Parameters
    ----------
    signal, background
        Scores of signal and of background jets.
    efficiency
        The threshold keeps at least this fraction of the signal jets.

    Returns
    -------
    tuple of float
        The rejection, and its statistical uncertainty, rejection / sqrt(passing).
        When no background jet passes, the rejection is only bounded: ``(inf, inf)``.
    """
    ordered = np.sort(signal)[::-1]
    threshold = ordered[int(np.ceil(efficiency * len(ordered))) - 1]
    passing = int((background >= threshold).sum())
    if passing == 0:
        return float("inf"), float("inf")
    value = len(background) / passing
    return value, value / np.sqrt(passing)


def calibration(probabilities: Floats, labels: Ints, bins: int = 15) -> dict[str, Any]:
    """Reliability of the most probable class in bins of its probability, and the expected calibration error.

    Source: Guo et al., arXiv 1706.04599: ECE = sum over bins of (jets in bin / jets) |accuracy - confidence|.

    Parameters
    ----------
    probabilities
        [jet, class].
    labels
        [jet].
    bins
        Bins of the probability of the most probable class.

    Returns
    -------
    dict
        ``expected_calibration_error``, and of each bin with jets ``confidence``, ``accuracy`` and ``jets``.
    """
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    counts = np.bincount(which, minlength=bins)
    filled = counts > 0
    mean = np.bincount(which, confidence, bins)[filled] / counts[filled]
    accuracy = np.bincount(which, right, bins)[filled] / counts[filled]
    error = float((counts[filled] / len(labels) * np.abs(accuracy - mean)).sum())
    return {
        "expected_calibration_error": error,
        "confidence": mean.tolist(),
        "accuracy": accuracy.tolist(),
        "jets": counts[filled].tolist(),
    }


def confusion(probabilities: Floats, labels: Ints) -> Floats:
    """Confusion matrix.

    Parameters
    ----------
    probabilities
        [jet, class].
    labels
        [jet].

    Returns
    -------
    ndarray
        [true class, predicted class], each row adding up to 1 (0 for a class without jets).
    """
    classes = probabilities.shape[1]
    counts = np.zeros((classes, classes))
    np.add.at(counts, (labels, probabilities.argmax(1)), 1.0)
    return np.asarray(counts / np.maximum(counts.sum(1, keepdims=True), 1))


def classification_metrics(
    probabilities: Floats, labels: Ints, classes: Sequence[str], background: str = BACKGROUND
) -> dict[str, Any]:
    """Every number of the published tables.

    Parameters
    ----------
    probabilities
        [jet, class].
    labels
        [jet].
    classes
        Names of the classes; those without a jet are left out, and named as ``absent``.
    background
        Class that rejections are of; without such a class there are none.

    Returns
    -------
    dict
        Ready for JSON; an unbounded rejection is None.
    """
    absent = [name for i, name in enumerate(classes) if not (labels == i).any()]
    probabilities, labels, present = only_present(probabilities, labels)
    classes = [classes[i] for i in present]
    rejections = {}
    if background in classes:
        b = classes.index(background)
        for s, name in enumerate(classes):
            if s == b:
                continue
            score = discriminant(probabilities, s, b)
            efficiency = WORKING_POINTS.get(name, 0.5)
            value, error = rejection(score[labels == s], score[labels == b], efficiency)
            bounded = np.isfinite(value)
            rejections[name] = {
                "signal_efficiency": efficiency,
                "rejection": value if bounded else None,
                "uncertainty": error if bounded else None,
            }
    return {
        "jets": len(labels),
        "classes": classes,
        "absent": absent,
        "accuracy": float((probabilities.argmax(1) == labels).mean()),
        "auc": auc(probabilities, labels),
        "rejection": rejections,
        "confusion": confusion(probabilities, labels).tolist(),
        "calibration": calibration(probabilities, labels),
    }
