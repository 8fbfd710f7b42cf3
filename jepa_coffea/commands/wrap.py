"""``jepa-coffea wrap model.onnx --card card.yaml``: another project's encoder as one of this project's files."""

from __future__ import annotations

import argparse
import datetime
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from rich.console import Console

from jepa_coffea.documents import Section, read_document
from jepa_coffea.encoder.card import ModelCard
from jepa_coffea.encoder.model_files import model_hash
from jepa_coffea.encoder.wrapping import Axes, wrap
from jepa_coffea.errors import ModelError
from jepa_coffea.files import printable


class CardDocument(Section):
    """What a user has to say of a graph that says nothing of itself."""

    name: str
    training_data: str
    """What it was trained on, in words."""
    fields: tuple[str, ...]
    """Meaning and order of the particle axis, see ``jepa_coffea.constituents.FIELDS``."""
    max_particles: int = Field(gt=0)
    inputs: dict[Literal["particles", "mask", "jets"], str]
    """Names in the graph."""
    outputs: dict[Literal["embedding", "logits", "scores"], str]
    """Names in the graph."""
    particle_axes: Axes = "jet, particle, field"
    objective: str = "not stated"
    optional_fields: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    scaled_to_jet_pt: bool = False
    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    results: dict[str, Any] = Field(default_factory=dict)
    git_hash: str = "not stated"
    """Of the code that trained it."""
    seed: int = 0
    config: dict[str, Any] = Field(default_factory=dict)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments.

    Parameters
    ----------
    parser
        Of the sub-command.
    """
    parser.add_argument("model", type=Path, help="ONNX file")
    parser.add_argument("--card", type=Path, required=True, help="YAML document that says what the model is")
    parser.add_argument("--output", type=Path, help="file to write; default: MODEL.jepa.onnx beside the model")


def run(arguments: argparse.Namespace) -> int:
    """Wrap the model, and say where it is.

    Parameters
    ----------
    arguments
        Of the command line.

    Returns
    -------
    int
        0.

    Raises
    ------
    ModelError
        If the card is not valid, the model cannot be wrapped, or the output is the model itself.
    """
    _refuse_weaver(arguments.card, arguments.model)
    document = read_document(arguments.card, CardDocument, ModelError)
    output = arguments.output or arguments.model.with_suffix(".jepa.onnx")
    if output.resolve() == arguments.model.resolve():
        msg = f"{output}: is the model itself; expected another file to write"
        raise ModelError(msg)
    content = document.model_dump(exclude={"inputs", "outputs", "particle_axes", "git_hash", "seed", "config"})
    content["provenance"] = {
        "git_hash": document.git_hash,
        "config": {**document.config, "wrapped": arguments.model.name, "wrapped_sha256": model_hash(arguments.model)},
        "seed": document.seed,
        "packages": {name: version(name) for name in ("jepa-coffea", "onnx")},
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    card = wrap(
        arguments.model,
        output,
        content,
        inputs={str(name): inner for name, inner in document.inputs.items()},
        outputs={str(name): inner for name, inner in document.outputs.items()},
        particle_axes=document.particle_axes,
    )
    Console().print(printable(summary(card, output)), markup=False, highlight=False, soft_wrap=True)
    return 0


def _refuse_weaver(card: Path, model: Path) -> None:
    """Say what to do with a weaver export: its preprocess.json makes the inputs, and its graph gives no embedding."""
    try:
        content = json.loads(card.read_bytes())
    except (OSError, ValueError, RecursionError):
        return
    if isinstance(content, dict) and {"input_names", "output_names"} <= set(content):
        msg = (
            f"{card}: is weaver's preprocess.json, by which the inputs of {model} are made outside of its graph, so "
            f"that they make no single file; open both in Python: JEPAEmbedder.from_weaver({str(model)!r}, "
            f"{str(card)!r})"
        )
        raise ModelError(msg)


def summary(card: ModelCard, path: Path) -> str:
    """What was written.

    Parameters
    ----------
    card
        Of the file.
    path
        Of the file.

    Returns
    -------
    str
    """
    classes = f" and {len(card.class_names)} class scores" if card.class_names else ""
    jets = len(card.reference.counts) if card.reference is not None else 0
    return (
        f"{path}: {card.name}, {card.embedding_dim} numbers per jet{classes}; {jets} reference jets agree alone and "
        f"together. Look at it with `jepa-coffea inspect {path}`, check it with `jepa-coffea validate {path}`"
    )
