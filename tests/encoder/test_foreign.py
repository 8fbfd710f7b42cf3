"""Models of others: what an output is must be stated, n jets give n rows, and what a file declares is kept."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import awkward as ak
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from jepa_coffea import JEPAEmbedder
from jepa_coffea.constituents.record import FIELDS
from jepa_coffea.encoder import OnnxEncoder
from jepa_coffea.encoder.card import ModelCard
from jepa_coffea.encoder.weaver import WeaverEncoder
from jepa_coffea.encoder.weaver_inputs import parse_preprocess
from jepa_coffea.errors import ModelError
from tests.encoder.tiny import random_jets, tiny_embedding, tiny_model

JETS = random_jets(np.random.default_rng(5), np.array([64, 3, 64, 20, 7]))
VARIABLES = ("part_charge", "part_isMuon")


def preprocess(names: Sequence[str] = VARIABLES, classes: Sequence[str] = ("a", "b"), length: int = 64) -> str:
    infos = {name: {"median": 0.0, "norm_factor": 1.0, "pad": 0.0} for name in names}
    group = {"var_names": list(names), "var_infos": infos, "var_length": length}
    return json.dumps({"output_names": [f"label_{name}" for name in classes], "input_names": ["pf"], "pf": group})


def mean_of(
    ends: dict[str, list[onnx.NodeProto]], batch: object = "N", slots: object = "n", kind: int = 1
) -> onnx.ModelProto:
    """A graph of the inputs of weaver: ``mean`` over the slots, [jet, 2], and what ``ends`` make of it, by output."""
    nodes = [helper.make_node("ReduceMean", ["pf"], ["mean"], axes=[2], keepdims=0)]
    nodes += [node for end in ends.values() for node in end]
    made = [helper.make_tensor_value_info(name, kind, [batch, 2]) for name in ends]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("pf", kind, [batch, 2, slots])], made)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def node(kind: str, out: str, **attributes: object) -> list[onnx.NodeProto]:
    return [helper.make_node(kind, ["mean"], [out], **attributes)]


def opened(path: Path, model: onnx.ModelProto, outputs: dict | None = None, text: str = "") -> WeaverEncoder:
    onnx.save(model, str(path))
    return WeaverEncoder(path, parse_preprocess(text or preprocess(), "preprocess.json"), outputs, provider="cpu")


def mean(jets: tuple[np.ndarray, ...]) -> np.ndarray:
    """What the graph computes, over the slots that the longest jet of a micro-batch has; here always 64."""
    flat, counts, _ = jets
    columns = flat[:, [FIELDS.index("charge"), FIELDS.index("is_muon")]]
    return np.array([rows.sum(axis=0) / 64 for rows in np.split(columns, np.cumsum(counts)[:-1])])


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)


SHAPE = numpy_helper.from_array(np.array([-1, 2], np.int64), "shape")
DECOMPOSED = [
    helper.make_node("Exp", ["mean"], ["e"]),
    helper.make_node("ReduceL1", ["e"], ["sum"], axes=[1], keepdims=1),
    helper.make_node("Div", ["e", "sum"], ["out"]),
]
RESHAPED = [
    helper.make_node("Softmax", ["mean"], ["p"], axis=-1),
    helper.make_node("Constant", [], ["s"], value=SHAPE),
    helper.make_node("Reshape", ["p", "s"], ["out"]),
]


@pytest.mark.parametrize(
    ("end", "kind", "expected"),
    [
        (node("Identity", "out"), "regression", lambda x: x),
        (node("Identity", "out"), "logits", softmax),
        (node("Sigmoid", "out"), "scores", lambda x: 1 / (1 + np.exp(-x))),
        (RESHAPED, "scores", softmax),
        (DECOMPOSED, "scores", softmax),
        (node("Identity", "out"), "embedding", lambda x: x),
    ],
)
def test_an_output_is_what_it_is_said_to_be(
    tmp_path: Path, end: list[onnx.NodeProto], kind: str, expected: Callable[[np.ndarray], np.ndarray]
) -> None:
    model = mean_of({"out": end}, slots=64)
    with pytest.raises(
        ModelError, match=r"the output 'out' does not say what it is .* Say it: outputs={'out': 'logits'}"
    ):
        opened(tmp_path / "a.onnx", model)
    (found,) = opened(tmp_path / "a.onnx", model, {"out": kind})(*JETS).values()
    np.testing.assert_allclose(found, expected(mean(JETS)), atol=1e-6)


def test_a_softmax_says_what_it_is(tmp_path: Path) -> None:
    found = opened(tmp_path / "a.onnx", mean_of({"out": node("Softmax", "out", axis=-1)}, slots=64))(*JETS)
    np.testing.assert_allclose(found["scores"], softmax(mean(JETS)), atol=1e-6)


def test_statements_that_do_not_fit(tmp_path: Path) -> None:
    model = mean_of({"out": node("Identity", "out"), "more": node("Neg", "more")}, slots=64)
    for outputs, message in (
        ({"mass": "regression"}, r"outputs= names \['mass'\]; the model has \['out', 'more'\]"),
        ({"out": "score"}, "expected one of embedding, scores, logits, regression"),
        ({"out": "scores", "more": "logits"}, r"several outputs give \['scores'\]"),
    ):
        with pytest.raises(ModelError, match=message):
            opened(tmp_path / "a.onnx", model, outputs)
    text = preprocess(classes=("a", "b", "c"))
    with pytest.raises(ModelError, match="expected 3 class scores per jet, found 'out'"):
        opened(tmp_path / "a.onnx", model, {"out": "logits"}, text)
    with pytest.raises(ModelError, match=r"output_names: \['a'\] more than once"):
        opened(tmp_path / "a.onnx", model, {"out": "logits"}, preprocess(classes=("a", "a")))


def test_regressions_become_fields_of_jets(tmp_path: Path) -> None:
    model = mean_of({"mass": node("Identity", "mass"), "p": node("Softmax", "p", axis=-1)}, slots=64)
    onnx.save(model, str(tmp_path / "a.onnx"))
    (tmp_path / "preprocess.json").write_text(preprocess())
    options = {"outputs": {"mass": "regression", "p": "scores"}, "provider": "cpu", "prefix": "x"}
    embedder = JEPAEmbedder.from_weaver(tmp_path / "a.onnx", tmp_path / "preprocess.json", **options)
    px, py, pz, energy = JETS[2].T
    jets = {"jet_pt": np.hypot(px, py), "jet_eta": np.arcsinh(pz / np.hypot(px, py)), "jet_energy": energy}
    jets["jet_phi"] = np.arctan2(py, px)
    from jepa_coffea.constituents.layouts.jetclass import BRANCHES

    parts = {branch: ak.unflatten(JETS[0][:, FIELDS.index(name)], JETS[1]) for name, branch in BRANCHES.items()}
    found = embedder(ak.zip(parts | jets, depth_limit=1))
    np.testing.assert_allclose(found.x_mass, mean(JETS), atol=1e-6)
    assert [name for name in found.fields if name.startswith("x_")] == ["x_score_a", "x_score_b", "x_mass"]


def test_one_row_for_all_jets(tmp_path: Path) -> None:
    """It would be broadcast to every jet of a batch."""
    bounds = [numpy_helper.from_array(np.array([value], np.int64), "t") for value in (0, 1, 0)]
    names = ("start", "stop", "axis")
    end = [helper.make_node("Constant", [], [name], value=t) for name, t in zip(names, bounds, strict=True)]
    end.append(helper.make_node("Slice", ["mean", *names], ["out"]))
    with pytest.raises(ModelError, match=r"2 jets went in, and outputs of shape {'out': \(1, 2\)} came out; export it"):
        opened(tmp_path / "a.onnx", mean_of({"out": end}), {"out": "regression"})


def test_frozen_inside_whatever_it_declares(tmp_path: Path) -> None:
    zero = numpy_helper.from_array(np.array([0], np.int64), "t")
    end = [
        helper.make_node("Constant", [], ["first"], value=zero),
        helper.make_node("Squeeze", ["mean", "first"], ["row"]),
        helper.make_node("Shape", ["mean"], ["shape"]),
        helper.make_node("Expand", ["row", "shape"], ["out"]),
    ]
    with pytest.raises(ModelError, match=r"does not run with 2 jets .*; was it frozen\?"):
        opened(tmp_path / "a.onnx", mean_of({"out": end}), {"out": "regression"})


def test_frozen_as_it_declares(tmp_path: Path) -> None:
    end = [helper.make_node("ReduceMean", ["mean"], ["out"], axes=[0], keepdims=1)]
    with pytest.raises(ModelError, match=r"inputs fix the number of jets to nothing, outputs to {'out': 1}; export it"):
        opened(tmp_path / "a.onnx", mean_of({"out": end}), {"out": "regression"})


@pytest.mark.parametrize("batch", [1, 3])
def test_a_fixed_number_of_jets(tmp_path: Path, batch: int) -> None:
    found = opened(tmp_path / "a.onnx", mean_of({"out": node("Identity", "out")}, batch, 64), {"out": "regression"})(
        *JETS
    )
    np.testing.assert_allclose(found["out"], mean(JETS), atol=1e-6)


@pytest.mark.parametrize("batch", ["N", 1, 3])
def test_a_model_that_sees_empty_slots_is_given_as_many_as_in_weaver(tmp_path: Path, batch: object) -> None:
    """Its numbers of slots are dynamic, and it takes the mean over all: 64 for every jet, in any company."""
    encoder = opened(tmp_path / "a.onnx", mean_of({"out": node("Identity", "out")}, batch), {"out": "regression"})
    assert encoder.shortest == encoder.longest == 64
    few = random_jets(np.random.default_rng(6), np.array([20, 3, 7]))
    np.testing.assert_allclose(encoder(*few)["out"], mean(few), atol=1e-6)


BESIDE_OTHERS = {
    "softmax": [helper.make_node("Softmax", ["mean"], ["out"], axis=0)],
    "normalised": [
        helper.make_node("ReduceMean", ["mean"], ["of_batch"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["mean", "of_batch"], ["out"]),
    ],
}


@pytest.mark.parametrize("end", BESIDE_OTHERS)
def test_a_jet_that_depends_on_the_others(tmp_path: Path, end: str) -> None:
    with pytest.raises(ModelError, match="'out' of a jet depends on the other jets of its batch"):
        opened(tmp_path / "a.onnx", mean_of({"out": BESIDE_OTHERS[end]}, slots=64), {"out": "regression"})


def test_an_encoder_that_sees_empty_slots(tmp_path: Path) -> None:
    """Its mask is an input, and one place does not use it."""
    model = tiny_model()
    number = next(n for n in model.graph.node if n.output[0] == "number")
    number.input[0] = "ones"
    place = next(i for i, n in enumerate(model.graph.node) if n.output[0] == "mask3")
    model.graph.node.insert(place + 1, helper.make_node("Clip", ["mask3", "least"], ["ones"]))
    model.graph.initializer.append(numpy_helper.from_array(np.float32(1), "least"))
    onnx.save(model, str(tmp_path / "a.onnx"))
    with pytest.raises(ModelError, match="changes with the empty slots beside its particles"):
        OnnxEncoder(tmp_path / "a.onnx", provider="cpu")


def test_statements_that_the_numbers_contradict(tmp_path: Path) -> None:
    for end, kind, message in (
        (node("Softmax", "out", axis=-1), "logits", "calls 'out' logits, and a softmax makes it"),
        (node("Sigmoid", "out"), "logits", "calls 'out' logits, and a sigmoid makes it"),
        (RESHAPED, "logits", "is said to be logits, and gives probabilities"),
        (DECOMPOSED, "logits", "is said to be logits, and gives probabilities"),
        (node("Neg", "out"), "scores", "is said to be scores, probabilities of 0 to 1, and gives -"),
    ):
        with pytest.raises(ModelError, match=message):
            opened(tmp_path / "a.onnx", mean_of({"out": end}, slots=64), {"out": kind})


def test_an_output_wider_than_its_classes(tmp_path: Path) -> None:
    model = mean_of({"out": node("Softmax", "out", axis=-1)}, slots=64)
    model.graph.output[0].type.tensor_type.shape.dim[1].ClearField("dim_value")
    with pytest.raises(ModelError, match=r"'out': expected 3 numbers a jet, got \(2, 2\)"):
        opened(tmp_path / "a.onnx", model, text=preprocess(classes=("a", "b", "c")))


@pytest.mark.parametrize("name", ["embedding", "scores", "score_a"])
def test_a_regression_with_the_name_of_something_else(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError, match=f"a regression called '{name}' would take the place"):
        opened(tmp_path / "a.onnx", mean_of({name: node("Identity", name)}, slots=64), {name: "regression"})


def test_axes_of_minus_one_are_dynamic(tmp_path: Path) -> None:
    found = opened(tmp_path / "a.onnx", mean_of({"out": node("Identity", "out")}, -1, -1), {"out": "regression"})(*JETS)
    np.testing.assert_allclose(found["out"], mean(JETS), atol=1e-6)


def test_slots_of_another_number_than_in_preprocess(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"\(var_length\) {'pf': 64}, of its graph {'pf': 128}; expected one for all"):
        opened(tmp_path / "a.onnx", mean_of({"out": node("Identity", "out")}, slots=128), {"out": "regression"})


def test_beyond_half_precision_is_counted(tmp_path: Path) -> None:
    model = mean_of({"out": node("Identity", "out")}, slots=64, kind=TensorProto.FLOAT16)
    encoder = opened(tmp_path / "a.onnx", model, {"out": "regression"}, preprocess(("part_px", "part_energy")))
    flat, counts, jets = (array.copy() for array in JETS)
    flat[70, 3] = 1e6  # of the third jet
    assert (~np.isfinite(encoder(flat, counts, jets)["out"]).all(axis=1)).tolist() == [False, False, True, False, False]
    assert encoder.metrics()["non_finite"] == 1


def test_numbers_that_contradict_one_another(tmp_path: Path) -> None:
    model = mean_of({"out": node("Identity", "out")}, "N", 64)
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 1
    with pytest.raises(ModelError, match=r"inputs fix the number of jets to nothing, outputs to {'out': 1}"):
        opened(tmp_path / "a.onnx", model, {"out": "regression"})


def test_half_precision_inputs(tmp_path: Path) -> None:
    model = mean_of({"out": node("Identity", "out")}, slots=64, kind=TensorProto.FLOAT16)
    found = opened(tmp_path / "a.onnx", model, {"out": "regression"})(*JETS)
    assert found["out"].dtype == np.float32
    np.testing.assert_allclose(found["out"], mean(JETS), atol=2e-3)


def test_inputs_of_strange_types(tmp_path: Path) -> None:
    model = mean_of({"out": [helper.make_node("Cast", ["mean"], ["out"], to=1)]}, slots=64, kind=TensorProto.FLOAT)
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT32
    with pytest.raises(ModelError, match=r"inputs of type {'pf': 'tensor\(int32\)'}; expected"):
        opened(tmp_path / "a.onnx", model, {"out": "regression"})


def test_variables_with_other_names(tmp_path: Path) -> None:
    path, text = tmp_path / "a.onnx", tmp_path / "preprocess.json"
    onnx.save(mean_of({"p": node("Softmax", "p", axis=-1)}, slots=64), str(path))
    text.write_text(preprocess(("pfcand_charge", "pfcand_isMuon")))
    with pytest.raises(ModelError, match=r"unknown variables \['pfcand_charge', .*rename= maps"):
        JEPAEmbedder.from_weaver(path, text)
    known = {"pfcand_charge": "part_charge", "pfcand_isMuon": "part_isMuon"}
    assert JEPAEmbedder.from_weaver(path, text, rename=known).interface.class_names == ("a", "b")
    for rename, message in (
        ({**known, "pfcand_d0": "part_d0"}, r"rename= names \['pfcand_d0'\]"),
        ({**known, "pfcand_isMuon": "part_charge"}, "gives two variables one name"),
    ):
        with pytest.raises(ModelError, match=message):
            JEPAEmbedder.from_weaver(path, text, rename=rename)


def test_newer_than_onnx_runtime(tmp_path: Path) -> None:
    for change in ("ir_version", "opset"):
        model = tiny_model()
        if change == "opset":
            model.opset_import[0].version = 999
        else:
            model.ir_version = 99
        (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
        with pytest.raises(ModelError, match="written for a newer ONNX Runtime: upgrade onnxruntime"):
            OnnxEncoder(tmp_path / "a.onnx", provider="cpu")


def test_jets_that_the_exporter_dropped(tmp_path: Path) -> None:
    model = tiny_model()
    graph = model.graph
    kept = [n for n in graph.node if n.output[0] not in ("shift", "embedding")]
    del graph.node[:]
    graph.node.extend([*kept, helper.make_node("Identity", ["mean"], ["embedding"])])
    del graph.input[2]
    onnx.save(model, str(tmp_path / "a.onnx"))
    flat, counts, jets = JETS
    found = OnnxEncoder(tmp_path / "a.onnx", provider="cpu")(flat, counts, jets)["embedding"]
    np.testing.assert_allclose(found, tiny_embedding(flat, counts, 0 * jets), atol=1e-4)


def test_a_fixed_number_of_slots_and_jets_of_an_encoder(tmp_path: Path) -> None:
    model = tiny_model()
    for tensor in (*model.graph.input, *model.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_value = 2
    for tensor in model.graph.input[:2]:
        tensor.type.tensor_type.shape.dim[1].dim_value = 64
    onnx.save(model, str(tmp_path / "a.onnx"))
    found = OnnxEncoder(tmp_path / "a.onnx", provider="cpu")(*JETS)["embedding"]
    np.testing.assert_allclose(found, tiny_embedding(*JETS), atol=1e-4)


def test_classes_of_one_name() -> None:
    content = json.loads(tiny_model(classes=("a", "b")).metadata_props[0].value) | {"class_names": ["a", "a"]}
    with pytest.raises(ValueError, match=r"class_names: \['a'\] more than once"):
        ModelCard.model_validate(content)
    content |= {"class_names": ["a", "b"], "fields": ["px", "py", "pz", "px"]}
    with pytest.raises(ValueError, match=r"fields: \['px'\] more than once"):
        ModelCard.model_validate(content)
