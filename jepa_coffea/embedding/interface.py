"""What a model file takes and gives, known without opening it for inference."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from jepa_coffea.constituents.record import FIELDS
from jepa_coffea.encoder.card import load_model, read_card
from jepa_coffea.encoder.outputs import Kind, outputs_of
from jepa_coffea.encoder.weaver import slots
from jepa_coffea.encoder.weaver_inputs import parse_preprocess


@dataclass(frozen=True)
class Interface:
    """The fields that a model takes and the columns that it returns, known without a session."""

    name: str
    fields: tuple[str, ...]
    optional_fields: tuple[str, ...]
    embedding_dim: int | None
    class_names: tuple[str, ...]
    scale: str | None = None
    """``blind`` to the scale of the jets, or ``seen``; None of a file without a card."""
    regressions: tuple[tuple[str, int], ...] = ()
    """Names of other outputs, and their width."""


class WeaverFiles(NamedTuple):
    """What a weaver export needs besides its ONNX file."""

    preprocess: str
    """Content of its preprocess.json."""
    outputs: tuple[tuple[str, Kind], ...] | None
    """What its outputs are, where its user says so."""


@lru_cache(maxsize=32)
def card_interface(path: Path, digest: str) -> Interface:  # noqa: ARG001  the hash keys the cache
    """Of a file with a card.

    Parameters
    ----------
    path
        The ONNX file.
    digest
        Its SHA-256.

    Returns
    -------
    Interface
    """
    card = read_card(path)
    return Interface(card.name, card.fields, card.optional_fields, card.embedding_dim, card.class_names, card.scale)


@lru_cache(maxsize=32)
def weaver_interface(path: Path, digest: str, files: WeaverFiles) -> Interface:  # noqa: ARG001
    """Of a weaver export.

    Parameters
    ----------
    path
        The ONNX file.
    digest
        Its SHA-256.
    files
        What belongs to it.

    Returns
    -------
    Interface
    """
    preprocess = parse_preprocess(files.preprocess, str(path))
    proto = load_model(path)
    slots(proto, preprocess, str(path))
    stated = None if files.outputs is None else dict(files.outputs)
    found = {output.key: output for output in outputs_of(proto, stated, len(preprocess.class_names), str(path))}
    absent = tuple(name for name in FIELDS if name not in preprocess.fields)
    return Interface(
        path.stem,
        FIELDS,
        absent,
        found["embedding"].width if "embedding" in found else None,
        preprocess.class_names if "scores" in found else (),
        regressions=tuple((name, output.width) for name, output in found.items() if output.kind == "regression"),
    )
