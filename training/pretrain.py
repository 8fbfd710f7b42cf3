"""Pretrain a jet encoder: ``python training/pretrain.py --config CONFIG --data 'jets/*.root' --output runs/a``.

On many GPUs: ``torchrun --nproc-per-node 8 training/pretrain.py ...``. Killed or pre-empted, the same command with
``--resume auto`` goes on where it stopped.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout, of which the wheel has a part

from jepa_coffea.commands.command_line import Parser, add_verbose
from training.loop.entry import add_run_options, explained
from training.loop.pretraining import pretrain


def parser() -> argparse.ArgumentParser:
    """Options of the command line.

    Returns
    -------
    argparse.ArgumentParser
    """
    options = Parser(description=__doc__)
    options.add_argument("--config", required=True, metavar="YAML", help="e.g. training/configs/pjepa_mini.yaml")
    options.add_argument("--data", required=True, nargs="+", metavar="GLOB", help="ROOT or parquet files, or shards")
    options.add_argument(
        "--other-data", action="store_true", help="resume with other files than before, such as a sample that has grown"
    )
    options.add_argument("--stop-on-collapse", action="store_true", help="stop when all jets look alike to the encoder")
    add_run_options(options)
    add_verbose(options)
    return options


def main(argv: list[str] | None = None) -> int:
    """Pretrain as the command line says.

    Parameters
    ----------
    argv
        Words of the command line; those of the process if None.

    Returns
    -------
    int
        0 when the training is complete, 75 when a signal stopped it, 130 after Ctrl-C, 2 for what the user has to mend.
    """
    return explained(lambda: pretrain(parser().parse_args(argv)))


if __name__ == "__main__":
    sys.exit(main())
