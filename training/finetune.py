"""Train a jet classifier on top of a pretrained encoder, or the same network from scratch.

``python training/finetune.py --encoder runs/a --data 'jets/*.root' --labels-per-class 100 --output runs/a-100``.
With several ``--seeds`` each gets its own choice of labelled jets, its own head and its own folder in ``--output``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout, of which the wheel has a part

from jepa_coffea.commands.command_line import Parser, add_verbose
from training.loop.entry import add_run_options, explained
from training.loop.finetuning import finetune

CONFIG = Path(__file__).parent / "configs" / "finetune.yaml"


def parser() -> argparse.ArgumentParser:
    """Options of the command line.

    Returns
    -------
    argparse.ArgumentParser
    """
    options = Parser(description=__doc__)
    options.add_argument("--encoder", required=True, type=Path, metavar="RUN", help="run folder or checkpoint")
    options.add_argument(
        "--mode",
        default="finetune",
        choices=("finetune", "freeze", "scratch"),
        help="what of the encoder learns: all, nothing, or all from random weights",
    )
    options.add_argument(
        "--head", default="linear", choices=("linear", "mlp", "class_attention"), help="the classifier on top"
    )
    options.add_argument("--variables", action="store_true", help="give the head jet observables beside the embedding")
    options.add_argument("--data", nargs="+", metavar="GLOB", help="labelled jets; the encoder's own if absent")
    options.add_argument("--labels-per-class", type=int, metavar="N", help="labelled jets per class; all if absent")
    options.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        default=[0],
        metavar="S",
        help="of the choice of labelled jets and of the head; one training each",
    )
    options.add_argument("--config", default=CONFIG, metavar="YAML", help="sizes and rates")
    add_run_options(options)
    add_verbose(options)
    return options


def main(argv: list[str] | None = None) -> int:
    """Fine-tune as the command line says.

    Parameters
    ----------
    argv
        Words of the command line; those of the process if None.

    Returns
    -------
    int
        0 when all are complete, 75 when a signal stopped one, 130 after Ctrl-C, 2 for what the user has to mend.
    """
    return explained(lambda: finetune(parser().parse_args(argv)))


if __name__ == "__main__":
    sys.exit(main())
