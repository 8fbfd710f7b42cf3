"""Files of jets to memory-mapped shards: ``python training/prepare.py --data 'jets/*.root' --output shards/``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

if __package__ in (None, ""):  # run as a script from a checkout
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from jepa_coffea.errors import BadFileError
from training.data.preparation import prepare
from training.data.readers.base import OutputError
from training.data.sources import Reading


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", nargs="+", required=True, help="files or globs: JetClass, JetClass-II, PFNano, NanoAOD, Delphes"
    )
    parser.add_argument("--output", type=Path, required=True, help="folder of the shards; run again to resume")
    parser.add_argument("--layout", help="layout of event files; found out when not given")
    parser.add_argument("--collection", default="FatJet", help="jet collection of event files")
    parser.add_argument(
        "--subjets", action="store_true", help="cluster subjets (Cambridge/Aachen, R = 0.2), for J-JEPA"
    )
    parser.add_argument(
        "--skip-bad", action="store_true", help="leave out bad files and jets and list them in the manifest"
    )
    parser.add_argument("--workers", type=int, default=1, help="processes")
    given = parser.parse_args(arguments)
    reading = Reading(given.layout, given.collection, given.subjets)
    try:
        prepare(given.data, given.output, reading, skip_bad=given.skip_bad, workers=given.workers)
    except (BadFileError, OutputError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
