"""Reduced precision: close to the original, honest about how close, and fp32 where it must be."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto

from jepa_coffea import read_card
from jepa_coffea.encoder import OnnxEncoder
from jepa_coffea.encoder.self_test import validate
from tests.encoder.tiny import random_jets, tiny_embedding, write_tiny
from training.exporting import precision
from training.exporting.onnx_graph import ExportError
from training.exporting.precision import _learned, reduce_precision


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "fp32.onnx", dim=48, classes=("a", "b"))


@pytest.mark.parametrize(("kind", "cosine"), [("fp16", 0.99999), ("int8", 0.99)])
def test_close_and_measured(
    source: Path, tmp_path: Path, kind: str, cosine: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "NARROWEST", 8)
    monkeypatch.setattr(precision, "LEAST_COSINE", 0.99)
    card = reduce_precision(source, tmp_path / "small.onnx", kind)
    assert card == read_card(tmp_path / "small.onnx")
    assert (card.precision, card.parity) == (kind, None)
    assert card.drift is not None
    assert card.drift.min_cosine > cosine
    assert 0 < card.drift.max_relative < 0.3
    small = OnnxEncoder(tmp_path / "small.onnx", provider="cpu")
    assert all(item.passed for item in validate(small))
    jets = random_jets(np.random.default_rng(0), np.arange(1, 60))
    expected = tiny_embedding(*jets, dim=48)
    got = small(*jets)["embedding"]
    cosines = (got * expected).sum(1) / np.linalg.norm(got, axis=1) / np.linalg.norm(expected, axis=1)
    assert cosines.min() > cosine - 0.01


def test_half_precision_begins_at_the_first_learned_product(source: Path) -> None:
    model = onnx.load(str(source))
    nodes = [onnx.helper.make_node("Abs", ["particles"], ["log"]), *model.graph.node]
    nodes[3].input[0] = "log"  # the matrix product takes a preprocessed input
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    assert {"x", "t", "pairs", "embedding", "logits"} <= _learned(model)
    assert not {"log", "mask3", "number"} & _learned(model)
    half = precision._to_fp16(model)
    onnx.checker.check_model(half, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(half)
    kinds = {value.name: value.type.tensor_type.elem_type for value in inferred.graph.value_info}
    assert kinds["log"] == kinds["number"] == TensorProto.FLOAT
    assert kinds["x"] == kinds["pairs"] == TensorProto.FLOAT16
    assert {value.type.tensor_type.elem_type for value in half.graph.output} == {TensorProto.FLOAT}


def test_only_from_fp32(source: Path, tmp_path: Path) -> None:
    reduce_precision(source, tmp_path / "half.onnx", "fp16")
    with pytest.raises(ExportError, match="expected an fp32 file, its card says fp16"):
        reduce_precision(tmp_path / "half.onnx", tmp_path / "again.onnx", "fp16")


def test_int8_products_do_not_saturate() -> None:
    rng = np.random.default_rng(0)
    x, w = rng.uniform(0.9, 1, (8, 64)).astype(np.float32), rng.uniform(0.9, 1, (64, 32)).astype(np.float32)
    f = TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"], name="product")],
        "product",
        [onnx.helper.make_tensor_value_info("x", f, ["n", 64])],
        [onnx.helper.make_tensor_value_info("y", f, ["n", 32])],
        [onnx.numpy_helper.from_array(w, "w")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=9)
    session = onnxruntime.InferenceSession(precision._quantised(model, ["product"]).SerializeToString())
    np.testing.assert_allclose(session.run(None, {"x": x})[0], x.astype(float) @ w, rtol=0.02)


def test_int8_depends_on_other_jets_within_its_drift(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "NARROWEST", 8)
    monkeypatch.setattr(precision, "LEAST_COSINE", 0.99)
    card = reduce_precision(source, tmp_path / "small.onnx", "int8")
    small = OnnxEncoder(tmp_path / "small.onnx", provider="cpu")
    flat, counts, axes = random_jets(np.random.default_rng(1), np.full(20, 30))
    whole = small(flat, counts, axes)["embedding"]
    alone = np.concatenate(
        [small(flat[30 * i : 30 * i + 30], counts[:1], axes[i : i + 1])["embedding"] for i in range(20)]
    )
    assert np.abs(alone - whole).max() < 2 * card.drift.max_relative * np.abs(whole).max()


def test_int8_that_would_drift_is_refused(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "NARROWEST", 8)
    monkeypatch.setattr(precision, "LEAST_COSINE", 1.0)
    with pytest.raises(ExportError, match="no matrix keeps a cosine"):
        reduce_precision(source, tmp_path / "small.onnx", "int8")
