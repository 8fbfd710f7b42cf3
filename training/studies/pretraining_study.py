"""What pretraining buys, compute-matched: the same encoder, data and compute, with different objectives.

``python training/studies/pretraining_study.py --data 'jets/*.root' --output study --minutes 20`` pretrains the same
encoder for the same time as P-JEPA without the regression of jet observables, on that regression alone, and on both;
beside them an encoder that was never trained. Each is then frozen and fine-tuned with few labels, over several seeds,
beside training from scratch. The winner is chosen on validation jets; the test jets are looked at once, at the end.

All trainings are the project's own scripts, ``--jobs`` at a time on one device. On a GPU they end by wall-clock time;
on a CPU by as many steps as fit the same processor time, measured before, or by ``--set steps=N``, ``--set-finetune
steps=N``. Killed, the same command goes on where it stopped; ``jobs.py`` says how what is finished is marked.

The winner's file, and the winner trained for longer (of which the results then no longer tell)::

    python training/export.py study/best --name pjepa-mini --results study/results.json --output pjepa-mini.onnx
    python training/pretrain.py --config study/best/config.yaml --data GLOB --output study/best --resume auto
        --max-minutes 120
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the checkout, of which the wheel has a part

from jepa_coffea.commands.command_line import Parser, add_verbose
from training.loop.entry import add_device_option, explained
from training.studies.comparison import conduct
from training.studies.jobs import PretrainingStudy, signals_passed_on

CONFIG = Path(__file__).parents[1] / "configs" / "pjepa_mini.yaml"


def parser() -> argparse.ArgumentParser:
    """Options of the command line.

    Returns
    -------
    argparse.ArgumentParser
    """
    options = Parser(description=__doc__)
    options.add_argument("--data", nargs="+", required=True, metavar="GLOB", help="labelled jets, all classes")
    options.add_argument("--test", nargs="+", default=[], metavar="GLOB", help="test jets; a part of --data if absent")
    options.add_argument("--output", type=Path, required=True, metavar="DIR")
    options.add_argument("--config", default=str(CONFIG), metavar="YAML")
    options.add_argument("--minutes", type=float, default=20, metavar="M", help="of the whole study")
    options.add_argument("--labels", type=int, default=100, metavar="N", help="labelled jets per class")
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options.add_argument("--jobs", type=int, default=8, metavar="J", help="trainings at a time on the device")
    options.add_argument("--set", nargs="+", default=[], metavar="FIELD=VALUE", help="of the pretrainings")
    options.add_argument("--set-finetune", nargs="+", default=[], metavar="FIELD=VALUE", help="of the fine-tunings")
    add_device_option(options)
    add_verbose(options)
    return options


def main(argv: list[str] | None = None) -> int:
    """Conduct the study that the command line describes.

    In ``--output``: study.json, study.md, study.png, results.json for the winner's card, and ``best``, its run folder.

    Parameters
    ----------
    argv
        Words of the command line; those of the process if None.

    Returns
    -------
    int
        0, 130 after Ctrl-C, or 2 when a training failed or was stopped.
    """
    return explained(lambda: _study(parser().parse_args(argv)))


def _study(args: argparse.Namespace) -> int:
    given = {name: value for name, value in vars(args).items() if name != "verbose"}
    study = PretrainingStudy(settings=given.pop("set"), finetune_settings=given.pop("set_finetune"), **given)
    with signals_passed_on():
        conduct(study)
    return 0


if __name__ == "__main__":
    sys.exit(main())
