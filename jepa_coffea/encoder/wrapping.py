"""Another project's ONNX encoder as one of this project's files: adapted inputs and outputs, a card, a self-test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnx.compose import add_prefix
from pydantic import ValidationError

from jepa_coffea.encoder.card import TOLERANCE, ModelCard, Reference, load_model, save_model, write_card
from jepa_coffea.encoder.onnx import OnnxEncoder
from jepa_coffea.encoder.outputs import axes
from jepa_coffea.encoder.proof import ROUNDING, plausible_jets
from jepa_coffea.encoder.session import release
from jepa_coffea.errors import ModelError
from jepa_coffea.files import file_hash, replacing

INPUTS = ("particles", "mask", "jets")
OUTPUTS = ("embedding", "logits", "scores")

Axes = Literal["jet, particle, field", "jet, field, particle"]

PREFIX = "wrapped/"
"""Before every name of the graph that is wrapped, so that none collides with one of the contract."""

OLDEST = 13
"""Opset from which on the nodes that adapt inputs are written."""

JETS = 8
"""Reference jets of the self-test."""


def wrap(
    source: str | Path,
    target: Path,
    card: Mapping[str, Any],
    *,
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    particle_axes: Axes = "jet, particle, field",
) -> ModelCard:
    """Write an encoder file of this project around a graph.

    Parameters
    ----------
    source
        ONNX file. Its inputs may be of any float type; a mask may be bool or numbers, [jet, particle],
        [jet, 1, particle] or [jet, particle, 1].
    target
        File to write.
    card
        Entries of the model card, without ``embedding_dim`` and ``reference``.
    inputs
        ``particles``, ``mask`` and, where it is used, ``jets`` to the names of the inputs in the graph.
    outputs
        ``embedding``, and ``logits`` or ``scores`` (probabilities) where there are classes, to names of outputs.
    particle_axes
        Axes of the input with the particles.

    Returns
    -------
    ModelCard
        What was written, reference jets included.

    Raises
    ------
    ModelError
        If the graph does not have these inputs and outputs, or its outputs depend on padding or on other jets.
    """
    proto = load_model(source)
    opset = max(entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx"))
    if opset < OLDEST:
        msg = f"{source}: opset {opset}; expected {OLDEST} or newer (onnx.version_converter.convert_version raises it)"
        raise ModelError(msg)
    given = {
        node.name: node for node in proto.graph.input if node.name not in {t.name for t in proto.graph.initializer}
    }
    made = {node.name: node for node in proto.graph.output}
    _require(source, "inputs", inputs, INPUTS, ("particles", "mask"), given)
    _require(source, "outputs", outputs, OUTPUTS, ("embedding",), made)
    _require_classes(source, card.get("class_names", ()), outputs)
    spare = sorted(set(given) - set(inputs.values()))
    if spare:
        msg = f"{source}: inputs: {spare} of the graph are given nothing; expected each of {sorted(given)} to be named"
        if any(name.startswith("pf_") for name in spare):
            msg += "; a model that weaver exported is opened by JEPAEmbedder.from_weaver, with its preprocess.json"
        raise ModelError(msg)
    _require_axes(source, axes(given[inputs["particles"]]), particle_axes, len(card["fields"]))
    wrapped = add_prefix(proto, PREFIX)
    before = [node for name in inputs for node in _adapt(name, given[inputs[name]], particle_axes)]
    after, declared = [], []
    for name, inner in outputs.items():
        after += _result(name, f"{PREFIX}{inner}")
        width = axes(made[inner])[-1]
        declared.append(helper.make_tensor_value_info(_contract_name(name), TensorProto.FLOAT, ["batch", width]))
    fields = len(card["fields"])
    shapes = {"particles": ["batch", "particle", fields], "mask": ["batch", "particle"], "jets": ["batch", 4]}
    kinds = {"mask": TensorProto.BOOL}
    nodes = [*before, *wrapped.graph.node, *after]
    del wrapped.graph.node[:], wrapped.graph.input[:], wrapped.graph.output[:], wrapped.metadata_props[:]
    wrapped.graph.node.extend(nodes)
    wrapped.graph.input.extend(
        helper.make_tensor_value_info(name, kinds.get(name, TensorProto.FLOAT), shapes[name]) for name in inputs
    )
    wrapped.graph.output.extend(declared)
    dim = axes(made[outputs["embedding"]])[-1]
    if dim is None:
        msg = f"{source}: the output {outputs['embedding']!r} has no fixed width; expected [jet, dim]"
        raise ModelError(msg)
    with replacing(target) as temporary:
        try:
            bare = ModelCard.model_validate({**card, "embedding_dim": dim, "reference": None})
        except ValidationError as error:
            said = [problem["msg"].removeprefix("Value error, ") for problem in error.errors()]
            msg = f"{source}: card: {'; '.join(said)}"
            raise ModelError(msg) from None
        _write(wrapped, bare, temporary)
        try:
            reference = _reference(temporary, source, bare, probabilities="scores" in outputs)
            complete = bare.model_copy(update={"reference": reference})
            _write(wrapped, complete, temporary)
            release(file_hash(OnnxEncoder(temporary, provider="cpu").path))
        except ModelError as error:
            raise ModelError(str(error).replace(str(temporary), str(source))) from None
    return complete


def _require_axes(source: str | Path, shape: Sequence[int | None], particle_axes: Axes, fields: int) -> None:
    at = particle_axes.split(", ").index("field")
    if len(shape) != 3 or shape[at] not in (None, fields) or (shape[at] is None and shape[3 - at] == fields):
        msg = (
            f"{source}: inputs: the one with the particles is {[*shape]}; expected [{particle_axes}] with {fields} "
            "fields, as the card has it; particle_axes says which axis is which"
        )
        raise ModelError(msg)


def _require_classes(source: str | Path, classes: Sequence[str], outputs: Mapping[str, str]) -> None:
    stated = [name for name in ("logits", "scores") if name in outputs]
    if bool(stated) != bool(classes):
        lacks = f"outputs name {stated[0]!r}, class_names nothing" if stated else f"no output for {list(classes)}"
        msg = f"{source}: {lacks}; expected class_names, and logits or scores among the outputs, or none of them"
        raise ModelError(msg)


def _require(
    source: str | Path,
    what: str,
    named: Mapping[str, str],
    known: tuple[str, ...],
    needed: tuple[str, ...],
    there: Mapping[str, Any],
) -> None:
    wrong = [name for name in named if name not in known] + [name for name in needed if name not in named]
    absent = [name for name in named.values() if name not in there]
    if wrong or absent or {"logits", "scores"} <= set(named):
        msg = (
            f"{source}: {what}: expected {', '.join(needed)} and at most {', '.join(known)}, each with a name of the "
            f"graph ({', '.join(sorted(there))}); got {dict(named)}"
        )
        raise ModelError(msg)


def _adapt(name: str, node: onnx.ValueInfoProto, particle_axes: Axes) -> list[onnx.NodeProto]:
    """From an input of the contract to one of the graph."""
    steps: list[tuple[str, dict[str, Any]]] = [("Cast", {"to": node.type.tensor_type.elem_type})]
    shape = axes(node)
    if name == "particles" and particle_axes == "jet, field, particle":
        steps.append(("Transpose", {"perm": [0, 2, 1]}))
    nodes, current = [], name
    for number, (kind, attributes) in enumerate(steps):
        out = f"{name}_{number}"
        nodes.append(helper.make_node(kind, [current], [out], **attributes))
        current = out
    if name == "mask" and len(shape) == 3:
        axis = 1 if shape[1] == 1 else 2
        nodes.append(helper.make_node("Constant", [], ["mask_axis"], value_ints=[axis]))
        nodes.append(helper.make_node("Unsqueeze", [current, "mask_axis"], ["mask_3"]))
        current = "mask_3"
    return [*nodes, helper.make_node("Identity", [current], [f"{PREFIX}{node.name}"])]


def _result(name: str, inner: str) -> list[onnx.NodeProto]:
    """From an output of the graph to one of the contract; the softmax of log p is p."""
    if name != "scores":
        return [helper.make_node("Cast", [inner], [name], to=TensorProto.FLOAT)]
    cast = helper.make_node("Cast", [inner], ["probabilities"], to=TensorProto.FLOAT)
    tiny = helper.make_node("Constant", [], ["tiny"], value_float=float(np.finfo(np.float32).tiny))
    clipped = helper.make_node("Max", ["probabilities", "tiny"], ["positive"])
    return [cast, tiny, clipped, helper.make_node("Log", ["positive"], ["logits"])]


def _contract_name(name: str) -> str:
    return "logits" if name == "scores" else name


def _write(model: onnx.ModelProto, card: ModelCard, path: Path) -> None:
    write_card(model, card)
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        msg = f"{card.name}: cannot be wrapped ({str(error).splitlines()[0]})"
        raise ModelError(msg) from None
    save_model(model, path)


def _reference(path: Path, source: str | Path, card: ModelCard, *, probabilities: bool) -> Reference:
    """A few jets and what the file gives for them, after checking that each gives the same alone."""
    counts = np.linspace(1, min(card.max_particles, 40), JETS).astype(np.int64)
    particles, jets = plausible_jets(card.fields, counts)
    encoder = OnnxEncoder(path, provider="cpu")
    shortest, encoder.shortest = encoder.shortest, int(counts.max())  # all padded to the longest
    together = encoder(particles, counts, jets)
    encoder.shortest = shortest
    start = np.cumsum(counts) - counts
    for name, values in together.items():
        if not np.isfinite(values).all():
            msg = f"{source}: {name!r} of plausible jets is not finite; are mask, fields and their units right?"
            raise ModelError(msg)
        total = np.exp(values).sum(axis=1)
        if name == "logits" and probabilities and not (np.abs(total - 1) < ROUNDING).all():
            msg = (
                f"{source}: outputs: scores must be probabilities that add up to 1, got sums of {total.min():.3g} to "
                f"{total.max():.3g}. What comes before a softmax is 'logits'; scores of a sigmoid have no place in "
                "this form, leave them and class_names out"
            )
            raise ModelError(msg)
        allowed = TOLERANCE[card.precision] * np.abs(values).max()
        for jet in range(len(counts)):
            rows = slice(start[jet], start[jet] + counts[jet])
            alone = encoder(particles[rows], counts[jet : jet + 1], jets[jet : jet + 1])[name][0]
            difference = np.abs(alone - values[jet]).max()
            if not difference <= allowed:
                msg = (
                    f"{source}: {name!r} of a jet differs by {difference:.2g} beside longer jets: it sees padding or "
                    "the batch. Is the mask the right way round (true where there is a particle)?"
                )
                raise ModelError(msg)
    return Reference(
        counts=counts.tolist(),
        particles=particles.tolist(),
        jets=jets.tolist(),
        outputs={name: values.tolist() for name, values in together.items()},
    )
