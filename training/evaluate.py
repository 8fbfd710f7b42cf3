"""Judge runs on jets they never saw.

``python training/evaluate.py runs/a-100 --output results`` gives accuracy, AUC, rejections, confusion and
calibration of a classifier; of several runs also their mean and spread. ``python training/evaluate.py --probe runs/a``
asks what a frozen encoder knows, beside a randomly initialised one and gradient boosting on high-level variables.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout, of which the wheel has a part

from jepa_coffea.commands.command_line import Parser, add_verbose
from training.loop.entry import add_device_option, explained
from training.loop.evaluation import evaluate
from training.loop.metrics import BACKGROUND


def parser() -> argparse.ArgumentParser:
    """Options of the command line.

    Returns
    -------
    argparse.ArgumentParser
    """
    options = Parser(description=__doc__)
    options.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders or checkpoints")
    options.add_argument("--probe", action="store_true", help="probe the frozen encoder")
    options.add_argument("--data", nargs="+", metavar="GLOB", help="labelled jets; each run's test split if absent")
    options.add_argument("--train-data", nargs="+", metavar="GLOB", help="with --probe: labelled jets to fit probes to")
    options.add_argument("--labels-per-class", type=int, default=1000, metavar="N", help="with --probe: jets to fit to")
    options.add_argument("--jets", type=int, metavar="N", help="at most so many test jets; all if absent")
    options.add_argument("--background", default=BACKGROUND, metavar="CLASS", help="class that rejections are of")
    options.add_argument("--output", type=Path, metavar="DIR", help="for JSON and plots; the run folder if absent")
    add_device_option(options)
    add_verbose(options)
    return options


def main(argv: list[str] | None = None) -> int:
    """Evaluate as the command line says.

    Parameters
    ----------
    argv
        Words of the command line; those of the process if None.

    Returns
    -------
    int
        0, 130 after Ctrl-C, or 2 for what the user has to mend.
    """
    return explained(lambda: evaluate(parser().parse_args(argv)))


if __name__ == "__main__":
    sys.exit(main())
