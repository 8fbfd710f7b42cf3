"""What pretraining buys, compute-matched: the same encoder, data and compute, with different objectives.

``python benchmarks/pretraining_study.py --data 'jets/*.root' --output study --minutes 20`` pretrains the same encoder
for the same time as P-JEPA without the regression of jet observables, on that regression alone, and on both; beside
them an encoder that was never trained. Each is then frozen and fine-tuned with few labels, over several seeds, beside
training from scratch. The winner is chosen on validation jets; the test jets are looked at once, at the end.

All trainings are the project's own scripts in processes of their own, ``--jobs`` at a time on one device. On a GPU they
end by wall-clock time; on a CPU by as many steps as fit the same processor time, measured before (or by ``--set
steps=N``, ``--set-finetune steps=N``). Killed, the same command goes on where it stopped: what is finished is not done
again (``study_jobs.py`` says how it is marked), and a run folder made by hand counts when it is so marked.

The winner's file, and the winner trained for longer (of which the results then no longer tell)::

    python training/export.py study/best --name pjepa-mini --results study/results.json --output pjepa-mini.onnx
    python training/pretrain.py --config study/best/config.yaml --data GLOB --output study/best --resume auto
        --max-minutes 120
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from rich.console import Console

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":
    sys.path[0] = str(ROOT)  # not this folder, where training.py would hide the package of that name

from benchmarks.study_jobs import Job, Study, StudyError, finished, signals_passed_on  # noqa: E402
from benchmarks.study_results import (  # noqa: E402
    OBJECTIVES,
    device_name,
    draw,
    pretraining_of,
    reached,
    table,
    validation_accuracy,
)
from benchmarks.study_steps import steps_of  # noqa: E402

T = TypeVar("T")

PRETRAINING, FINETUNING = 0.55, 0.3
"""Shares of the time; the rest is for starting processes, probes and evaluation."""


def given_steps(settings: list[str]) -> bool:
    """Whether ``settings`` say how many steps a training has."""
    return any(setting.startswith("steps=") for setting in settings)


def held_out(study: Study) -> list[str]:
    """The setting of every training for test jets in files of their own."""
    return [f"data.test_files={json.dumps(study.test)}"] if study.test else []


def pretrain(study: Study) -> None:
    """Every objective with the same compute, and one encoder that hardly takes a step."""

    def job(name: str, *settings: str, minutes: float | None = None) -> Job:
        folder = study.output / name
        limit = [] if minutes is None else ["--max-minutes", f"{minutes:.3f}"]
        start = ["--config", study.config, "--data", *study.data, "--output", folder, "--resume", "auto", *limit]
        return Job("pretrain", (folder,), (*start, "--set", *held_out(study), *settings))

    watch = ["monitor_every=200", "probe_every=200"]
    minutes = study.minutes_each(PRETRAINING, len(OBJECTIVES))
    settings = {name: [*watch, *changes, *study.settings] for name, changes in OBJECTIVES.items()}
    if given_steps(study.settings):
        jobs = [job(name, *those) for name, those in settings.items()]
    elif study.on_cpu:
        left = {name: those for name, those in settings.items() if not finished("pretrain", study.output / name)}
        steps = steps_of(study, {name: job(name, *those) for name, those in left.items()}, minutes)
        jobs = [job(name, f"steps={steps[name]}", *those) for name, those in left.items()]
    else:
        # Time ends a pretraining, not the number of steps.
        jobs = [job(name, "steps=1000000000", *those, minutes=minutes) for name, those in settings.items()]
    still = ["steps=1", "optimiser.lr=1e-12", "optimiser.weight_decay=0", "probe_every=null"]
    study.together([*jobs, job("random", *study.settings, *still)])


def finetune(study: Study) -> None:
    """Each encoder frozen and fine-tuned, and from scratch, all seeds."""
    plan = [(name, mode) for name in OBJECTIVES for mode in ("finetune", "freeze")]
    plan += [("random", "freeze"), ("random", "scratch")]
    minutes = study.minutes_each(FINETUNING, len(plan)) / len(study.seeds)

    def job(name: str, mode: str, *settings: str, limit: tuple[str, ...] = ()) -> Job:
        folder = study.output / "classifiers" / f"{name}-{mode}"
        start = ["--encoder", study.output / name, "--mode", mode, "--output", folder, "--resume", "auto", *limit]
        labels = ["--data", *study.data, "--labels-per-class", study.labels, "--seeds", *study.seeds]
        own = ["name=classifier", *held_out(study), *study.finetune_settings]
        return Job("finetune", (folder,), (*start, *labels, "--set", *own, *settings))

    if given_steps(study.finetune_settings):
        jobs = [job(*which) for which in plan]
    elif study.on_cpu:
        most = steps_of(study, {"finetune": job("random", "finetune")}, minutes)["finetune"]
        jobs = [job(*which, f"steps={most}") for which in plan]
    else:
        jobs = [job(*which, limit=("--max-minutes", f"{minutes:.3f}")) for which in plan]
    study.together(jobs)


def judge(study: Study) -> dict[str, Any]:
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
                "accuracy": [float(np.mean([r["accuracy"] for r in rs])), float(np.std([r["accuracy"] for r in rs]))],
                "auc": [float(np.mean([r["auc"] for r in rs])), float(np.std([r["auc"] for r in rs]))],
                "rejection": {name: [r["rejection"][name]["rejection"] for r in rs] for name in rs[0]["rejection"]},
            }
            for plan, rs in tests.items()
        },
        "test_jets": next(iter(tests.values()))[0]["jets"],
        "probes": {name: json.loads((study.output / name / "probe.json").read_text()) for name in names},
    }


def same_as_before(study: Study) -> None:
    """Keep what decides the results in ``settings.json``.

    Raises
    ------
    StudyError
        If the study in this folder was begun with other settings.
    """
    path = study.output / "settings.json"
    free = ("output", "minutes", "jobs", "device")
    now = {name: value for name, value in asdict(study).items() if name not in free}
    before = json.loads(path.read_text()) if path.is_file() else now
    for name, value in now.items():
        if value != before.get(name):
            msg = f"{path}: the study in this folder has {name} {before.get(name)}, not {value}; give another --output"
            raise StudyError(msg)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(now, indent=1) + "\n")


def parser() -> argparse.ArgumentParser:
    """Options of the command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", nargs="+", required=True, metavar="GLOB", help="labelled jets, all classes")
    options.add_argument("--test", nargs="+", default=[], metavar="GLOB", help="test jets; a part of --data if absent")
    options.add_argument("--output", type=Path, required=True, metavar="DIR")
    options.add_argument("--config", default=str(ROOT / "training/configs/pjepa_mini.yaml"), metavar="YAML")
    options.add_argument("--minutes", type=float, default=20, metavar="M", help="of the whole study")
    options.add_argument("--labels", type=int, default=100, metavar="N", help="labelled jets a class")
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options.add_argument("--jobs", type=int, default=8, metavar="J", help="trainings at a time on the device")
    options.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    options.add_argument("--set", nargs="+", default=[], metavar="FIELD=VALUE", help="of the pretrainings")
    options.add_argument("--set-finetune", nargs="+", default=[], metavar="FIELD=VALUE", help="of the fine-tunings")
    return options


def main(argv: list[str] | None = None) -> int:
    """Exit status 0, or 1 when a training failed or was stopped.

    In ``--output``: study.json, study.md, study.png, results.json for the winner's card, and ``best``, its run folder.
    """
    given = vars(parser().parse_args(argv))
    study = Study(settings=given.pop("set"), finetune_settings=given.pop("set_finetune"), **given)
    console = Console(stderr=True)
    try:
        with signals_passed_on():
            conduct(study, console)
    except StudyError as error:
        console.print(f"error: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
        return 1
    return 0


def conduct(study: Study, console: Console) -> None:
    """All steps of ``study``, and the files that tell of it."""
    started = time.monotonic()

    def said(step: Callable[[Study], T]) -> T:
        with console.status(step.__doc__ or ""):
            done = step(study)
        console.print(f"{(time.monotonic() - started) / 60:.1f} min: {step.__name__} done")
        return done

    same_as_before(study)
    said(pretrain)
    said(finetune)
    result = said(judge)
    result |= {
        "device": device_name(study),
        "labels_per_class": study.labels,
        "seeds": study.seeds,
        "pretraining": {name: pretraining_of(study.output / name) for name in result["probes"]},
    }
    for name, content in (("study.json", result), ("results.json", reached(result))):
        (study.output / name).write_text(json.dumps(content, indent=1) + "\n")
    text = table(study, result)
    (study.output / "study.md").write_text(text)
    draw(study, result)
    if not (study.output / "best").exists():
        shutil.copytree(study.output / result["winner"], study.output / "best")
    console.print(text, markup=False, highlight=False)


if __name__ == "__main__":
    sys.exit(main())
