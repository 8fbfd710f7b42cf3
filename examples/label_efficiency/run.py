"""The label curve: accuracy, AUC and rejection of classifiers against the number of labelled jets.

::

    python examples/label_efficiency/run.py --data 'jets/*.root' --test 'test/*.root' --output curve
        --encoder pjepa=runs/pjepa --encoder pjepa=runs/pjepa-2 --encoder jjepa=runs/jjepa --encoder supervised=runs/s

fine-tunes every encoder, keeps it frozen, trains the first one's network from scratch with the scale of the jets seen
and withheld, and fits tuned trees to variables, and to variables and embedding, and logistic regressions to the
embedding alone. All see the same labelled jets in the same draw. Several runs of one name are several pretrainings of
one curve. Killed, the same command goes on where it stopped; points may be added later. ``--plot`` only draws what is
there.

The jets may be simulated here or real JetClass. In ``--output``: results.json, results.md, label_efficiency.png, and a
run folder for each training.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the checkout, of which the wheel has a part

from examples.label_efficiency.curves import report
from examples.label_efficiency.points import LABELS, MODES, SCRATCH, Plan, Point, name_of, takes_scale, trainings
from jepa_coffea.commands.command_line import Parser
from jepa_coffea.files import write_text
from training.loop.entry import add_device_option, explained
from training.studies.jobs import Job, Runner, StudyError, finished, signals_passed_on

TREES, FROZEN = "boosting", "logistic"
JUDGED_TOGETHER = 20
"""Classifiers that one process judges."""


def parser() -> argparse.ArgumentParser:
    """Options of the command line.

    Returns
    -------
    argparse.ArgumentParser
    """
    options = Parser(description=__doc__)
    options.add_argument("--encoder", action="append", default=[], metavar="NAME=RUN", help="pretrained; several times")
    options.add_argument("--data", nargs="+", metavar="GLOB", help="labelled jets, all classes")
    options.add_argument("--test", nargs="+", default=[], metavar="GLOB", help="test jets; a part of --data if absent")
    options.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of the study")
    options.add_argument("--labels", nargs="+", default=[*map(str, LABELS), "all"], metavar="N", help="a class, or all")
    options.add_argument("--draws", type=int, default=5, metavar="N", help="of the labelled jets")
    options.add_argument(
        "--modes",
        nargs="*",
        default=MODES,
        choices=MODES,
        metavar="MODE",
        help="how pretrained encoders are fine-tuned",
    )
    options.add_argument(
        "--scratch", nargs="*", default=SCRATCH, choices=SCRATCH, metavar="MODE", help="trainings from random weights"
    )
    options.add_argument(
        "--no-trees", action="store_true", help="without tuned classifiers on variables and frozen embeddings"
    )
    options.add_argument(
        "--head", default="linear", choices=("linear", "mlp", "class_attention"), help="the classifier on top"
    )
    options.add_argument("--jobs", type=int, default=2, metavar="J", help="trainings at a time")
    options.add_argument("--set", nargs="+", default=[], metavar="FIELD=VALUE", help="of all fine-tunings")
    options.add_argument("--plot", action="store_true", help="only draw what is there")
    add_device_option(options)
    return options


def main(argv: list[str] | None = None) -> int:
    """Make the curves that the command line describes.

    Parameters
    ----------
    argv
        Words of the command line; those of the process if None.

    Returns
    -------
    int
        0, 130 after Ctrl-C, or 2 for what the user has to mend.
    """
    return explained(lambda: _main(parser().parse_args(argv)))


def _main(args: argparse.Namespace) -> int:
    console = Console(stderr=True)
    if not args.plot:
        plan = plan_of(args)
        _same_as_before(plan, args.output)
        runner = Runner(output=args.output, jobs=args.jobs, device=args.device)
        with signals_passed_on():
            train(plan, runner, console)
            if not args.no_trees:
                runner.together(list(tree_jobs(plan, args.output)))
    console.print(report(args.output), markup=False, highlight=False)
    return 0


def plan_of(args: argparse.Namespace) -> Plan:
    """The plan that the command line describes.

    Parameters
    ----------
    args
        Options.

    Returns
    -------
    Plan

    Raises
    ------
    StudyError
        If encoders or data are missing, or an encoder has no name.
    """
    encoders: dict[str, list[Path]] = {}
    for given in args.encoder:
        name, equals, run = given.partition("=")
        if not equals or "-" in name or name in ("scratch", TREES):
            msg = f"--encoder {given}: expected NAME=RUN, as in pjepa=runs/a, with a name without a dash"
            raise StudyError(msg)
        encoders.setdefault(name, []).append(Path(run))
    if not encoders or not args.data:
        msg = "give labelled jets with --data, and at least one --encoder NAME=RUN; networks from scratch are like it"
        raise StudyError(msg)
    labels = [None if count == "all" else int(count) for count in args.labels]
    return Plan(
        data=args.data, test=args.test, encoders=encoders, labels=labels, draws=args.draws, modes=args.modes,
        scratch=args.scratch, head=args.head, settings=args.set,
    )  # fmt: skip


def _same_as_before(plan: Plan, output: Path) -> None:
    """Keep what decides a point in ``settings.json``.

    Raises
    ------
    StudyError
        If the curves in this folder were begun with other jets, encoders or settings.
    """
    output.mkdir(parents=True, exist_ok=True)
    path = output / "settings.json"
    runs = {name: [str(run) for run in those] for name, those in plan.encoders.items()}
    before = json.loads(path.read_text()) if path.is_file() else {"encoders": {}}
    now = {"data": plan.data, "test": plan.test, "head": plan.head, "settings": [*plan.settings]}
    for name, value in now.items():
        if value != before.get(name, value):
            msg = f"{path}: the curves in this folder have {name} {before[name]}, not {value}; give another --output"
            raise StudyError(msg)
    for name, those in before["encoders"].items():
        if runs.get(name, those)[: len(those)] != those:
            msg = f"{path}: {name} is {those} in this folder, not {runs[name]}; give it another name"
            raise StudyError(msg)
    write_text(path, json.dumps(now | {"encoders": before["encoders"] | runs}, indent=1) + "\n")


def train(plan: Plan, runner: Runner, console: Console) -> None:
    """Train and judge every network, few labels first; what is judged is not done again.

    Parameters
    ----------
    plan
        What the curves are made of.
    runner
        Runs the scripts.
    console
        Where to say how far it is.

    Raises
    ------
    StudyError
        If a script fails.
    """
    points = list(trainings(plan))
    for labels in plan.labels:
        # One training with all labels serves: there is no other draw of them.
        here = [(p, job) for p, job in points if p.labels == labels and not (labels is None and p.draw)]
        runner.together([_placed(point, job, runner.output) for point, job in here])
        left = [point.folder(runner.output) for point, _ in here]
        left = [folder for folder in left if not finished("evaluate", folder)]
        parts = [tuple(left[start : start + JUDGED_TOGETHER]) for start in range(0, len(left), JUDGED_TOGETHER)]
        test = ["--data", *plan.test] if plan.test else []
        runner.together([Job("evaluate", part, (*part, *test)) for part in parts])
        console.print(f"{name_of(labels)} labels per class: {len(here)} networks trained and judged")
        report(runner.output)


def _placed(point: Point, job: Job, output: Path) -> Job:
    folder = point.folder(output)
    return replace(job, folders=(folder,), arguments=("--output", folder, *job.arguments))


def tree_jobs(plan: Plan, output: Path) -> Iterator[Job]:
    """Trees on variables, and on variables and the embedding of each encoder; regressions on the embedding alone.

    Parameters
    ----------
    plan
        What the curves are made of.
    output
        Folder of the study.

    Yields
    ------
    Job
    """
    first = next(iter(plan.encoders.values()))[0]
    wanted: list[tuple[str, Path, int, list[str]]] = [(TREES, first, 0, [])]
    for name, runs in plan.encoders.items():
        for number, run in enumerate(runs):
            wanted.append((f"{TREES}-{name}", run, number, ["--inputs", "both"]))
            wanted.append((f"{name}-{FROZEN}", run, number, ["--inputs", "embedding"]))
            if takes_scale(run):
                blind = ["--inputs", "embedding", "--scale", "blind"]
                wanted.append((f"{name}-{FROZEN}-blind", run, number, blind))
    for curve, run, number, options in wanted:
        points = [Point(curve, labels, draw, number) for labels in plan.labels for draw in range(plan.draws)]
        folders = tuple(p.folder(output) for p in points if not (p.labels is None and p.draw))
        words: list[object] = ["--run", run, "--curve", curve, "--pretraining", number, *options, "--output", output]
        words += ["--data", *plan.data, *(["--test", *plan.test] if plan.test else []), "--draws", plan.draws]
        words += ["--labels", *map(name_of, plan.labels)]
        yield Job("trees", folders, tuple(words), room="examples/label_efficiency")


if __name__ == "__main__":
    sys.exit(main())
