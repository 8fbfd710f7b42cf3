"""What pretraining buys, compute-matched: the same encoder, data and minutes, with different objectives.

``python benchmarks/pretraining_study.py --data 'jets/*.root' --output study --minutes 20`` pretrains the same encoder
for the same time as P-JEPA without the regression of jet observables, on that regression alone, and on both; beside
them an encoder that was never trained. Each is then frozen and fine-tuned with few labels, over several seeds, beside
training from scratch. The winner is chosen on validation jets; the test jets are looked at once, at the end.

All trainings are the project's own scripts in processes of their own, ``--jobs`` at a time on one device. What is equal
for all pretrainings is the wall-clock time (probes included) beside the same number of others; the processor minutes
that each then had are in the table, for a machine that was shared with something else.

The winner's file, and the winner trained for longer (of which the results then no longer tell)::

    python training/export.py study/best --name pjepa-mini --results study/results.json --output pjepa-mini.onnx
    python training/pretrain.py --config study/best/config.yaml --data GLOB --output study/best --resume auto
        --max-minutes 120
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from matplotlib.figure import Figure
from rich.console import Console

T = TypeVar("T")

ROOT = Path(__file__).resolve().parent.parent

OBJECTIVES: dict[str, list[str]] = {
    "jepa": ["objective.weights.observables=0"],
    "observables": [f"objective.weights.{part}=0" for part in ("particle", "jet", "identity")],
    "both": [],
}
"""Name of a pretraining to what it changes in the configuration."""

PRETRAINING, FINETUNING = 0.55, 0.3
"""Shares of the time; the rest is for starting processes, probes and evaluation."""


@dataclass(frozen=True)
class Study:
    """What all steps need to know."""

    data: list[str]
    output: Path
    config: str
    minutes: float
    labels: int
    seeds: list[int]
    jobs: int
    device: str
    settings: list[str]
    finetune_settings: list[str]

    def run(self, script: str, *arguments: object) -> float:
        """Run one of the project's scripts, its output into a log beside the results; gives its processor minutes.

        Raises
        ------
        RuntimeError
            If it fails, with the end of its log.
        """
        command = [sys.executable, str(ROOT / "training" / script), *map(str, arguments), "--device", self.device]
        log = self.output / "logs" / f"{script.removesuffix('.py')}-{time.time_ns()}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        threads = str(max(1, (os.cpu_count() or 1) // self.jobs))
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {"OMP_NUM_THREADS": threads} | os.environ | {"PYTHONPATH": path}
        with log.open("w") as file:
            file.write(" ".join(command) + "\n")
            file.flush()
            process = subprocess.Popen(command, stdout=file, stderr=file, env=environment)
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = status = os.waitstatus_to_exitcode(status)
        if status:
            tail = "\n".join(log.read_text().splitlines()[-15:])
            msg = f"{script} ended with status {status}; {log}:\n{tail}"
            raise RuntimeError(msg)
        return (used.ru_utime + used.ru_stime) / 60

    def classifier(self, plan: str, seed: int) -> Path:
        """Run folder of one fine-tuning."""
        folder = self.output / "classifiers" / plan
        return folder / f"seed{seed}" if len(self.seeds) > 1 else folder

    def together(self, jobs: Sequence[tuple[object, ...]]) -> list[float]:
        """Run several scripts, ``self.jobs`` at a time; gives the processor minutes of each."""
        with ThreadPoolExecutor(self.jobs) as pool:
            running = [pool.submit(self.run, *map(str, job)) for job in jobs]
            return [done.result() for done in running]

    def minutes_each(self, share: float, trainings: int) -> float:
        """Minutes of one of ``trainings`` alike that together may take a ``share`` of the study."""
        return share * self.minutes / -(-trainings // self.jobs)


def pretrain(study: Study) -> dict[str, float]:
    """Every objective for the same minutes, and one encoder that hardly takes a step; gives processor minutes."""
    common = ["--config", study.config, "--data", *study.data]
    minutes = ["--max-minutes", f"{study.minutes_each(PRETRAINING, len(OBJECTIVES)):.3f}"]
    # Time ends a pretraining, not the number of steps.
    watch = ["steps=1000000000", "monitor_every=200", "probe_every=200"]
    jobs = [
        ("pretrain.py", *common, "--output", study.output / name, *minutes, "--set", *watch, *changes, *study.settings)
        for name, changes in OBJECTIVES.items()
    ]
    still = ["steps=1", "optimiser.lr=1e-12", "optimiser.weight_decay=0", "probe_every=null"]
    untrained = ("pretrain.py", *common, "--output", study.output / "random", "--set", *study.settings, *still)
    return dict(zip([*OBJECTIVES, "random"], study.together([*jobs, untrained]), strict=True))


def finetune(study: Study) -> None:
    """Each encoder frozen and fine-tuned, and from scratch, all seeds."""
    names = list(OBJECTIVES)
    plan = [(name, mode) for name in names for mode in ("finetune", "freeze")]
    plan += [("random", "freeze"), ("random", "scratch")]
    minutes = study.minutes_each(FINETUNING, len(plan)) / len(study.seeds)
    common = ["--data", *study.data, "--labels-per-class", study.labels, "--seeds", *study.seeds]
    limit = ["--max-minutes", f"{minutes:.3f}"]
    settings = ["--set", "name=classifier", *study.finetune_settings]
    jobs: list[tuple[object, ...]] = []
    for name, mode in plan:
        output = study.output / "classifiers" / f"{name}-{mode}"
        start = ["finetune.py", "--encoder", study.output / name, "--mode", mode]
        jobs.append((*start, "--output", output, *common, *limit, *settings))
    study.together(jobs)


def journal(run: Path) -> list[dict[str, Any]]:
    """Records of a run, oldest first."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def validation_accuracy(study: Study, plan: str) -> tuple[float, float]:
    """Mean and standard deviation over seeds of the accuracy on validation jets at the lowest validation loss."""
    best = []
    for seed in study.seeds:
        lines = [line for line in journal(study.classifier(plan, seed)) if "val_loss" in line]
        best.append(min(lines, key=lambda line: line["val_loss"])["val_accuracy"])
    return float(np.mean(best)), float(np.std(best))


def judge(study: Study) -> dict[str, Any]:
    """Choose on validation jets; then look at the test jets, once."""
    plans = sorted(path.name for path in (study.output / "classifiers").iterdir())
    validation = {plan: validation_accuracy(study, plan) for plan in plans}
    winner = max(OBJECTIVES, key=lambda name: validation[f"{name}-finetune"][0] + validation[f"{name}-freeze"][0])
    runs = [study.classifier(plan, seed) for plan in plans for seed in study.seeds]
    names = [*OBJECTIVES, "random"]
    probes = ["--probe", "--labels-per-class", study.labels, "--jets", 20_000]
    study.together(
        [
            *(("evaluate.py", *runs[part :: study.jobs]) for part in range(min(study.jobs, len(runs)))),
            *(("evaluate.py", study.output / name, *probes) for name in names),
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


def rows(result: Mapping[str, Any]) -> list[tuple[str, str, list[float], list[float]]]:
    """Encoder, what was done with it, test accuracy and AUC (each mean and spread), best last."""
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
    """What the winner reaches on the test jets beside what it has to beat, for its card: ``export.py --results``."""
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


def table(study: Study, result: Mapping[str, Any]) -> str:
    """The results as Markdown."""
    lines = [
        f"# {study.labels} labels a class, {len(study.seeds)} seeds, {result['test_jets']} test jets",
        "",
        f"Each pretraining {result['pretraining_minutes']:.1f} minutes, {study.jobs} at a time on {result['device']}.",
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


def draw(study: Study, result: Mapping[str, Any]) -> None:
    """What frozen and fine-tuned encoders reach, and how the probe and the spectrum went during pretraining."""
    figure = Figure(figsize=(15, 4.5), layout="constrained")
    bars, probe, rank = figure.subplots(1, 3)
    found = rows(result)
    for at, (_, mode, (accuracy, spread), _) in enumerate(found):
        colour = {"finetune": "C0", "freeze": "C1", "scratch": "C7", "": "0.5"}[mode]
        bars.barh(at, accuracy, xerr=spread, color=colour)
    names = [label if label.startswith("none") else f"{label}, {mode}" for label, mode, *_ in found]
    bars.set_yticks(range(len(found)), names)
    bars.set_xlabel(f"test accuracy, {study.labels} labels a class")
    for name in OBJECTIVES:
        lines = journal(study.output / name)
        for axes, key in ((probe, "probe_linear_accuracy"), (rank, "rankme")):
            seen = [(line["minutes"], line[key]) for line in lines if key in line and "minutes" in line]
            if seen:
                axes.plot(*zip(*seen, strict=True), "o-", markersize=3, label=name)
    for key, style, name in (
        ("probe_random_linear_accuracy", ":", "random encoder"),
        ("probe_boosting_accuracy", "--", "gradient boosting"),
    ):
        level = next((line[key] for line in lines if key in line), None)
        if level is not None:
            probe.axhline(level, color="0.4", linestyle=style, label=name)
    probe.set(
        xlabel="minutes of pretraining",
        ylabel="accuracy of the linear probe, validation",
        title="frozen encoder while it learns",
    )
    rank.set(xlabel="minutes of pretraining", ylabel="RankMe", title="effective dimensions")
    for axes in (probe, rank):
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    figure.savefig(study.output / "study.png", dpi=130)


def main(argv: list[str] | None = None) -> int:
    """Exit status 0.

    In ``--output``: study.json, study.md, study.png, results.json for the winner's card, and ``best``, its run folder.
    """
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", nargs="+", required=True, metavar="GLOB", help="labelled jets, all classes")
    options.add_argument("--output", type=Path, required=True, metavar="DIR")
    options.add_argument("--config", default=str(ROOT / "training/configs/pjepa_mini.yaml"), metavar="YAML")
    options.add_argument("--minutes", type=float, default=20, metavar="M", help="of the whole study")
    options.add_argument("--labels", type=int, default=100, metavar="N", help="labelled jets a class")
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options.add_argument("--jobs", type=int, default=8, metavar="J", help="trainings at a time on the device")
    options.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    options.add_argument("--set", nargs="+", default=[], metavar="FIELD=VALUE", help="of the pretrainings")
    options.add_argument("--set-finetune", nargs="+", default=[], metavar="FIELD=VALUE", help="of the fine-tunings")
    args = options.parse_args(argv)
    study = Study(
        args.data, args.output, args.config, args.minutes, args.labels, args.seeds, args.jobs, args.device,
        args.set, args.set_finetune,
    )  # fmt: skip
    console = Console(stderr=True)
    started = time.monotonic()

    def said(step: Callable[[Study], T]) -> T:
        with console.status(step.__doc__ or ""):
            done = step(study)
        console.print(f"{(time.monotonic() - started) / 60:.1f} min: {step.__name__} done")
        return done

    used = said(pretrain)
    said(finetune)
    result = said(judge)
    result |= {
        "minutes": (time.monotonic() - started) / 60,
        "pretraining_minutes": study.minutes_each(PRETRAINING, len(OBJECTIVES)),
        "device": device_name(study.device),
        "labels_per_class": study.labels,
        "seeds": study.seeds,
        "pretraining": {
            name: pretraining_of(study.output / name) | {"processor_minutes": minutes} for name, minutes in used.items()
        },
    }
    for name, content in (("study.json", result), ("results.json", reached(result))):
        (study.output / name).write_text(json.dumps(content, indent=1) + "\n")
    text = table(study, result)
    (study.output / "study.md").write_text(text)
    draw(study, result)
    shutil.copytree(study.output / result["winner"], study.output / "best", dirs_exist_ok=True)
    console.print(text, markup=False, highlight=False)
    return 0


def pretraining_of(run: Path) -> dict[str, float]:
    """Steps, jets, and the last numbers of a pretraining."""
    lines = [line for line in journal(run) if "loss" in line]
    return {name: lines[-1][name] for name in ("jets", "loss")} | {"steps": lines[-1]["step"]}


def device_name(device: str) -> str:
    """Name of the GPU, or what the CPU is."""
    if device != "cpu" and torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"CPU ({platform.machine()}, {os.cpu_count()} cores)"


if __name__ == "__main__":
    sys.exit(main())
