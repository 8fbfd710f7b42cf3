"""What a model takes and gives, from its file alone: enough for typetracers and empty chunks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jepa_coffea.constituents.layout import Layout
from jepa_coffea.constituents.record import FIELDS, SUBJET, LayoutError
from jepa_coffea.encoder.card import load_model, read_card
from jepa_coffea.encoder.outputs import Kind, outputs_of, softmax
from jepa_coffea.encoder.weaver import slots
from jepa_coffea.encoder.weaver_inputs import parse_preprocess


@dataclass(frozen=True)
class Interface:
    """What a model takes and gives, known without a session."""

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


def empty_outputs(interface: Interface) -> dict[str, NDArray[np.float32]]:
    """What a model gives for no jets.

    Parameters
    ----------
    interface
        Of the model.

    Returns
    -------
    dict of numpy.ndarray
        ``embedding`` [0, dim] and ``scores`` [0, class].
    """
    widths = {"embedding": interface.embedding_dim or 0, "scores": len(interface.class_names)}
    widths |= dict(interface.regressions)
    return {name: np.zeros((0, width), dtype=np.float32) for name, width in widths.items()}


def named(outputs: Mapping[str, NDArray[np.float32]], interface: Interface) -> dict[str, NDArray[np.float32]]:
    """Outputs of a model as columns: ``embedding`` [jet, dim], ``score_<class>`` [jet], and regressions by their name.

    Parameters
    ----------
    outputs
        ``embedding`` [jet, dim], and ``scores`` or ``logits`` [jet, class].
    interface
        Of the model.

    Returns
    -------
    dict of numpy.ndarray
    """
    columns = {} if interface.embedding_dim is None else {"embedding": outputs["embedding"]}
    if interface.class_names:
        scores = outputs["scores"] if "scores" in outputs else softmax(outputs["logits"])
        columns |= {f"score_{name}": scores[:, i] for i, name in enumerate(interface.class_names)}
    for name, width in interface.regressions:
        columns[name] = outputs[name][:, 0] if width == 1 else outputs[name]
    return columns


def fields_to_read(interface: Interface, layout: Layout, file: str) -> list[str]:
    """All fields that the model in ``file`` needs, less those that it may do without and the layout lacks.

    Parameters
    ----------
    interface
        Of the model.
    layout
        Of the events.
    file
        Name of the model file, for errors.

    Returns
    -------
    list of str

    Raises
    ------
    LayoutError
        If the layout lacks one that the model cannot do without.
    """
    lacking = [name for name in interface.fields if name not in (*layout.fields, SUBJET)]
    needed = [name for name in lacking if name not in interface.optional_fields]
    if needed:
        msg = (
            f"layout {layout.name!r} cannot give {needed}, which the model {interface.name!r} ({file}) "
            f"needs; it may only do without {list(interface.optional_fields)}"
        )
        raise LayoutError(msg)
    return [name for name in interface.fields if name not in lacking]
