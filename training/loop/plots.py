"""Pictures of a classifier: ROC curves, confusion matrix, calibration; and the curve of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.loop.metrics import BACKGROUND, Floats, Ints, discriminant, only_present

COLOURS = mpl.colormaps["tab10"].colors  # type: ignore[attr-defined]


def roc_curve(signal: Floats, background: Floats) -> tuple[Floats, Floats]:
    """ROC curve at 200 signal efficiencies.

    Parameters
    ----------
    signal, background
        Scores of signal and of background jets.

    Returns
    -------
    tuple of ndarray
        Signal efficiency, and background efficiency at the thresholds that keep it.
    """
    efficiency = np.linspace(0.01, 1, 200)
    ordered = np.sort(signal)[::-1]
    thresholds = ordered[np.ceil(efficiency * len(ordered)).astype(int) - 1]
    below = np.searchsorted(np.sort(background), thresholds, side="left")
    return efficiency, (len(background) - below) / len(background)


def draw_roc(
    axes: Axes, probabilities: Floats, labels: Ints, classes: Sequence[str], background: str = BACKGROUND
) -> None:
    """Background rejection against signal efficiency, a curve for each class.

    Parameters
    ----------
    axes
        Where to draw.
    probabilities
        [jet, class].
    labels
        [jet].
    classes
        Names of the classes.
    background
        Class that rejections are of.
    """
    b = classes.index(background)
    for number, (s, name) in enumerate((s, name) for s, name in enumerate(classes) if s != b):
        score = discriminant(probabilities, s, b)
        signal, fake = roc_curve(score[labels == s], score[labels == b])
        seen = fake > 0
        axes.plot(signal[seen], 1 / fake[seen], color=COLOURS[number % 10], label=name)
    axes.set(yscale="log", xlim=(0, 1), ylim=(1, None))
    axes.set(xlabel="signal efficiency", ylabel=f"{background} rejection, 1 / efficiency")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, ncols=2)


def draw_confusion(axes: Axes, table: Sequence[Sequence[float]], classes: Sequence[str]) -> None:
    """Fraction of each true class that is called each class.

    Parameters
    ----------
    axes
        Where to draw.
    table
        [true class, predicted class].
    classes
        Names of the classes.
    """
    axes.imshow(table, vmin=0, vmax=1, cmap="Blues")
    for row, values in enumerate(table):
        for column, value in enumerate(values):
            shade = "white" if value > 0.5 else "black"
            axes.text(column, row, f"{100 * value:.0f}", ha="center", va="center", color=shade, fontsize=8)
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right")
    axes.set_yticks(range(len(classes)), classes)
    axes.set(xlabel="called", ylabel="true", title="% of the true class")


def draw_calibration(axes: Axes, result: Mapping[str, Any]) -> None:
    """How often the most probable class is right, against the probability it was given.

    Parameters
    ----------
    axes
        Where to draw.
    result
        What :func:`training.loop.metrics.calibration` gave.
    """
    axes.plot([0, 1], [0, 1], color="grey", ls="--", lw=1)
    axes.plot(result["confidence"], result["accuracy"], marker="o", ms=4)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="probability of the most probable class", ylabel="how often it is right")
    axes.set_title(f"expected calibration error {result['expected_calibration_error']:.3f}")
    axes.grid(alpha=0.3)


def classifier_figure(
    probabilities: Floats, labels: Ints, result: Mapping[str, Any], path: Path, background: str = BACKGROUND
) -> None:
    """ROC curves, confusion matrix and calibration side by side, of the classes that have jets.

    Parameters
    ----------
    probabilities
        [jet, class].
    labels
        [jet].
    result
        What :func:`training.loop.metrics.classification_metrics` gave.
    path
        The picture to write.
    background
        Class that rejections are of.
    """
    classes = list(result["classes"])
    probabilities, labels, _ = only_present(probabilities, labels)
    panels = 3 if background in classes else 2
    figure = Figure(figsize=(5.5 * panels, 5), layout="constrained")
    axes = figure.subplots(1, panels)
    if background in classes:
        draw_roc(axes[0], probabilities, labels, classes, background)
    draw_confusion(axes[-2], result["confusion"], classes)
    draw_calibration(axes[-1], result["calibration"])
    figure.suptitle(f"accuracy {result['accuracy']:.3f}, AUC {result['auc']:.4f}, {result['jets']} jets")
    figure.savefig(path, dpi=130)
