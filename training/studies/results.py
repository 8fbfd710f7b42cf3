"""What a study found: who did best, as a table, as a picture, and for the card of the winner."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from training.loop.metrics_log import read_metrics
from training.loop.plots import COLOURS, look, say_simulation, write
from training.studies.jobs import PretrainingStudy, read_status

OBJECTIVES: dict[str, list[str]] = {
    "jepa": ["objective.weights.observables=0"],
    "observables": [f"objective.weights.{part}=0" for part in ("particle", "jet", "agreement", "identity")],
    "both": [],
}
"""Name of a pretraining to what it changes in the configuration."""


def validation_accuracy(study: PretrainingStudy, plan: str) -> tuple[float, float]:
    """Accuracy on validation jets at the lowest validation loss.

    Parameters
    ----------
    study
        What is compared.
    plan
        Encoder and mode, as in ``both-freeze``.

    Returns
    -------
    tuple of float
        Mean and standard deviation over seeds.
    """
    best = []
    for seed in study.seeds:
        lines = [line for line in read_metrics(study.classifier(plan, seed)) if "val_loss" in line]
        best.append(min(lines, key=lambda line: line["val_loss"])["val_accuracy"])
    return mean_and_spread(best)


def mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean of several results and their standard deviation, that of the population they are from (n - 1).

    Parameters
    ----------
    values
        One for each draw.

    Returns
    -------
    tuple of float
        The deviation of one value is given as 0: it says nothing.
    """
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def rows(result: Mapping[str, Any]) -> list[tuple[str, str, list[float], list[float]]]:
    """What each encoder reached.

    Parameters
    ----------
    result
        What ``study.json`` holds.

    Returns
    -------
    list of tuple
        Encoder, what was done with it, test accuracy and AUC (each mean and spread), best last.
    """
    found = []
    for plan, values in result["test"].items():
        name, mode = plan.split("-")
        label = "none: from scratch" if mode == "scratch" else name
        found.append((label, mode, values["accuracy"], values["auc"]))
    boosting = result["probes"]["both"]["boosting"]
    if boosting:
        found.append(
            ("none: gradient boosting on high-level variables", "", [boosting["accuracy"], 0], [boosting["auc"], 0])
        )
    return sorted(found, key=lambda row: row[2][0])


def reached(result: Mapping[str, Any]) -> dict[str, Any]:
    """What the winner reaches on the test jets beside what it has to beat, for its card: ``export.py --results``.

    Parameters
    ----------
    result
        What ``study.json`` holds.

    Returns
    -------
    dict
    """
    plans = {
        "fine-tuned": f"{result['winner']}-finetune",
        "frozen": f"{result['winner']}-freeze",
        "same architecture from scratch": "random-scratch",
        "frozen random encoder": "random-freeze",
    }
    scores = {
        label: dict(
            zip(("accuracy", "accuracy_spread", "auc", "auc_spread"), [*test["accuracy"], *test["auc"]], strict=True)
        )
        for label, test in ((label, result["test"][plan]) for label, plan in plans.items())
    }
    boosting = result["probes"][result["winner"]]["boosting"]
    about = {name: result[name] for name in ("test_jets", "labels_per_class", "seeds")}
    return about | scores | ({"gradient boosting on high-level variables": boosting} if boosting else {})


def table(study: PretrainingStudy, result: Mapping[str, Any]) -> str:
    """The results as Markdown.

    Parameters
    ----------
    study
        What is compared.
    result
        What ``study.json`` holds.

    Returns
    -------
    str
    """
    lines = [
        f"# {study.labels} labels per class, {len(study.seeds)} seeds, {result['test_jets']} test jets",
        "",
        f"Trainings {study.jobs} at a time on {result['device']}.",
        f"Chosen on validation jets: **{result['winner']}**.",
        "",
        "| pretraining | then | accuracy | AUC |",
        "|---|---|---|---|",
    ]
    for label, mode, (accuracy, da), (auc, du) in rows(result):
        lines.append(f"| {label} | {mode} | {accuracy:.4f} +- {da:.4f} | {auc:.4f} +- {du:.4f} |")
    head = ["pretraining", "steps", "jets", "processor minutes", "linear probe", "kNN probe"]
    lines += ["", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, probe in result["probes"].items():
        run = result["pretraining"][name]
        numbers = [f"{probe['encoder'][kind]['accuracy']:.4f}" for kind in ("linear", "knn")]
        cells = [name, str(run["steps"]), f"{run['jets']:,}", f"{run['processor_minutes']:.1f}", *numbers]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def draw(study: PretrainingStudy, result: Mapping[str, Any]) -> None:
    """Draw what frozen and fine-tuned encoders reach, and how probe and RankMe went during pretraining.

    Parameters
    ----------
    study
        What is compared; the picture is ``study.png`` in its folder.
    result
        What ``study.json`` holds.
    """
    figure = Figure(figsize=(15, 4.5), layout="constrained")
    bars, probe, rank = figure.subplots(1, 3)
    found = rows(result)
    for at, (_, mode, (accuracy, spread), _) in enumerate(found):
        colour = {"finetune": COLOURS[0], "freeze": COLOURS[1], "scratch": COLOURS[3], "": "0.5"}[mode]
        bars.barh(at, accuracy, xerr=spread, color=colour)
    names = [label if label.startswith("none") else f"{label}, {mode}" for label, mode, *_ in found]
    bars.set_yticks(range(len(found)), names)
    bars.set_xlabel(f"test accuracy, {study.labels} labels per class")
    for number, name in enumerate(OBJECTIVES):
        lines = read_metrics(study.output / name)
        for axes, key in ((probe, "probe_linear_accuracy"), (rank, "rankme")):
            seen = [(line["step"] / lines[-1]["step"], line[key]) for line in lines if key in line]
            if seen:
                axes.plot(*zip(*seen, strict=True), marker="o", markersize=3, label=name, **look(number))
    for key, style, name in (
        ("probe_random_linear_accuracy", ":", "random encoder"),
        ("probe_boosting_accuracy", "--", "gradient boosting"),
    ):
        level = next((line[key] for line in lines if key in line), None)
        if level is not None:
            probe.axhline(level, color="0.4", linestyle=style, label=name)
    probe.set(
        xlabel="part of the pretraining",
        ylabel="accuracy of the linear probe, validation",
        title="frozen encoder while it learns",
    )
    rank.set(xlabel="part of the pretraining", ylabel="RankMe", title="effective dimensions")
    for axes in (probe, rank):
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    say_simulation(bars)
    write(figure, study.output / "study.png")


def pretraining_of(run: Path) -> dict[str, float]:
    """What a pretraining took.

    Parameters
    ----------
    run
        The run folder.

    Returns
    -------
    dict
        ``steps``, ``jets``, ``processor_minutes`` and the last ``loss``.
    """
    lines = [line for line in read_metrics(run) if "loss" in line]
    minutes = read_status("pretrain", run)["processor_minutes"]
    last = {name: lines[-1][name] for name in ("jets", "loss")}
    return last | {"steps": lines[-1]["step"], "processor_minutes": minutes}


def device_name(study: PretrainingStudy) -> str:
    """What the trainings run on.

    Parameters
    ----------
    study
        What is compared.

    Returns
    -------
    str
        Name of the GPU, or what the CPU is.
    """
    if not study.on_cpu:
        return torch.cuda.get_device_name()
    return f"CPU ({platform.machine()}, {os.cpu_count()} cores)"
