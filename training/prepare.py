"""Files of jets to memory-mapped shards: ``python training/prepare.py --data 'jets/*.root' --output shards/``.

Run again, it goes on: shards that are there are kept.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout, of which the wheel has a part

from jepa_coffea.commands.command_line import Parser, add_verbose
from training.data.preparation import prepare
from training.data.sources import Reading


def parser() -> argparse.ArgumentParser:
    """Options of the command line.

    Returns
    -------
    argparse.ArgumentParser
    """
    options = Parser(description=__doc__)
    options.add_argument(
        "--data", nargs="+", required=True, help="files or globs: JetClass, JetClass-II, PFNano, NanoAOD, Delphes"
    )
    options.add_argument("--output", type=Path, required=True, help="folder of the shards; run again to resume")
    options.add_argument("--layout", help="layout of event files; found out when not given")
    options.add_argument("--collection", default="FatJet", help="jet collection of event files")
    options.add_argument(
        "--subjets", action="store_true", help="cluster subjets (Cambridge/Aachen, R = 0.2), for J-JEPA"
    )
    options.add_argument(
        "--skip-bad", action="store_true", help="leave out bad files and jets and list them in the manifest"
    )
    options.add_argument("--workers", type=int, default=1, help="processes")
    add_verbose(options)
    return options


def main(argv: list[str] | None = None) -> int:
    """Prepare what the command line says.

    Parameters
    ----------
    argv
        Words of the command line; those of the process if None.

    Returns
    -------
    int
        0, 130 after Ctrl-C, or 2 for what the user has to mend.
    """
    # Not above: processes that prepare files import this script, and need no torch.
    from training.loop.entry import explained

    return explained(lambda: _prepare(parser().parse_args(argv)))


def _prepare(args: argparse.Namespace) -> int:
    reading = Reading(args.layout, args.collection, args.subjets)
    prepare(args.data, args.output, reading, skip_bad=args.skip_bad, workers=args.workers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
