"""The points of the curves: which classifier, how many labels, which draw of them, and the script that makes it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from training.loop.checkpoint import load_encoder
from training.models.encoder import EncoderConfig
from training.studies.jobs import Job

LABELS = (10, 30, 100, 300, 1000, 3000, 10_000)
"""Labelled jets of each class; ``None`` beside them stands for all there are."""

STEPS = {10: 300, 100: 500, 300: 800, 1000: 1200, 3000: 2000, 10_000: 4000}
"""Steps of a fine-tuning with at least so many labels per class."""
STEPS_WITH_ALL = 8000

MODES = ("finetune", "freeze", "finetune-variables", "freeze-variables")
SCRATCH = ("scratch-seen", "scratch-blind", "scratch-seen-variables")
VARIABLES = "variables"
"""Suffix of what is given variables beside the embedding."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the curves are made of."""

    data: list[str]
    """Globs of labelled jets."""
    test: list[str]
    """Globs of test jets; none for the part of ``data`` that trainings hold out."""
    encoders: Mapping[str, Sequence[Path]]
    """Name to run folders, several for several pretrainings."""
    labels: Sequence[int | None]
    draws: int
    modes: Sequence[str]
    scratch: Sequence[str]
    head: str
    settings: Sequence[str]
    """Changes to the configuration of all fine-tunings, as ``field=value``."""


@dataclass(frozen=True)
class Point:
    """One training."""

    curve: str
    """As in ``pjepa-finetune``."""
    labels: int | None
    """Of each class; None for all."""
    draw: int
    """Picks the labelled jets and seeds the training."""
    pretraining: int = 0
    """Which of several."""

    def folder(self, output: Path) -> Path:
        """Where it is trained and judged.

        Parameters
        ----------
        output
            Folder of the study.

        Returns
        -------
        Path
        """
        return output / "runs" / self.curve / name_of(self.labels) / f"draw{self.draw}-run{self.pretraining}"


def name_of(labels: int | None) -> str:
    """How a number of labels is written.

    Parameters
    ----------
    labels
        Of each class; None for all.

    Returns
    -------
    str
    """
    return "all" if labels is None else str(labels)


def steps_with(labels: int | None) -> int:
    """Steps of a fine-tuning.

    Parameters
    ----------
    labels
        Of each class; None for all.

    Returns
    -------
    int
    """
    if labels is None:
        return STEPS_WITH_ALL
    return STEPS[max((least for least in STEPS if least <= labels), default=min(STEPS))]


def trainings(plan: Plan) -> Iterator[tuple[Point, Job]]:
    """The fine-tunings of a plan.

    Parameters
    ----------
    plan
        What the curves are made of.

    Yields
    ------
    tuple
        A point, and the script that trains it; the folders of the job are relative to the folder of the study.
    """
    for labels in plan.labels:
        for draw in range(plan.draws):
            for name, runs in plan.encoders.items():
                for number, run in enumerate(runs):
                    for mode in plan.modes:
                        point = Point(f"{name}-{mode}", labels, draw, number)
                        yield point, _job(plan, point, run, mode.split("-")[0], ())
            first = next(iter(plan.encoders.values()))[0]
            for mode in plan.scratch:
                yield (
                    (point := Point(mode, labels, draw)),
                    _job(plan, point, first, "scratch", scale_settings(first, mode)),
                )


def takes_scale(run: Path) -> bool:
    """Whether the scale of the jets may be shown to an encoder, or withheld.

    Parameters
    ----------
    run
        Run that trained it.

    Returns
    -------
    bool
    """
    encoder = load_encoder(run)[1].encoder
    return isinstance(encoder, EncoderConfig) and encoder.scale_input


def scale_settings(run: Path, mode: str) -> tuple[str, ...]:
    """What makes a network that is trained from scratch see the scale of the jets, or not.

    Parameters
    ----------
    run
        Run whose architecture it has.
    mode
        As in ``SCRATCH``.

    Returns
    -------
    tuple of str
        Settings, as ``field=value``.
    """
    seen = "seen" in mode.split("-")
    if takes_scale(run):
        return (f"objective.drop_scale={0 if seen else 1}",)
    return (f"encoder.scale_to_jet_pt={json.dumps(not seen)}",)


def _job(plan: Plan, point: Point, run: Path, mode: str, settings: Sequence[str]) -> Job:
    folder = point.folder(Path())
    words: list[object] = ["--encoder", run, "--mode", mode, "--head", plan.head, "--data", *plan.data]
    words += [] if point.labels is None else ["--labels-per-class", point.labels]
    words += [
        "--seeds",
        point.draw,
        "--resume",
        "auto",
        *(["--variables"] if VARIABLES in point.curve.split("-") else []),
    ]
    own = ["name=classifier", f"steps={steps_with(point.labels)}"]
    own += [f"data.test_files={json.dumps(plan.test)}"] if plan.test else []
    return Job("finetune", (folder,), (*words, "--set", *own, *settings, *plan.settings))
