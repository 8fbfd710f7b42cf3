"""``jepa-coffea inspect model.onnx``: the card and the graph, for reading."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import onnx
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from jepa_coffea.encoder.card import ModelCard, card_in, load_model
from jepa_coffea.encoder.model_files import resolve
from jepa_coffea.files import file_hash, printable


def configure(parser: argparse.ArgumentParser) -> None:
    """Give the parser this command's arguments.

    Parameters
    ----------
    parser
        Of the command.
    """
    parser.add_argument("model", help="ONNX file, or name of a shipped model")
    parser.add_argument("--json", action="store_true", help="print the card as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print the card and the graph.

    Parameters
    ----------
    arguments
        As :func:`configure` describes them.

    Returns
    -------
    int
        0.
    """
    path = resolve(arguments.model)
    model = load_model(path)
    card = card_in(model, str(path))
    console = Console()
    if arguments.json:
        console.print_json(card.model_dump_json())
        return 0
    console.print(_summary(path, model, card))
    console.print(_particles(card))
    if card.results:
        console.print(_results(card))
    return 0


def _summary(path: Path, model: onnx.ModelProto, card: ModelCard) -> Table:
    """What the model is, one property per line."""
    table = Table(
        title=escape(printable(f"{card.name} ({path.name})")),
        show_header=False,
        title_style="bold",
        title_justify="left",
    )
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    source = card.provenance
    packages = ", ".join(f"{name} {version}" for name, version in sorted(source.packages.items()))
    rows = {
        "file": f"{path.stat().st_size / 1e6:.3g} MB, {_weights(model):,} weights, opset {_opset(model)}",
        "sha256": file_hash(path),
        "objective": card.objective,
        "embedding": f"{card.embedding_dim} numbers per jet"
        + (", and of each particle" if card.particle_embedding else ""),
        "classes": ", ".join(card.class_names) or "none",
        "particles": f"at most {card.max_particles} a jet, the hardest; momenta "
        + ("divided by the jet's pT" if card.scaled_to_jet_pt else "in GeV as they are"),
        "scale of the jets": f"{card.scale}, "
        + ("as searches in a mass want it" if card.scale == "blind" else "for tagging"),
        "leakage of the dijet mass": str(card.mass_leakage or "not measured"),
        "precision": card.precision,
        "parity with PyTorch": "not measured"
        if card.parity is None
        else f"{card.parity.max_relative:.1e} relative at most, on {card.parity.jets} jets",
        "drift from fp32": "none"
        if card.drift is None
        else f"{card.drift.max_relative:.1e} relative at most, cosine at least {card.drift.min_cosine:.6f}, "
        f"on {card.drift.jets} jets",
        "cost": ", ".join(f"{n} particles {macs / 1e6:,.1f} MMAC" for n, macs in sorted(card.macs_per_jet.items()))
        or "not given",
        "reference jets": "none" if card.reference is None else str(len(card.reference.counts)),
        "training data": card.training_data,
        "pretraining": json.dumps(card.pretraining) if card.pretraining else "none before this one",
        "made": f"{source.created}, commit {source.git_hash[:12]}, seed {source.seed}",
        "with": packages,
        "card version": str(card.version),
    }
    for name, text in rows.items():
        table.add_row(name, escape(printable(text)))
    for node in (*model.graph.input, *model.graph.output):
        kind = "input" if node in model.graph.input else "output"
        table.add_row(escape(printable(f"{kind} {node.name}")), escape(printable(_shape(node))))
    return table


def _particles(card: ModelCard) -> Table:
    """The fields of a particle in order."""
    table = Table(title="Fields of a particle", title_style="bold", title_justify="left")
    for header in ("#", "field", "unit", "may be absent"):
        table.add_column(header)
    for position, name in enumerate(card.fields):
        table.add_row(
            str(position),
            escape(printable(name)),
            card.units.get(name, ""),
            "yes" if name in card.optional_fields else "",
        )
    return table


def _results(card: ModelCard) -> Table:
    """What it reaches, one result per line."""
    table = Table(title="Results", show_header=False, title_style="bold", title_justify="left")
    table.add_column(style="cyan")
    table.add_column(overflow="fold")
    for name, value in card.results.items():
        table.add_row(escape(printable(name)), escape(printable(words(value))))
    return table


def words(value: Any) -> str:
    """A result of a card on one line.

    >>> words({"accuracy": 0.47859, "auc": 0.8541})
    'accuracy 0.4786, auc 0.8541'

    Parameters
    ----------
    value
        As the card has it: numbers, text, and lists and mappings of them.

    Returns
    -------
    str
    """
    if isinstance(value, dict):
        return ", ".join(f"{name} {words(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return ", ".join(words(inner) for inner in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _weights(model: onnx.ModelProto) -> int:
    """Numbers stored in the graph."""
    total = 0
    for tensor in model.graph.initializer:
        size = 1
        for length in tensor.dims:
            size *= length
        total += size
    return total


def _opset(model: onnx.ModelProto) -> int:
    """Version of the standard operators."""
    return max(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))


def _shape(node: onnx.ValueInfoProto) -> str:
    """Type and axes, ``float [batch, particle, 14]``."""
    tensor = node.type.tensor_type
    axes = ", ".join(axis.dim_param or str(axis.dim_value) for axis in tensor.shape.dim)
    return f"{onnx.TensorProto.DataType.Name(tensor.elem_type).lower()} [{axes}]"
