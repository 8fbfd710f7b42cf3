"""``jepa-coffea hunt hunt.yaml``: the hunt of a document, to a folder and a paragraph."""

from __future__ import annotations

import argparse
import sys

from jepa_coffea.hunt.cli import REFUSALS, hunt


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument("document", help="YAML document of the hunt; paths in it are relative to it")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def run(arguments: argparse.Namespace) -> int:
    """Hunt; 0 when the result may be quoted, 1 when a check forbids it, 2 when the hunt cannot be done."""
    try:
        result = hunt(arguments.document, progress=not arguments.quiet)
    except REFUSALS as error:
        print(f"jepa-coffea hunt: {error}", file=sys.stderr)
        return 2
    return 1 if result.reasons else 0
