"""From an exported fp32 encoder to a smaller, faster file, with its measured drift in the card.

fp16 is for GPUs, int8 for CPUs. In both, everything before the first learned matrix product stays fp32: preprocessing
and pair features take logarithms of small differences, which half precision cannot hold.
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from jepa_coffea.encoder.card import Drift, ModelCard, card_in, load_model, save_model, write_card
from jepa_coffea.files import replacing
from training.exporting.onnx_graph import ExportError, Session, example_jets, reference_jets

NARROWEST = 32
"""Matrix products over fewer inputs than this stay fp32 in int8 files: rounding costs most there, and time least."""

LEAST_COSINE = 0.999
"""Of an int8 embedding with its fp32 original, on any of the jets that the drift is measured on."""

DRIFT_SEEDS = 4
"""Batches of 16 jets that the drift is measured on."""


def reduce_precision(source: str | Path, output: str | Path, precision: Literal["fp16", "int8"]) -> ModelCard:
    """Write an exported encoder in lower precision.

    Parameters
    ----------
    source
        Encoder file in fp32.
    output
        The file to write.
    precision
        fp16 for GPUs, int8 for CPUs.

    Returns
    -------
    ModelCard
        The card of the new file, with the measured drift of its embeddings.

    Raises
    ------
    ModelError
        If the source is no encoder file.
    ExportError
        If it is not fp32, or no matrix of it is accurate enough in int8.
    """
    original = load_model(source)
    card = card_in(original, str(source))
    if card.precision != "fp32":
        msg = f"{source}: expected an fp32 file, its card says {card.precision}"
        raise ExportError(msg)
    model = _to_fp16(original) if precision == "fp16" else _to_int8(original, card)
    new = card.model_copy(
        update={
            "precision": precision,
            "parity": None,
            "drift": _measure_drift(original, model, card),
            "reference": reference_jets(model, fields=card.fields, max_particles=card.max_particles),
        }
    )
    write_card(model, new)
    onnx.checker.check_model(model)
    with replacing(Path(output)) as temporary:
        save_model(model, temporary)
    return new


def _learned(model: onnx.ModelProto) -> set[str]:
    """Names of all tensors that depend on a product with a weight matrix."""
    matrices = {tensor.name for tensor in model.graph.initializer if len(tensor.dims) == 2}
    found: set[str] = set()
    for node in model.graph.node:
        product = node.op_type in ("MatMul", "Gemm") and any(name in matrices for name in node.input)
        if product or any(name in found for name in node.input):
            found.update(node.output)
    return found


def _to_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """All that depends on learned matrix products in half precision, inputs and outputs as they were."""
    new = onnx.ModelProto()
    new.CopyFrom(model)
    graph = new.graph
    half = _learned(model)
    floats = _float_tensors(model)
    weights = {tensor.name: tensor for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT}
    nodes: list[onnx.NodeProto] = []
    casts: dict[str, str] = {}

    def halved(name: str) -> str:
        """Name of the half-precision version of an fp32 tensor or weight."""
        if name not in casts:
            casts[name] = f"{name}_fp16"
            if name in weights:
                values = numpy_helper.to_array(weights[name])
                finite = np.finfo(np.float16)
                graph.initializer.append(
                    numpy_helper.from_array(values.clip(finite.min, finite.max).astype(np.float16), casts[name])
                )
            else:
                nodes.append(helper.make_node("Cast", [name], [casts[name]], to=TensorProto.FLOAT16))
        return casts[name]

    for node in model.graph.node:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        if any(name in half for name in node.output):
            for position, name in enumerate(node.input):
                if name in weights or (name in floats and name not in half):
                    copy.input[position] = halved(name)
            for attribute in copy.attribute:
                if copy.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
                    attribute.i = TensorProto.FLOAT16
        nodes.append(copy)
    for output in graph.output:
        if output.name in half:
            inner = f"{output.name}_fp16"
            for node in nodes:
                for names in (node.input, node.output):
                    for position, name in enumerate(names):
                        if name == output.name:
                            names[position] = inner
            nodes.append(helper.make_node("Cast", [inner], [output.name], to=TensorProto.FLOAT))
    del graph.node[:]
    graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return new


def _float_tensors(model: onnx.ModelProto) -> set[str]:
    """Names of all fp32 tensors between nodes."""
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    values = (*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output)
    return {value.name for value in values if value.type.tensor_type.elem_type == TensorProto.FLOAT}


def _to_int8(model: onnx.ModelProto, card: ModelCard) -> onnx.ModelProto:
    """Weight matrices as int8, one scale a column; activations are scaled batch by batch at run time.

    Which matrices bear it is measured: those of one shape, the most harmful ones first, stay fp32 until the smallest
    cosine of an embedding with its original is ``LEAST_COSINE``.
    """
    matrices = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer if len(tensor.dims) == 2}
    groups: dict[tuple[int, ...], list[str]] = {}
    for node in model.graph.node:
        if node.op_type == "MatMul" and node.input[1] in matrices and matrices[node.input[1]][0] >= NARROWEST:
            groups.setdefault(matrices[node.input[1]], []).append(node.name)

    def cosine(candidate: onnx.ModelProto) -> float:
        return _measure_drift(model, candidate, card).min_cosine

    alone: dict[tuple[int, ...], float] = {}
    while groups:
        candidate = _quantised(model, [name for names in groups.values() for name in names])
        if cosine(candidate) >= LEAST_COSINE:
            return candidate
        alone = alone or {shape: cosine(_quantised(model, names)) for shape, names in groups.items()}
        del groups[min(groups, key=alone.__getitem__)]
    msg = f"{card.name}: no matrix keeps a cosine of {LEAST_COSINE} in int8; keep fp32"
    raise ExportError(msg)


def _quantised(model: onnx.ModelProto, nodes: list[str]) -> onnx.ModelProto:
    """The model with the weights of these matrix products in int8."""
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, str(before))
        level = logging.root.manager.disable
        logging.disable(logging.WARNING)  # it recommends a preprocessing that gains nothing here
        try:
            quantize_dynamic(
                before,
                after,
                op_types_to_quantize=["MatMul"],
                nodes_to_quantize=nodes,
                per_channel=True,
                weight_type=QuantType.QInt8,
                reduce_range=True,  # a CPU without VNNI adds two 8 x 8 bit products in 16 bits, where they saturate
            )
        finally:
            logging.disable(level)
        return onnx.load(str(after))


def _measure_drift(original: onnx.ModelProto, model: onnx.ModelProto, card: ModelCard) -> Drift:
    """How far the embeddings of ``model`` are from those of ``original``, on the CPU."""
    before, after = Session(original), Session(model)
    worst, cosine, jets = 0.0, 1.0, 0
    for seed in range(DRIFT_SEEDS):
        rng = torch.Generator().manual_seed(seed)
        counts = torch.randint(1, card.max_particles + 1, (16,), generator=rng).tolist()
        inputs = example_jets(counts, card.fields, seed=seed)
        x, y = before(inputs)["embedding"].astype(float), after(inputs)["embedding"].astype(float)
        worst = max(worst, float(np.abs(x - y).max() / np.abs(x).max()))
        cosine = min(cosine, float(((x * y).sum(1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)).min()))
        jets += len(counts)
    return Drift(max_relative=worst, min_cosine=cosine, jets=jets)
