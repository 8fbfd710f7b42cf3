"""Pictures of a classifier: ROC curves, confusion matrix, calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jepa_coffea.files import replacing
from training.loop.metrics import BACKGROUND, Floats, Ints, discriminant, only_present

COLOURS = ("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd")
"""Ten colours that stay apart for colour-blind readers (Petroff, arXiv:2107.02270)."""

DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (1.2, 1.2)), (0, (8, 2, 1, 2, 1, 2)))
"""Lines that go with the colours, so that curves are told apart in grey."""

MARKERS = ("o", "s", "^", "D", "v")


def look(number: int) -> dict[str, Any]:
    """Colour and dashes of a curve.

    Parameters
    ----------
    number
        Of the curve, from 0.

    Returns
    -------
    dict
        Arguments of matplotlib's ``plot``.
    """
    return {"color": COLOURS[number % len(COLOURS)], "linestyle": DASHES[number % len(DASHES)]}


def say_simulation(axes: Axes) -> None:
    """Say above a picture, on the left, that its jets are simulated: those with labels are.

    Parameters
    ----------
    axes
        The first ones of the picture.
    """
    axes.set_title("Simulation", loc="left", style="italic")


def write(figure: Figure, path: Path) -> None:
    """Write a picture, and a PDF of it for papers and slides beside it.

    Parameters
    ----------
    figure
        The picture.
    path
        Of the PNG.
    """
    for form in ("png", "pdf"):
        with replacing(path.with_suffix(f".{form}")) as temporary:
            figure.savefig(temporary, format=form, dpi=140)


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
        axes.plot(signal[seen], 1 / fake[seen], **look(number), label=name)
    axes.set(yscale="log", xlim=(0, 1))
    # Room for the legend above the curves.
    axes.set_ylim(1, axes.get_ylim()[1] ** 1.4)
    axes.set(xlabel="signal efficiency", ylabel=f"{background} rejection, 1 / efficiency")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, ncols=3, loc="upper right")


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
    say_simulation(axes[0])
    write(figure, path)
