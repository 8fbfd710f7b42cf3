"""The export from the command line to a finished file."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from jepa_coffea.encoder.card import ModelCard
from training.exporting.leakage import with_leakage
from training.exporting.onnx_file import export_run
from training.exporting.onnx_graph import ExportError
from training.exporting.precision import reduce_precision


def export(args: argparse.Namespace) -> int:
    """Export a run, or convert an exported file, and say what came out.

    Parameters
    ----------
    args
        Options of ``training/export.py``.

    Returns
    -------
    int
        Exit status.

    Raises
    ------
    CheckpointError, ExportError, ModelError, StorageError
        If the run or the file cannot be used, or the new file does not do what the encoder does.
    """
    results = _read_results(args.results) if args.results else None
    about = {
        "name": args.name,
        "training_data": args.training_data,
        "particle_embedding": args.particle_embedding,
        "scale": args.scale,
        "scores": not args.no_scores,
    }
    console = Console()
    with console.status(f"exporting {args.run}, checking the file against the encoder"):
        if args.dijets:
            if args.run.suffix != ".onnx" or args.precision != "fp32":
                msg = "--dijets: give the exported file that the events were embedded with, in place of the run"
                raise ExportError(msg)
            card = with_leakage(args.run, args.output, args.dijets)
        elif args.precision == "fp32":
            card = export_run(args.run, args.output, results=results, **about)
        elif args.run.suffix == ".onnx":
            card = reduce_precision(args.run, args.output, args.precision)
        else:
            with tempfile.TemporaryDirectory() as folder:
                full = Path(folder) / "fp32.onnx"
                export_run(args.run, full, results=results, **about)
                card = reduce_precision(full, args.output, args.precision)
    console.print(_summary(card, args.output), highlight=False, markup=False, soft_wrap=True)
    return 0


def _read_results(path: Path) -> dict[str, Any]:
    """What ``--results`` says."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"--results {path}: expected a JSON file ({error})"
        raise ExportError(msg) from None
    return content


def _summary(card: ModelCard, path: Path) -> str:
    """A line about the file at ``path``."""
    check = card.parity or card.drift
    said = [f"{card.embedding_dim} numbers per jet", f"{path.stat().st_size / 1e6:.1f} MB"]
    if check:
        said.append(f"within {check.max_relative:.1e} of {'PyTorch' if card.parity else 'fp32'}")
    if card.mass_leakage:
        said.append(str(card.mass_leakage))
    return f"{path}: {card.name}, {card.precision}, {', '.join(said)}"
