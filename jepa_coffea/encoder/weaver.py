"""WeaverEncoder: taggers that weaver-core exported to ONNX, through the same engine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Unpack

import numpy as np
import onnx
from numpy.typing import NDArray

from jepa_coffea.constituents.record import FIELDS
from jepa_coffea.encoder.batching import MicroBatch
from jepa_coffea.encoder.card import load_model
from jepa_coffea.encoder.engine import Binding, Inputs, Jets
from jepa_coffea.encoder.onnx import Placement, RaggedEncoder
from jepa_coffea.encoder.outputs import Kind, axes, outputs_of, softmax
from jepa_coffea.encoder.weaver_inputs import Particles, Preprocess
from jepa_coffea.errors import ModelError

SHORTEST = 32
"""Fewest slots: ParticleNet looks for 16 neighbours in them, and masks those that are empty."""


class WeaverEncoder(RaggedEncoder):
    """A weaver export, opened on a provider; called like :class:`jepa_coffea.encoder.OnnxEncoder`.

    ``fields`` are all canonical ones; the results are ``scores`` (class probabilities), ``embedding``, and regressions
    by the name of their output, whichever the model has.

    Parameters
    ----------
    path
        ONNX file with inputs [jet, variable, slot].
    preprocess
        What its preprocess.json says.
    outputs
        Name of an output to what it is; see :func:`jepa_coffea.encoder.outputs.outputs_of`.
    **placement
        As for :class:`jepa_coffea.encoder.OnnxEncoder`.

    Raises
    ------
    ModelError
        If the file is no such model, preprocess.json does not belong to it, or an output does not say what it is.
    ProviderError
        If ONNX Runtime or the provider is missing or does not work.
    """

    fields = FIELDS

    def __init__(
        self,
        path: str | Path,
        preprocess: Preprocess,
        outputs: Mapping[str, Kind] | None = None,
        **placement: Unpack[Placement],
    ) -> None:
        super().__init__(path, **placement)
        self.preprocess = preprocess
        proto = load_model(path)
        fixed = slots(proto, preprocess, str(path))
        self.outputs = outputs_of(proto, outputs, len(preprocess.class_names), str(path))
        self.widths = {output.name: output.width for output in self.outputs}
        self.groups = {name: preprocess.groups[name] for name in inputs_of(proto)}
        self.longest = preprocess.length if fixed is None else fixed
        self.shortest = self.longest if fixed or preprocess.wraps else min(SHORTEST, self.longest)
        self.kinds = {output.name: output.kind for output in self.outputs}
        if self._sees_padding():
            self.shortest = self.longest  # as in weaver, which fills every jet up to the same length

    def __call__(self, particles: object, counts: object, jets: object) -> dict[str, NDArray[np.float32]]:
        """See :meth:`RaggedEncoder.__call__`; the results are described above."""
        found = super().__call__(particles, counts, jets)  # type: ignore[arg-type]
        return {
            output.key: softmax(found[output.name]) if output.kind == "logits" else found[output.name]
            for output in self.outputs
        }

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


def slots(proto: onnx.ModelProto, preprocess: Preprocess, where: str) -> int | None:
    """The fixed number of particle slots of a model.

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
        None for a dynamic axis.

    Raises
    ------
    ModelError
        If inputs are not those that preprocess.json describes.
    """
    names = inputs_of(proto)
    strangers = [name for name in names if name not in preprocess.groups]
    if strangers or not names:
        msg = f"{where}: preprocess.json describes the inputs {[*preprocess.groups]}, the model has {names}"
        raise ModelError(msg)
    fixed = {}
    for node in proto.graph.input:
        if node.name not in names:
            continue
        shape = axes(node)
        expected = len(preprocess.groups[node.name].var_names)
        if len(shape) != 3 or shape[1] not in (None, expected):
            msg = f"{where}: input {node.name!r}: expected [jet, {expected}, slot], found {shape}"
            raise ModelError(msg)
        fixed[node.name] = shape[2]
    said = {name: preprocess.groups[name].var_length for name in names}
    lengths = {length for length in fixed.values() if length is not None}
    if len({*said.values()} | lengths) > 1:
        of_graph = f", of its graph {fixed}" if lengths else ""
        msg = (
            f"{where}: numbers of slots of its inputs: by preprocess.json (var_length) {said}{of_graph}; expected one "
            "for all, as they hold the same particles. Does preprocess.json belong to this file?"
        )
        raise ModelError(msg)
    return next(iter(lengths), None)


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
