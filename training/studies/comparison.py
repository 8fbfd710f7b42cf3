"""The steps of a study of pretrainings: pretrain, fine-tune, choose on validation jets, look at the test jets once."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeVar

from rich.console import Console

from jepa_coffea.files import write_text
from training.studies.jobs import Job, PretrainingStudy, finished, keep_settings
from training.studies.results import (
    OBJECTIVES,
    device_name,
    draw,
    mean_and_spread,
    pretraining_of,
    reached,
    table,
    validation_accuracy,
)
from training.studies.steps import steps_of

T = TypeVar("T")

PRETRAINING, FINETUNING = 0.55, 0.3
"""Shares of the time; the rest is for starting processes, probes and evaluation."""


def _given_steps(settings: list[str]) -> bool:
    """Whether ``settings`` say how many steps a training has."""
    return any(setting.startswith("steps=") for setting in settings)


def _held_out(study: PretrainingStudy) -> list[str]:
    """The setting of every training for test jets in files of their own."""
    return [f"data.test_files={json.dumps(study.test)}"] if study.test else []


def pretrain(study: PretrainingStudy) -> None:
    """Every objective with the same compute, and one encoder that hardly takes a step.

    Parameters
    ----------
    study
        What is compared.

    Raises
    ------
    StudyError
        If a training fails.
    """

    def _job(name: str, *settings: str, minutes: float | None = None) -> Job:
        folder = study.output / name
        limit = [] if minutes is None else ["--max-minutes", f"{minutes:.3f}"]
        start = ["--config", study.config, "--data", *study.data, "--output", folder, "--resume", "auto", *limit]
        return Job("pretrain", (folder,), (*start, "--set", *_held_out(study), *settings))

    watch = ["monitor_every=200", "probe_every=200"]
    minutes = study.minutes_each(PRETRAINING, len(OBJECTIVES))
    settings = {name: [*watch, *changes, *study.settings] for name, changes in OBJECTIVES.items()}
    if _given_steps(study.settings):
        jobs = [_job(name, *those) for name, those in settings.items()]
    elif study.on_cpu:
        left = {name: those for name, those in settings.items() if not finished("pretrain", study.output / name)}
        steps = steps_of(study, {name: _job(name, *those) for name, those in left.items()}, minutes)
        jobs = [_job(name, f"steps={steps[name]}", *those) for name, those in left.items()]
    else:
        # Time ends a pretraining, not the number of steps.
        jobs = [_job(name, "steps=1000000000", *those, minutes=minutes) for name, those in settings.items()]
    still = ["steps=1", "optimiser.lr=1e-12", "optimiser.weight_decay=0", "probe_every=null"]
    study.together([*jobs, _job("random", *study.settings, *still)])


def finetune(study: PretrainingStudy) -> None:
    """Each encoder frozen and fine-tuned, and from scratch, all seeds.

    Parameters
    ----------
    study
        What is compared.

    Raises
    ------
    StudyError
        If a training fails.
    """
    plan = [(name, mode) for name in OBJECTIVES for mode in ("finetune", "freeze")]
    plan += [("random", "freeze"), ("random", "scratch")]
    minutes = study.minutes_each(FINETUNING, len(plan)) / len(study.seeds)

    def _job(name: str, mode: str, *settings: str, limit: tuple[str, ...] = ()) -> Job:
        folder = study.output / "classifiers" / f"{name}-{mode}"
        start = ["--encoder", study.output / name, "--mode", mode, "--output", folder, "--resume", "auto", *limit]
        labels = ["--data", *study.data, "--labels-per-class", study.labels, "--seeds", *study.seeds]
        # The encoder is chosen on labelled validation jets; where to stop may use them as well.
        own = ["name=classifier", "finetune.val_jets=10000", *_held_out(study), *study.finetune_settings]
        return Job("finetune", (folder,), (*start, *labels, "--set", *own, *settings))

    if _given_steps(study.finetune_settings):
        jobs = [_job(*which) for which in plan]
    elif study.on_cpu:
        most = steps_of(study, {"finetune": _job("random", "finetune")}, minutes)["finetune"]
        jobs = [_job(*which, f"steps={most}") for which in plan]
    else:
        jobs = [_job(*which, limit=("--max-minutes", f"{minutes:.3f}")) for which in plan]
    study.together(jobs)


def _judge(study: PretrainingStudy) -> dict[str, Any]:
    """Choose on validation jets; then look at the test jets, once."""
    plans = sorted(path.name for path in (study.output / "classifiers").iterdir())
    validation = {plan: validation_accuracy(study, plan) for plan in plans}
    winner = max(OBJECTIVES, key=lambda name: validation[f"{name}-finetune"][0] + validation[f"{name}-freeze"][0])
    names = [*OBJECTIVES, "random"]
    test = ["--data", *study.test] if study.test else []
    runs = [study.classifier(plan, seed) for plan in plans for seed in study.seeds]
    left = [run for run in runs if not finished("evaluate", run)]
    parts = [tuple(left[part :: study.jobs]) for part in range(min(study.jobs, len(left)))]
    probes = ["--probe", "--labels-per-class", study.labels, "--jets", 20_000]
    study.together(
        [
            *(Job("evaluate", part, (*part, *test)) for part in parts),
            *(Job("evaluate", (study.output / name,), (study.output / name, *probes, *test)) for name in names),
        ]
    )
    tests = {
        plan: [json.loads((study.classifier(plan, seed) / "evaluation.json").read_text()) for seed in study.seeds]
        for plan in plans
    }
    return {
        "winner": winner,
        "validation_accuracy": validation,
        "test": {
            plan: {
                "accuracy": list(mean_and_spread([r["accuracy"] for r in rs])),
                "auc": list(mean_and_spread([r["auc"] for r in rs])),
                "rejection": {name: [r["rejection"][name]["rejection"] for r in rs] for name in rs[0]["rejection"]},
            }
            for plan, rs in tests.items()
        },
        "test_jets": next(iter(tests.values()))[0]["jets"],
        "probes": {name: json.loads((study.output / name / "probe.json").read_text()) for name in names},
    }


def _same_as_before(study: PretrainingStudy) -> None:
    free = ("output", "minutes", "jobs", "device")
    keep_settings(study.output, {name: value for name, value in asdict(study).items() if name not in free})


def conduct(study: PretrainingStudy, console: Console | None = None) -> None:
    """All steps of a study, and the files that tell of it.

    Parameters
    ----------
    study
        What is compared.
    console
        Where to show progress and the result; standard error if None.

    Raises
    ------
    StudyError
        If a training fails, or the study in this folder was begun with other settings.
    """
    console = console or Console(stderr=True)
    started = time.monotonic()

    def _said(title: str, step: Callable[[PretrainingStudy], T]) -> T:
        console.print(f"{title} ...")
        done = step(study)
        console.print(f"{(time.monotonic() - started) / 60:.1f} min: {title}: done")
        return done

    _same_as_before(study)
    _said("pretraining with each objective", pretrain)
    _said("fine-tuning each encoder", finetune)
    result = _said("choosing on validation jets, testing", _judge)
    result |= {
        "device": device_name(study),
        "labels_per_class": study.labels,
        "seeds": study.seeds,
        "pretraining": {name: pretraining_of(study.output / name) for name in result["probes"]},
    }
    for name, content in (("study.json", result), ("results.json", reached(result))):
        write_text(study.output / name, json.dumps(content, indent=1) + "\n")
    text = table(study, result)
    write_text(study.output / "study.md", text)
    draw(study, result)
    if not (study.output / "best").exists():
        shutil.copytree(study.output / result["winner"], study.output / "best")
    console.print(text, markup=False, highlight=False)
