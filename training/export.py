"""From a trained encoder to the one ONNX file: preprocessing and encoder as a graph, the card in its metadata.

``python training/export.py runs/a --output encoder.onnx``, with ``--precision fp16`` (GPU) or ``int8`` (CPU) for a
smaller, faster file. An exported fp32 file in place of the run folder is converted. ``python training/export.py
encoder.onnx --dijets 'embedded/dataset=qcd/*.parquet' --output encoder.onnx`` measures what its embeddings tell of the
dijet mass, on events that were embedded with it, and writes that into the card.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout, of which the wheel has a part

from jepa_coffea.commands.command_line import Parser, add_verbose
from training.exporting.command import export
from training.loop.entry import explained


def parser() -> argparse.ArgumentParser:
    """Options of the command line.

    Returns
    -------
    argparse.ArgumentParser
    """
    options = Parser(description=__doc__)
    options.add_argument("run", type=Path, help="run folder, a checkpoint in it, or an exported fp32 file")
    options.add_argument("--output", type=Path, required=True, metavar="FILE.onnx", help="file to write")
    options.add_argument("--name", help="name in the card; by default that of the run")
    options.add_argument("--training-data", metavar="TEXT", help="what it was trained on; by default the file names")
    options.add_argument("--particle-embedding", action="store_true", help="also give an embedding of each particle")
    options.add_argument("--no-scores", action="store_true", help="of a classifier: the embedding alone")
    options.add_argument(
        "--scale", choices=("blind", "seen"), help="blind to the scale of the jets, for searches, or not, for tagging"
    )
    options.add_argument("--results", type=Path, metavar="JSON", help="what it reaches on test sets, for the card")
    options.add_argument("--dijets", nargs="+", metavar="GLOB", help="events embedded with the file: leakage of m_jj")
    options.add_argument(
        "--precision", choices=("fp32", "fp16", "int8"), default="fp32", help="of the numbers in the file"
    )
    add_verbose(options)
    return options


def main(argv: list[str] | None = None) -> int:
    """Export what the command line says.

    Parameters
    ----------
    argv
        Words of the command line; those of the process if None.

    Returns
    -------
    int
        0, or 2 for what the user has to mend.
    """
    return explained(lambda: export(parser().parse_args(argv)))


if __name__ == "__main__":
    sys.exit(main())
