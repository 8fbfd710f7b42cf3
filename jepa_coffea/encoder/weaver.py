"""WeaverEncoder: taggers that weaver-core exported to ONNX, through the same engine."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

import numpy as np
import onnx
from numpy.typing import NDArray

from jepa_coffea.constituents.record import FIELDS
from jepa_coffea.encoder.batching import MicroBatch
from jepa_coffea.encoder.bindings import Binding, Inputs
from jepa_coffea.encoder.card import ModelError, load_model
from jepa_coffea.encoder.engine import Jets
from jepa_coffea.encoder.outputs import softmax
from jepa_coffea.encoder.ragged_encoder import Placement, RaggedEncoder
from jepa_coffea.encoder.weaver_inputs import Particles, Preprocess

SHORTEST = 32
"""Fewest slots: ParticleNet looks for 16 neighbours in them, and masks those that are empty."""


class WeaverEncoder(RaggedEncoder):
    """A weaver export, opened on a provider; called like :class:`jepa_coffea.encoder.OnnxEncoder`.

    ``fields`` are all canonical ones; the outputs are ``scores`` (class probabilities), and ``embedding`` for a model
    with a second output.

    Parameters
    ----------
    path
        ONNX file with inputs [jet, variable, slot] and the class scores as first output.
    preprocess
        What its preprocess.json says.
    **placement
        As for :class:`jepa_coffea.encoder.OnnxEncoder`.

    Raises
    ------
    ModelError
        If the file is no such model, or preprocess.json does not belong to it.
    ProviderError
        If ONNX Runtime or the provider is missing or does not work.
    """

    fields = FIELDS

    def __init__(self, path: str | Path, preprocess: Preprocess, **placement: Unpack[Placement]) -> None:
        super().__init__(path, **placement)
        self.preprocess = preprocess
        proto = load_model(path)
        self.names, self.widths = outputs(proto, preprocess, str(path))
        self.groups = {name: preprocess.groups[name] for name in inputs_of(proto)}
        self.probabilities = _ends_in_softmax(proto)
        fixed = slots(proto, preprocess, str(path))
        self.longest = preprocess.length if fixed is None else fixed
        self.shortest = self.longest if fixed or preprocess.wraps else min(SHORTEST, self.longest)

    def __call__(self, particles: object, counts: object, jets: object) -> dict[str, NDArray[np.float32]]:
        """See :meth:`RaggedEncoder.__call__`; the outputs are ``scores`` and, where there is one, ``embedding``."""
        found = super().__call__(particles, counts, jets)  # type: ignore[arg-type]
        out = {ours: found[theirs] for ours, theirs in self.names.items()}
        if not self.probabilities:
            out["scores"] = softmax(out["scores"])
        return out

    def feed(self, batch: MicroBatch, binding: Binding, jets: Jets) -> Inputs:
        """Every input group of a micro-batch.

        Parameters
        ----------
        batch
            The micro-batch.
        binding
            Where it runs.
        jets
            The chunk.

        Returns
        -------
        dict of numpy.ndarray
        """
        counts = jets.counts[batch.jets]
        slot = np.arange(batch.length)
        mask = slot < counts[:, None]
        rows = (jets.starts[batch.jets][:, None] + slot)[mask]
        owner = np.repeat(batch.jets, counts)
        particles = Particles(jets.particles[rows], jets.axes[owner])
        first = np.cumsum(counts) - counts
        inputs: Inputs = {}
        for name, group in self.groups.items():
            values = group.values(particles)
            width = values.shape[1]
            shape = (len(counts), batch.length, width)
            if group.pad_mode == "wrap":
                padded = values[first[:, None] + slot % counts[:, None]]
            else:
                padded = binding.buffer(name, int(np.prod(shape)))[: np.prod(shape)].reshape(shape)
                padded[...] = group.pads
                padded[mask] = values
            inputs[name] = np.ascontiguousarray(padded.transpose(0, 2, 1))
        return inputs


def outputs(proto: onnx.ModelProto, preprocess: Preprocess, where: str) -> tuple[dict[str, str], dict[str, int]]:
    """Our names of the outputs to those of the graph, and these to their widths.

    Parameters
    ----------
    proto
        The loaded file.
    preprocess
        What its preprocess.json says.
    where
        Name of the file, for errors.

    Returns
    -------
    tuple of dict
        ``scores``, and ``embedding`` where there is one, to names of the graph's outputs; these to their widths.

    Raises
    ------
    ModelError
        If inputs or outputs are not those that preprocess.json names.
    """
    strangers = [name for name in inputs_of(proto) if name not in preprocess.groups]
    if strangers or not inputs_of(proto):
        msg = f"{where}: preprocess.json describes the inputs {[*preprocess.groups]}, the model has {inputs_of(proto)}"
        raise ModelError(msg)
    first, *others = proto.graph.output
    names, widths = {"scores": first.name}, {first.name: len(preprocess.class_names)}
    declared = _axes(first)
    if len(declared) != 2 or declared[1] not in (None, len(preprocess.class_names)):
        msg = f"{where}: expected {len(preprocess.class_names)} class scores a jet, found {first.name!r} {declared}"
        raise ModelError(msg)
    for other in others[:1]:
        width = _axes(other)[-1] if len(_axes(other)) == 2 else None
        if width is None:
            msg = f"{where}: expected a second output [jet, dim] of fixed width, found {other.name!r} {_axes(other)}"
            raise ModelError(msg)
        names["embedding"], widths[other.name] = other.name, width
    return names, widths


def slots(proto: onnx.ModelProto, preprocess: Preprocess, where: str) -> int | None:
    """The fixed number of particle slots of a model, or None.

    Parameters
    ----------
    proto
        The loaded file.
    preprocess
        What its preprocess.json says.
    where
        Name of the file, for errors.

    Returns
    -------
    int or None

    Raises
    ------
    ModelError
        If an input has another number of variables than preprocess.json says.
    """
    fixed = None
    for node in proto.graph.input:
        if node.name not in preprocess.groups:
            continue
        shape = _axes(node)
        expected = len(preprocess.groups[node.name].var_names)
        if len(shape) != 3 or shape[1] not in (None, expected):
            msg = f"{where}: input {node.name!r}: expected [jet, {expected}, slot], found {shape}"
            raise ModelError(msg)
        fixed = shape[2] or fixed
    return fixed


def inputs_of(proto: onnx.ModelProto) -> list[str]:
    """Inputs of the graph; the exporter drops those that the network does not use, such as the points of ParT.

    Parameters
    ----------
    proto
        The loaded file.

    Returns
    -------
    list of str
    """
    weights = {tensor.name for tensor in proto.graph.initializer}
    return [node.name for node in proto.graph.input if node.name not in weights]


def _axes(node: onnx.ValueInfoProto) -> list[int | None]:
    """Lengths of the axes, None for dynamic ones."""
    return [axis.dim_value if axis.HasField("dim_value") else None for axis in node.type.tensor_type.shape.dim]


def _ends_in_softmax(proto: onnx.ModelProto) -> bool:
    """Whether the first output is made by a softmax: weaver's networks have one when exported for inference."""
    made = {name: node for node in proto.graph.node for name in node.output}
    node = made.get(proto.graph.output[0].name)
    while node is not None and node.op_type in ("Identity", "Cast"):
        node = made.get(node.input[0])
    return node is not None and node.op_type == "Softmax"
