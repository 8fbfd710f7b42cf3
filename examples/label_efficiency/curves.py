"""From the judged points to curves with bands: numbers, a table and a figure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jepa_coffea.files import write_text
from training.loop.plots import MARKERS, look, say_simulation, write
from training.studies.results import mean_and_spread

QUANTITIES = {"accuracy": "accuracy", "auc": "AUC", "rejection": "background rejection"}
"""Name in the results to label in figure and table."""

WORDS = (
    (r"boosting", "trees on variables"),
    (r"boosting-(.+)", r"trees on variables and \1"),
    (r"scratch-seen(.*)", r"network from scratch\1"),
    (r"scratch-blind(.*)", r"network from scratch, scale withheld\1"),
    (r"(.+)-finetune(.*)", r"\1, fine-tuned\2"),
    (r"(.+)-freeze(.*)", r"\1, frozen, trained head\2"),
    (r"(.+)-logistic-blind", r"\1, frozen, scale withheld"),
    (r"(.+)-logistic", r"\1, frozen"),
)
"""Name of a curve to what the legend says."""


def legend(curve: str) -> str:
    """What a curve is, in words.

    >>> legend("pjepa-logistic-blind")
    'pjepa, frozen, scale withheld'

    Parameters
    ----------
    curve
        Its name in the results.

    Returns
    -------
    str
        The name as it is where it is none of this study.
    """
    for pattern, words in WORDS:
        if re.fullmatch(pattern, curve):
            return re.sub(pattern, words, curve).replace("-variables", ", variables beside it")
    return curve


def judged(output: Path) -> list[dict[str, Any]]:
    """Every point that has been judged.

    Parameters
    ----------
    output
        Folder of the study.

    Returns
    -------
    list of dict
        ``curve``, ``labels`` (of each class, or ``all``), ``draw``, ``pretraining``, ``jets`` judged on, ``accuracy``,
        ``auc``, ``rejections`` of each class, and ``rejection``, the geometric mean of them.
    """
    points = []
    for path in sorted((output / "runs").glob("*/*/draw*-run*/evaluation.json")):
        found = json.loads(path.read_text())
        draw, run = (
            part.removeprefix(word) for part, word in zip(path.parent.name.split("-"), ("draw", "run"), strict=True)
        )
        rejections = {name: row["rejection"] for name, row in found["rejection"].items()}
        finite = [value for value in rejections.values() if value]
        points.append(
            {
                "curve": path.parents[2].name,
                "labels": path.parents[1].name,
                "draw": int(draw),
                "pretraining": int(run),
                "jets": found["jets"],
                "accuracy": found["accuracy"],
                "auc": found["auc"],
                "rejection": float(np.exp(np.mean(np.log(finite)))) if finite else None,
                "rejections": rejections,
            }
        )
    return points


def curves_of(points: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Mean and spread over draws and pretrainings.

    Parameters
    ----------
    points
        What :func:`judged` gives.

    Returns
    -------
    dict
        Curve to labels to ``trainings`` and, by quantity, mean and standard deviation (n - 1).
    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for curve in sorted({point["curve"] for point in points}):
        own = [point for point in points if point["curve"] == curve]
        for labels in sorted({point["labels"] for point in own}, key=_number):
            here = [point for point in own if point["labels"] == labels]
            row: dict[str, Any] = {"trainings": len(here)}
            for name in QUANTITIES:
                values = [point[name] for point in here if point[name] is not None]
                row[name] = mean_and_spread(values) if values else None
            found.setdefault(curve, {})[labels] = row
    return found


def _number(labels: str) -> float:
    return float("inf") if labels == "all" else float(labels)


def table_of(curves: Mapping[str, Mapping[str, Mapping[str, Any]]], quantity: str = "accuracy") -> str:
    """A table in Markdown: one curve per row, one number of labels per column.

    Parameters
    ----------
    curves
        What :func:`curves_of` gives.
    quantity
        One of ``QUANTITIES``.

    Returns
    -------
    str
    """
    labels = sorted({name for rows in curves.values() for name in rows}, key=_number)
    digits = 1 if quantity == "rejection" else 3
    lines = [f"| {QUANTITIES[quantity]}, labels per class: | {' | '.join(labels)} |", "|---" * (len(labels) + 1) + "|"]
    for curve, rows in curves.items():
        cells = []
        for name in labels:
            value = rows.get(name, {}).get(quantity)
            count = rows.get(name, {}).get("trainings", 0)
            spread = f" +- {value[1]:.{digits}f}" if value and count > 1 else ""
            cells.append(f"{value[0]:.{digits}f}{spread}" if value else "")
        lines.append(f"| {curve} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def draw(curves: Mapping[str, Mapping[str, Mapping[str, Any]]], path: Path) -> None:
    """Accuracy, AUC and rejection against labels; bands are one standard deviation of single trainings.

    A PDF is written beside the picture.

    Parameters
    ----------
    curves
        What :func:`curves_of` gives.
    path
        The picture.
    """
    figure = Figure(figsize=(16, 5.6), layout="constrained")
    axes = figure.subplots(1, 3)
    every = sorted({name for rows in curves.values() for name in rows}, key=_number)
    places = {name: float(name) for name in every if name != "all"}
    places["all"] = 3 * max(places.values(), default=1.0)
    for number, (curve, rows) in enumerate(curves.items()):
        for ax, quantity in zip(axes, QUANTITIES, strict=True):
            known = [(places[name], *row[quantity]) for name, row in rows.items() if row[quantity]]
            if not known:
                continue
            x, mean, spread = (np.array(values) for values in zip(*known, strict=True))
            marker = MARKERS[(number + number // len(MARKERS)) % len(MARKERS)]  # dashes come again as soon
            ax.plot(x, mean, marker=marker, markersize=5, label=legend(curve), **look(number))
            ax.fill_between(x, mean - spread, mean + spread, color=look(number)["color"], alpha=0.15, linewidth=0)
    for ax, label in zip(axes, QUANTITIES.values(), strict=True):
        ax.set(xscale="log", xlabel="labelled jets of each class", ylabel=label)
        ax.set_xticks([places[name] for name in every], every)
        ax.minorticks_off()
        ax.grid(alpha=0.3)
    axes[2].set_yscale("log")
    say_simulation(axes[0])
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    write(figure, path)


def report(output: Path) -> str:
    """Write ``results.json``, ``results.md`` and ``label_efficiency.png`` of what is judged so far.

    Parameters
    ----------
    output
        Folder of the study.

    Returns
    -------
    str
        The tables.
    """
    points = judged(output)
    curves = curves_of(points)
    text = "\n".join(table_of(curves, quantity) for quantity in QUANTITIES)
    write_text(output / "results.json", json.dumps({"curves": curves, "points": points}, indent=1) + "\n")
    write_text(output / "results.md", text)
    draw(curves, output / "label_efficiency.png")
    return text
