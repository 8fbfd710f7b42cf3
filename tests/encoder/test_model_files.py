"""Files that are no encoder are refused with the reason, before a session opens."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, external_data_helper, helper

from jepa_coffea.constituents.record import FIELDS
from jepa_coffea.encoder import OnnxEncoder
from jepa_coffea.encoder.card import load_model
from jepa_coffea.encoder.model_files import locate
from jepa_coffea.errors import ModelError
from tests.encoder.tiny import tiny_model, write_tiny


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("model") / "tiny.onnx", classes=("QCD", "Hbb"))


def test_missing_truncated_and_foreign_files(tmp_path: Path, path: Path) -> None:
    with pytest.raises(ModelError, match="No such file"):
        OnnxEncoder(tmp_path / "no.onnx", provider="cpu")
    content = path.read_bytes()
    (tmp_path / "cut.onnx").write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match="not a readable ONNX file"):
        OnnxEncoder(tmp_path / "cut.onnx", provider="cpu")
    (tmp_path / "empty.onnx").write_bytes(b"")
    with pytest.raises(ModelError, match="it has no graph"):
        OnnxEncoder(tmp_path / "empty.onnx", provider="cpu")
    (tmp_path / "text.onnx").write_text("not a model")
    with pytest.raises(ModelError, match="not a readable ONNX file"):
        OnnxEncoder(tmp_path / "text.onnx", provider="cpu")
    foreign = tiny_model()
    del foreign.metadata_props[:]
    onnx.save(foreign, str(tmp_path / "foreign.onnx"))
    with pytest.raises(ModelError, match="from_weaver"):
        OnnxEncoder(tmp_path / "foreign.onnx", provider="cpu")


def test_card_and_graph_must_agree(tmp_path: Path) -> None:
    renamed = tiny_model()
    renamed.graph.input[1].name = "valid"
    renamed.graph.node[0].input[0] = "valid"
    onnx.save(renamed, str(tmp_path / "inputs.onnx"))
    with pytest.raises(ModelError, match=r"expected inputs \['jets', 'mask', 'particles'\] .*, found"):
        OnnxEncoder(tmp_path / "inputs.onnx", provider="cpu")
    model = tiny_model()
    model.metadata_props[0].value = tiny_model(classes=("a",)).metadata_props[0].value
    onnx.save(model, str(tmp_path / "outputs.onnx"))
    with pytest.raises(ModelError, match="promises the output 'logits'"):
        OnnxEncoder(tmp_path / "outputs.onnx", provider="cpu")
    model = tiny_model(fields=FIELDS[:4])
    model.metadata_props[0].value = tiny_model().metadata_props[0].value
    onnx.save(model, str(tmp_path / "fields.onnx"))
    with pytest.raises(ModelError, match=r"'particles': expected tensor\(float\) with last axis 14"):
        OnnxEncoder(tmp_path / "fields.onnx", provider="cpu")


def test_external_data_is_refused(tmp_path: Path) -> None:
    model = tiny_model()
    external_data_helper.convert_model_to_external_data(model, location="../secret.bin", size_threshold=0)
    for tensor in model.graph.initializer:
        tensor.ClearField("raw_data")
    (tmp_path / "outside.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"keeps 4 tensors .* in other files"):
        OnnxEncoder(tmp_path / "outside.onnx", provider="cpu")


def test_external_data_in_a_subgraph_is_refused(tmp_path: Path) -> None:
    model = tiny_model()
    hidden = TensorProto(name="hidden", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    hidden.external_data.add(key="location", value="/etc/passwd")
    branch = helper.make_graph(
        [], "branch", [], [helper.make_tensor_value_info("hidden", TensorProto.FLOAT, [1])], [hidden]
    )
    model.graph.node.append(helper.make_node("If", ["two"], ["x2"], then_branch=branch, else_branch=branch))
    (tmp_path / "inner.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="keeps 2 tensors"):
        OnnxEncoder(tmp_path / "inner.onnx", provider="cpu")


def outside(name: str) -> TensorProto:
    """A tensor that is kept in another file."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="/etc/passwd")
    return tensor


def test_external_data_in_a_function_or_a_sparse_tensor_is_refused(tmp_path: Path) -> None:
    constant = helper.make_node("Constant", [], ["x"], value=outside("hidden"))
    function = helper.make_function("mine", "f", [], ["x"], [constant], [helper.make_opsetid("", 20)])
    for change in ("function", "sparse"):
        model = tiny_model()
        if change == "function":
            model.functions.append(function)
        else:
            model.graph.sparse_initializer.add().values.CopyFrom(outside("hidden"))
        (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
        with pytest.raises(ModelError, match=r"keeps 1 tensors \('hidden', ...\) in other files"):
            load_model(tmp_path / "a.onnx")


def test_wherever_the_file_is_cut(path: Path, tmp_path: Path) -> None:
    content = path.read_bytes()
    for stop in np.linspace(0, len(content) - 1, 100).astype(int):
        (tmp_path / "cut.onnx").write_bytes(content[:stop])
        with pytest.raises(ModelError):
            OnnxEncoder(tmp_path / "cut.onnx", provider="cpu")


def test_a_file_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"")
    assert locate(tmp_path / "a.onnx") == tmp_path / "a.onnx"


def test_on_a_worker_that_was_sent_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = SimpleNamespace(local_directory=str(tmp_path))
    monkeypatch.setitem(sys.modules, "distributed", SimpleNamespace(get_worker=lambda: worker))
    there = Path("/of/the/client/a.onnx")
    assert locate(there) == there
    (tmp_path / "a.onnx").write_bytes(b"")
    assert locate(there) == tmp_path / "a.onnx"


def test_where_there_is_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    def get_worker() -> None:
        raise ValueError

    monkeypatch.setitem(sys.modules, "distributed", SimpleNamespace(get_worker=get_worker))
    assert locate(Path("/a.onnx")) == Path("/a.onnx")
