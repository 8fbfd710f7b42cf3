"""Encoders of others, wrapped: other names, axes and types of the inputs, and the same numbers."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from jepa_coffea.cli import main
from jepa_coffea.constituents.record import FIELDS
from jepa_coffea.encoder import OnnxEncoder
from jepa_coffea.encoder.card import read_card
from jepa_coffea.encoder.self_test import validate
from jepa_coffea.encoder.wrapping import wrap
from jepa_coffea.errors import ModelError
from tests.encoder.test_foreign import preprocess
from tests.encoder.tiny import PROVENANCE, random_jets, tiny_embedding, tiny_model, weights

CARD = {
    "name": "theirs",
    "objective": "not stated",
    "fields": FIELDS,
    "max_particles": 128,
    "training_data": "none: random weights",
    "provenance": PROVENANCE,
}
JETS = random_jets(np.random.default_rng(3), np.array([5, 128, 1, 40, 17]))
INPUTS = {"particles": "theirs", "mask": "valid", "jets": "j"}


def foreign(path: Path, *, mask: list | None = None, half: bool = False, softmax: bool = False) -> Path:
    """The tiny model as somebody else would write it: fields before particles, a mask of numbers, other names."""
    tiny = tiny_model(classes=("a", "b"))
    kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    nodes = [
        helper.make_node("Cast", ["theirs"], ["x32"], to=1),
        helper.make_node("Transpose", ["x32"], ["particles"], perm=[0, 2, 1]),
        helper.make_node("Constant", [], ["mask_shape"], value=numpy_helper.from_array(np.array([0, -1]), "s")),
        helper.make_node("Reshape", ["valid", "mask_shape"], ["mask"]),
        helper.make_node("Cast", ["j"], ["jets"], to=1),
        *tiny.graph.node,
    ]
    last = (
        helper.make_node("Softmax", ["logits"], ["p"], axis=1)
        if softmax
        else helper.make_node("Identity", ["logits"], ["p"])
    )
    nodes += [last, helper.make_node("Cast", ["embedding"], ["hidden"], to=kind)]
    graph = helper.make_graph(
        nodes,
        "theirs",
        [
            helper.make_tensor_value_info("theirs", kind, ["N", len(FIELDS), "P"]),
            helper.make_tensor_value_info("valid", TensorProto.FLOAT, mask or ["N", 1, "P"]),
            helper.make_tensor_value_info("j", kind, ["N", 4]),
        ],
        [
            helper.make_tensor_value_info("hidden", kind, ["N", 8]),
            helper.make_tensor_value_info("p", TensorProto.FLOAT, ["N", 2]),
        ],
        list(tiny.graph.initializer),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.save(model, str(path))
    return path


@pytest.mark.parametrize("mask", [["N", 1, "P"], ["N", "P", 1], ["N", "P"]])
@pytest.mark.parametrize("softmax", [False, True])
def test_gives_the_same_numbers(tmp_path: Path, mask: list, softmax: bool) -> None:
    source = foreign(tmp_path / "theirs.onnx", mask=mask, softmax=softmax)
    outputs = {"embedding": "hidden", "scores" if softmax else "logits": "p"}
    options = {"inputs": INPUTS, "outputs": outputs, "particle_axes": "jet, field, particle"}
    wrap(source, tmp_path / "ours.onnx", {**CARD, "class_names": ("a", "b")}, **options)
    encoder = OnnxEncoder(tmp_path / "ours.onnx", provider="cpu")
    found, expected = encoder(*JETS), tiny_embedding(*JETS)
    np.testing.assert_allclose(found["embedding"], expected, atol=1e-4)
    logits = expected @ weights(14, 8, 2)["c"]
    difference = found["logits"] - logits  # a softmax takes any constant
    np.testing.assert_allclose(difference - difference[:, :1], 0, atol=1e-4)
    assert all(item.passed for item in validate(encoder))
    assert encoder.card.embedding_dim == 8
    assert len(encoder.card.reference.counts) == 8


def test_half_precision(tmp_path: Path) -> None:
    source = foreign(tmp_path / "theirs.onnx", half=True)
    options = {"inputs": INPUTS, "outputs": {"embedding": "hidden"}, "particle_axes": "jet, field, particle"}
    wrap(source, tmp_path / "ours.onnx", {**CARD, "precision": "fp16"}, **options)
    found = OnnxEncoder(tmp_path / "ours.onnx", provider="cpu")(*JETS)["embedding"]
    np.testing.assert_allclose(found, tiny_embedding(*JETS), rtol=1e-2, atol=1e-2 * np.abs(tiny_embedding(*JETS)).max())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"inputs": {"particles": "theirs"}},
            "inputs: expected particles, mask and at most particles, mask, jets",
        ),
        ({"inputs": INPUTS | {"mask": "y"}}, r"of the graph \(j, theirs, valid\); got"),
        ({"inputs": {"particles": "theirs", "mask": "valid"}}, r"inputs: \['j'\] of the graph are given nothing"),
        ({"outputs": {"logits": "p"}}, "outputs: expected embedding"),
        ({"outputs": {"embedding": "hidden", "logits": "p", "scores": "p"}}, "outputs: expected embedding"),
    ],
)
def test_names_that_do_not_fit(tmp_path: Path, change: dict, message: str) -> None:
    source = foreign(tmp_path / "theirs.onnx")
    options = {"inputs": INPUTS, "outputs": {"embedding": "hidden"}, "particle_axes": "jet, field, particle", **change}
    with pytest.raises(ModelError, match=message):
        wrap(source, tmp_path / "ours.onnx", CARD, **options)
    assert not (tmp_path / "ours.onnx").exists()


def test_a_mask_the_other_way_round_is_noticed(tmp_path: Path) -> None:
    """True for padding, as PyTorch's attention has it: jets then depend on what they are padded with."""
    source = foreign(tmp_path / "theirs.onnx")
    model = onnx.load(str(source))
    place = next(i for i, node in enumerate(model.graph.node) if node.output[0] == "mask")
    model.graph.node[place].output[0] = "padding"
    model.graph.node.insert(place + 1, helper.make_node("Equal", ["padding", "nothing"], ["mask"]))
    model.graph.initializer.append(numpy_helper.from_array(np.array(0, np.float32), "nothing"))
    onnx.save(model, str(source))
    options = {"inputs": INPUTS, "outputs": {"embedding": "hidden"}, "particle_axes": "jet, field, particle"}
    with pytest.raises(ModelError, match=r"beside longer jets|is not finite"):
        wrap(source, tmp_path / "ours.onnx", CARD, **options)


@pytest.mark.parametrize(
    ("softmax", "named", "classes", "message"),
    [
        (False, "scores", ("a", "b"), "scores must be probabilities that add up to 1, got sums of"),
        (True, "logits", ("a", "b"), "is said to be logits, and gives probabilities"),
        (False, "logits", (), "outputs name 'logits', class_names nothing"),
        (False, None, ("a", "b"), r"no output for \['a', 'b'\]"),
    ],
)
def test_classes_that_are_not_what_is_said(
    tmp_path: Path, softmax: bool, named: str | None, classes: tuple, message: str
) -> None:
    source = foreign(tmp_path / "theirs.onnx", softmax=softmax)
    outputs = {"embedding": "hidden"} | ({named: "p"} if named else {})
    options = {"inputs": INPUTS, "outputs": outputs, "particle_axes": "jet, field, particle"}
    with pytest.raises(ModelError, match=message) as raised:
        wrap(source, tmp_path / "ours.onnx", {**CARD, "class_names": classes}, **options)
    assert "part" not in str(raised.value).split(":")[0]  # not the temporary file
    assert not (tmp_path / "ours.onnx").exists()


def test_axes_that_are_not_said(tmp_path: Path) -> None:
    source = foreign(tmp_path / "theirs.onnx")
    with pytest.raises(ModelError, match=r"with 14 fields, .* particle_axes says which axis is which"):
        wrap(source, tmp_path / "ours.onnx", CARD, inputs=INPUTS, outputs={"embedding": "hidden"})


@pytest.mark.parametrize(("jets", "slots"), [(1, None), (3, 64)])
def test_fixed_axes(tmp_path: Path, jets: int, slots: int | None) -> None:
    source = foreign(tmp_path / "theirs.onnx")
    model = onnx.load(str(source))
    for tensor in (*model.graph.input, *model.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_value = jets
    for tensor in model.graph.input[:2] if slots else ():
        tensor.type.tensor_type.shape.dim[2].dim_value = slots
    onnx.save(model, str(source))
    options = {"inputs": INPUTS, "outputs": {"embedding": "hidden"}, "particle_axes": "jet, field, particle"}
    wrap(source, tmp_path / "ours.onnx", {**CARD, "max_particles": slots or 128}, **options)
    few = random_jets(np.random.default_rng(3), np.array([5, 1, 40, 17]))
    found = OnnxEncoder(tmp_path / "ours.onnx", provider="cpu")(*few)["embedding"]
    np.testing.assert_allclose(found, tiny_embedding(*few), atol=1e-4)


DOCUMENT = """
name: theirs
training_data: nothing at all
fields: [{fields}]
max_particles: 128
class_names: [a, b]
inputs: {{particles: theirs, mask: valid, jets: j}}
outputs: {{embedding: hidden, logits: p}}
particle_axes: jet, field, particle
"""


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = foreign(tmp_path / "theirs.onnx")
    document = tmp_path / "card.yaml"
    document.write_text(DOCUMENT.format(fields=", ".join(FIELDS)))
    assert main(["wrap", str(source), "--card", str(document)]) == 0
    assert "8 numbers per jet and 2 class scores; 8 reference jets agree" in capsys.readouterr().out.replace("\n", " ")
    card = read_card(tmp_path / "theirs.jepa.onnx")
    assert card.provenance.config["wrapped"] == "theirs.onnx"
    assert main(["validate", str(tmp_path / "theirs.jepa.onnx"), "--provider", "cpu"]) == 0
    capsys.readouterr()
    document.write_text(document.read_text().replace("max_particles", "max_particle"))
    assert main(["wrap", str(source), "--card", str(document)]) == 2
    assert "did you mean 'max_particles'?" in capsys.readouterr().err
    document.write_text(DOCUMENT.format(fields=", ".join(FIELDS)))
    assert main(["wrap", str(source), "--card", str(document), "--output", str(source)]) == 2
    assert "is the model itself" in capsys.readouterr().err


def test_a_weaver_export_is_sent_where_it_is_opened(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = foreign(tmp_path / "theirs.onnx")
    (tmp_path / "preprocess.json").write_text(preprocess())
    assert main(["wrap", str(source), "--card", str(tmp_path / "preprocess.json")]) == 2
    said = capsys.readouterr().err
    assert f"JEPAEmbedder.from_weaver({str(source)!r}, {str(tmp_path / 'preprocess.json')!r})" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "theirs.jepa.onnx").exists()
