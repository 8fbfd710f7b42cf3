"""``jepa-coffea report FOLDER``: write the report of a finished hunt again, from its folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from jepa_coffea.commands.hunt import hunt


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments.

    Parameters
    ----------
    parser
        Of the sub-command.
    """
    parser.add_argument("folder", help="output folder of a hunt; what it lacks is done")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def run(arguments: argparse.Namespace) -> int:
    """Do the hunt of the folder's own ``config.yaml``: finished trainings and pseudo-experiments are read, not redone.

    Everything happens in this process; a cluster that the document names is not started.

    Parameters
    ----------
    arguments
        Of the command line.

    Returns
    -------
    int
        As of ``jepa-coffea hunt``.
    """
    result = hunt(Path(arguments.folder) / "config.yaml", progress=not arguments.quiet, here=True)
    return 1 if result.reasons else 0
