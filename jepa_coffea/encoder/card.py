"""The model card: what an encoder file says of itself, as JSON in the ONNX metadata."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import onnx
from onnx.external_data_helper import uses_external_data
from pydantic import BaseModel, ConfigDict, Field, model_validator

from jepa_coffea.constituents.record import FIELDS, SUBJET, UNITS
from jepa_coffea.encoder.model_files import resolve
from jepa_coffea.errors import ModelError
from jepa_coffea.files import bytes_hash

KEY = "jepa_coffea.card"
"""Name of the entry of the ONNX metadata that holds the card."""

VERSION = 1
"""Version of the card's schema that this code writes, and the newest it reads."""

SEAL = "jepa_coffea.sha256"
"""Name of the entry that holds the SHA-256 of the file, as it is with zeros in the place of these 64 digits."""

_BEFORE = SEAL.encode() + b"\x12\x40"
"""What stands before the digits in the file: the key, and protobuf's word for a text of 64 bytes."""

_BLANK = b"0" * 64

TOLERANCE = {"fp32": 1e-4, "fp16": 2e-2, "int8": 5e-2}
"""By precision, the largest ``|here - reference| / max |reference|`` of two runs: other hardware and other batches
sum in another order."""


class CardError(ModelError):
    """A file without a card, or with one that this version cannot read."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Provenance(_Part):
    """Where the weights came from."""

    git_hash: str
    config: dict[str, Any]
    seed: int
    packages: dict[str, str]
    """Package name to version."""
    created: str
    """UTC, ISO 8601."""


class Parity(_Part):
    """How far the ONNX file is from the PyTorch module it was exported from, as measured at export."""

    max_relative: float
    """Largest ``|onnx - torch| / max |torch|`` of any output of any tested batch."""
    jets: int
    """Number of jets compared."""


class Drift(_Part):
    """How far a file of reduced precision is from the fp32 file it was made from."""

    max_relative: float
    """Largest ``|reduced - fp32| / max |fp32|`` of an embedding."""
    min_cosine: float
    """Smallest cosine between an embedding and its fp32 original."""
    jets: int
    """Number of jets compared."""


class MassLeakage(_Part):
    """How well a linear fit tells the mass of a dijet from the embeddings of its jets, on events not fitted to."""

    r2: float
    """Part R^2 of the variance of m_jj that it explains; a search in m_jj wants 0."""
    events: int
    mjj: tuple[float, float]
    """Smallest and largest m_jj of the events, GeV: the wider the range, the larger is R^2."""
    sample: str
    """Name of their data set."""

    def __str__(self) -> str:
        low, high = self.mjj
        events = f"{self.events} events of {low:.0f} to {high:.0f} GeV ({self.sample})"
        return f"R^2 {self.r2:.3f} of a linear fit to m_jj, {events}"


class Reference(_Part):
    """A few jets and what the file gave for them, so that any machine can check that it still does."""

    counts: list[int]
    """Particles per jet."""
    particles: list[list[float]]
    """All particles one after the other, [sum(counts), field]."""
    jets: list[list[float]]
    """[jet, 4]."""
    outputs: dict[str, list[list[float]]]
    """Name of an output to its values, [jet, dim]."""


class ModelCard(_Part):
    """Everything a user of an encoder file has to know; it travels in the file's metadata.

    Examples
    --------
    >>> from jepa_coffea import read_card
    >>> card = read_card("pjepa-mini-4")
    >>> card.objective, card.fields[:4], card.units["d0"]
    ('pjepa', ('px', 'py', 'pz', 'energy'), 'mm')
    """

    version: int = VERSION
    name: str
    objective: str
    """``pjepa``, ``jjepa``, ``supervised``, ..."""
    fields: tuple[str, ...]
    """Meaning and order of the last axis of the input ``particles``."""
    optional_fields: tuple[str, ...] = ()
    """Fields dropped at random in training: only these may be absent from the events, and are then 0."""
    units: dict[str, str] = Field(default_factory=dict)
    max_particles: int = Field(gt=0)
    """More particles than this in a jet: the hardest are kept."""
    embedding_dim: int = Field(gt=0)
    class_names: tuple[str, ...] = ()
    """Names of the columns of the output ``logits``; empty when there is no such output."""
    particle_embedding: bool = False
    """Whether the file also has the output ``particle_embedding`` [batch, particle, dim]."""
    scaled_to_jet_pt: bool = False
    """Whether momenta are divided by the jet's pT inside the file and nothing else shows that; see :attr:`scale`."""
    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    macs_per_jet: dict[int, float] = Field(default_factory=dict)
    """Multiply-accumulates of one jet at a few multiplicities."""
    training_data: str
    pretraining: dict[str, Any] = Field(default_factory=dict)
    """Of a fine-tuned model, how its encoder was trained before: name, objective, files, steps."""
    provenance: Provenance
    parity: Parity | None = None
    drift: Drift | None = None
    """Of files in another precision than fp32."""
    reference: Reference | None = None
    mass_leakage: MassLeakage | None = None
    """What the embeddings of both jets tell of the dijet mass, where that was measured."""
    results: dict[str, Any] = Field(default_factory=dict)
    """What the encoder reaches on named test sets."""

    @property
    def scale(self) -> Literal["blind", "seen"]:
        """Whether the embedding is blind to the scale of the jets, as searches in a mass want it, or sees it.

        Returns
        -------
        str
        """
        return "blind" if self.scaled_to_jet_pt else "seen"

    @model_validator(mode="after")
    def _known_fields(self) -> ModelCard:
        unknown = [name for name in self.fields if name not in (*FIELDS, SUBJET)]
        if unknown:
            msg = f"fields: unknown {unknown}; a card may name {[*FIELDS, SUBJET]}"
            raise ValueError(msg)
        again = sorted({name for name in self.fields if self.fields.count(name) > 1})
        if again:
            msg = f"fields: {again} more than once; expected the meaning of each column of the particles"
            raise ValueError(msg)
        twice = sorted({name for name in self.class_names if self.class_names.count(name) > 1})
        if twice:
            msg = f"class_names: {twice} more than once; columns of scores need names of their own"
            raise ValueError(msg)
        stray = [name for name in self.optional_fields if name not in self.fields]
        if stray:
            msg = f"optional_fields: {stray} are not among fields {list(self.fields)}"
            raise ValueError(msg)
        wrong = {name: unit for name, unit in self.units.items() if UNITS.get(name) != unit}
        if wrong:
            msg = f"units: got {wrong}, expected { ({name: UNITS.get(name) for name in wrong}) }"
            raise ValueError(msg)
        return self


def write_card(model: onnx.ModelProto, card: ModelCard) -> None:
    """Put ``card`` into the metadata of ``model``, replacing the one that is there.

    Parameters
    ----------
    model
        Changed in place.
    card
        What to write.
    """
    kept = [prop for prop in model.metadata_props if prop.key not in (KEY, SEAL)]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    entry = model.metadata_props.add()
    entry.key, entry.value = KEY, card.model_dump_json()


def save_model(model: onnx.ModelProto, path: Path) -> None:
    """Write a model with its card and a hash of the whole file, which :func:`load_model` looks at.

    Parameters
    ----------
    model
        With its card; it is given an entry for the hash.
    path
        The file.
    """
    entry = model.metadata_props.add()
    entry.key, entry.value = SEAL, _BLANK.decode()
    content = model.SerializeToString()
    path.write_bytes(content.replace(_BEFORE + _BLANK, _BEFORE + bytes_hash(content).encode()))


def _intact(content: bytes) -> bool:
    """Whether a file is as it was written, as far as it says; files of other tools say nothing."""
    start = content.rfind(_BEFORE) + len(_BEFORE)
    if start < len(_BEFORE):
        return True
    stop = start + len(_BLANK)
    return content[start:stop] == bytes_hash(content[:start] + _BLANK + content[stop:]).encode()


def parse_card(text: str, where: str) -> ModelCard:
    """Card from its JSON; ``where`` names the file in errors.

    Parameters
    ----------
    text
        JSON.
    where
        Name of the file, for errors.

    Returns
    -------
    ModelCard

    Raises
    ------
    CardError
        If the JSON is no card, or of a newer version than this code knows.
    """
    try:
        content = json.loads(text)
        version = int(content["version"])
    except (ValueError, KeyError, TypeError) as error:
        msg = f"{where}: the entry {KEY!r} of its metadata is not a model card ({error})"
        raise CardError(msg) from None
    if version > VERSION:
        msg = f"{where}: card version {version}, this jepa-coffea reads up to {VERSION}; upgrade jepa-coffea"
        raise CardError(msg)
    try:
        return ModelCard.model_validate(content)
    except ValueError as error:
        msg = f"{where}: invalid model card: {error}"
        raise CardError(msg) from None


def load_model(path: str | Path) -> onnx.ModelProto:
    """The ONNX file as protobuf, checked to be whole and self-contained.

    Parameters
    ----------
    path
        The ONNX file.

    Returns
    -------
    onnx.ModelProto

    Raises
    ------
    ModelError
        If it is missing, not ONNX, damaged, or keeps tensors in other files.
    """
    path = Path(path)
    if not path.is_file():
        msg = f"{path}: no such model file"
        raise ModelError(msg)
    try:
        content = path.read_bytes()
        model = onnx.load_from_string(content)
    except Exception as error:  # noqa: BLE001  the protobuf decoder has no error type of its own
        msg = f"{path}: not a readable ONNX file ({error})"
        raise ModelError(msg) from None
    if not model.graph.output:
        msg = f"{path}: not a readable ONNX file (it has no graph)"
        raise ModelError(msg)
    if not _intact(content):
        msg = (
            f"{path}: damaged, or changed by another tool: its hash is not the one that it was written with; fetch or "
            f"export it again, or delete its metadata entry {SEAL!r} if the change is meant"
        )
        raise ModelError(msg)
    outside = [tensor.name for tensor in tensors(model) if uses_external_data(tensor)]
    if outside:
        msg = f"{path}: keeps {len(outside)} tensors ({outside[0]!r}, ...) in other files; expected all in this one"
        raise ModelError(msg)
    return model


def tensors(message: Any) -> Iterator[onnx.TensorProto]:
    """Every tensor stored anywhere in a model: weights, constants, those of branches, functions and sparse tensors.

    Parameters
    ----------
    message
        A model, or any part of one.
    """
    if isinstance(message, onnx.TensorProto):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in (value,) if hasattr(value, "ListFields") else value:
                yield from tensors(part)


def read_card(path: str | Path) -> ModelCard:
    """Read the model card of an ONNX file without loading its weights into a session.

    Parameters
    ----------
    path
        The ONNX file, or the name of a shipped model.

    Returns
    -------
    ModelCard

    Raises
    ------
    ModelError
        If the file is missing, not a self-contained ONNX file, or has no card (CardError).

    Examples
    --------
    >>> from jepa_coffea import read_card
    >>> card = read_card("pjepa-mini-4")
    >>> card.name, card.precision
    ('pjepa-mini-4', 'fp32')
    """

    return card_in(load_model(resolve(path)), str(path))


def has_card(model: onnx.ModelProto) -> bool:
    """Whether there is a card, of whatever version.

    Parameters
    ----------
    model
        A loaded file.

    Returns
    -------
    bool
    """
    return any(prop.key == KEY for prop in model.metadata_props)


def card_in(model: onnx.ModelProto, where: str) -> ModelCard:
    """The card of a loaded file; ``where`` names it in errors.

    Parameters
    ----------
    model
        A loaded file.
    where
        Name of the file, for errors.

    Returns
    -------
    ModelCard

    Raises
    ------
    CardError
        If it has none, or one that is not valid.
    """
    for prop in model.metadata_props:
        if prop.key == KEY:
            return parse_card(prop.value, where)
    msg = f"{where}: has no {KEY!r} in its metadata; weaver exports load with JEPAEmbedder.from_weaver"
    raise CardError(msg)
