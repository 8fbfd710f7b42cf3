"""The exported file: same function as the module, whatever the batch; a card that says what it is."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from jepa_coffea.encoder import OnnxEncoder
from jepa_coffea.encoder.card import ModelCard, read_card
from jepa_coffea.encoder.session import NO_CUDA_KERNEL
from training import export
from training.exporting.onnx_file import ExportError, export_encoder, provenance, without_folders
from training.exporting.onnx_graph import Exported, Session, measure_parity
from training.models.encoder import Encoder, EncoderConfig
from training.models.flops import encoder_macs
from training.models.heads import build_head
from training.models.preprocess import FIELDS
from training.models.synthetic import synthetic_jets

TINY = EncoderConfig(embed_dims=(24, 16), pair_dims=(8,), heads=4, blocks=2, class_blocks=1, max_particles=64)
CLASSES = ("QCD", "Hbb", "Tbqq")


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    torch.manual_seed(0)
    return Encoder(TINY).eval()


@pytest.fixture(scope="module")
def head() -> torch.nn.Module:
    torch.manual_seed(1)
    return build_head("class_attention", TINY, 3).eval()


@pytest.fixture(scope="module")
def exported(
    encoder: Encoder, head: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, ModelCard]:
    path = tmp_path_factory.mktemp("export") / "models" / "tiny.onnx"
    card = export_encoder(
        encoder,
        path,
        name="tiny",
        objective="supervised",
        training_data="none",
        provenance=provenance({"steps": 1}, 7),
        head=head,
        class_names=CLASSES,
        optional_fields=("d0",),
        particle_embedding=True,
    )
    return path, card


def test_same_as_the_module(exported: tuple[Path, ModelCard], encoder: Encoder, head: torch.nn.Module) -> None:
    session = onnxruntime.InferenceSession(str(exported[0]), providers=["CPUExecutionProvider"])
    assert [i.name for i in session.get_inputs()] == ["particles", "mask", "jets"]
    assert [o.name for o in session.get_outputs()] == ["embedding", "logits", "particle_embedding"]
    for seed, counts in enumerate([[1], [5, 64, 33], [2] * 9, [17, 0, 17]]):
        inputs = synthetic_jets(counts, seed=100 + seed)
        feed = dict(zip(("particles", "mask", "jets"), (x.numpy() for x in inputs), strict=True))
        embedding, logits, tokens = session.run(None, feed)
        with torch.no_grad():
            expected = encoder(*inputs)
            scores = head(expected)
        np.testing.assert_allclose(embedding, expected.jet.numpy(), rtol=1e-4, atol=2e-5)
        np.testing.assert_allclose(logits, scores.numpy(), rtol=1e-4, atol=2e-5)
        mask = inputs[1].numpy()
        np.testing.assert_allclose(tokens[mask], expected.tokens.numpy()[mask], rtol=1e-4, atol=5e-5)
        assert (tokens[~mask] == 0).all()


@torch.no_grad()
def test_particle_embeddings_through_the_engine(exported: tuple[Path, ModelCard], encoder: Encoder) -> None:
    counts = np.array([5, 64, 33, 1, 40])
    particles, mask, jets = synthetic_jets(counts.tolist(), seed=200)
    engine = OnnxEncoder(exported[0], provider="cpu", particle_embedding=True)
    got = engine(particles[mask].numpy(), counts, jets.numpy())["particle_embedding"]
    expected = encoder(particles, mask, jets).tokens[mask]
    np.testing.assert_allclose(got, expected.numpy(), rtol=1e-4, atol=5e-5)


def test_empty_batch(exported: tuple[Path, ModelCard]) -> None:
    outputs = Session(onnx.load(str(exported[0])))(synthetic_jets([], width=5))
    shapes = {name: values.shape for name, values in outputs.items()}
    assert shapes == {"embedding": (0, 16), "logits": (0, 3), "particle_embedding": (0, 5, 16)}


def test_card(exported: tuple[Path, ModelCard]) -> None:
    path, card = exported
    assert read_card(path) == card
    assert (card.fields, card.optional_fields, card.class_names) == (FIELDS, ("d0",), CLASSES)
    assert card.units["px"] == "GeV"
    assert card.parity is not None
    assert card.parity.max_relative < 1e-5
    assert card.parity.jets > 10
    assert card.macs_per_jet == {n: encoder_macs(TINY, n) for n in (16, 32, 64)}
    assert card.provenance.config == {"steps": 1}
    assert card.provenance.packages["torch"] == torch.__version__
    assert card.scaled_to_jet_pt


def test_reference_jets_replay(exported: tuple[Path, ModelCard], encoder: Encoder) -> None:
    reference = exported[1].reference
    assert reference is not None
    counts, width = reference.counts, max(reference.counts)
    mask = torch.arange(width) < torch.tensor(counts).unsqueeze(1)
    particles = torch.zeros(len(counts), width, len(FIELDS))
    particles[mask] = torch.tensor(reference.particles)
    with torch.no_grad():
        expected = encoder(particles, mask, torch.tensor(reference.jets)).jet
    np.testing.assert_allclose(reference.outputs["embedding"], expected.numpy(), rtol=1e-4, atol=2e-5)
    assert set(reference.outputs) == {"embedding", "logits"}


def test_nothing_of_this_machine_is_in_the_file(exported: tuple[Path, ModelCard]) -> None:
    content = exported[0].read_bytes()
    for trace in (str(Path.cwd()), "encoder.py", "site-packages", "stack_trace"):
        assert trace.encode() not in content, trace


def test_every_node_has_a_cuda_kernel(exported: tuple[Path, ModelCard]) -> None:
    nodes = {node.op_type for node in onnx.load(exported[0]).graph.node}
    assert not nodes & NO_CUDA_KERNEL


def test_self_contained_opset_and_axes(exported: tuple[Path, ModelCard]) -> None:
    model = onnx.load(str(exported[0]), load_external_data=False)
    assert all(tensor.data_location == onnx.TensorProto.DEFAULT for tensor in model.graph.initializer)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 20)]
    assert "Gelu" in {node.op_type for node in model.graph.node}
    assert "Erf" not in {node.op_type for node in model.graph.node}
    axes = {i.name: [d.dim_param or d.dim_value for d in i.type.tensor_type.shape.dim] for i in model.graph.input}
    assert axes == {"particles": ["batch", "particle", 14], "mask": ["batch", "particle"], "jets": ["batch", 4]}


def test_parity_notices_other_weights(
    exported: tuple[Path, ModelCard], encoder: Encoder, head: torch.nn.Module
) -> None:
    module = Exported(encoder, head, particle_embedding=True).eval()
    model = onnx.load(str(exported[0]))
    assert measure_parity(model, module, 64).max_relative < 1e-5
    for tensor in model.graph.initializer:
        if len(tensor.dims) == 2:
            values = onnx.numpy_helper.to_array(tensor)
            tensor.CopyFrom(onnx.numpy_helper.from_array(1.01 * values, tensor.name))
            break
    assert measure_parity(model, module, 64).max_relative > 1e-4


def test_a_head_needs_names(encoder: Encoder, head: torch.nn.Module, tmp_path: Path) -> None:
    about = {"name": "x", "objective": "x", "training_data": "x", "provenance": provenance({}, 0)}
    with pytest.raises(ExportError, match="class_names"):
        export_encoder(encoder, tmp_path / "a.onnx", head=head, **about)
    with pytest.raises(ExportError, match="class_names"):
        export_encoder(encoder, tmp_path / "a.onnx", class_names=CLASSES, **about)
    assert not (tmp_path / "a.onnx").exists()


def test_folders_stay_at_home() -> None:
    settings = {"data": {"files": {"a": ["/home/me/jets/*.root"]}}, "name": "x", "lr": 0.1}
    assert json.dumps(without_folders(settings)) == '{"data": {"files": {"a": ["*.root"]}}, "name": "x", "lr": 0.1}'


@pytest.mark.parametrize("scale", ["blind", "seen"])
def test_scale_and_pooled_mean_are_in_the_file(scale: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = Encoder(TINY.model_copy(update={"scale_input": True, "pooled": True})).eval()
    encoder.scale = scale
    about = {"name": "x", "objective": "x", "training_data": "x", "provenance": provenance({}, 0)}
    card = export_encoder(encoder, tmp_path / "a.onnx", **about)
    assert (card.embedding_dim, card.scale) == (32, scale)
    particles, mask, jets = synthetic_jets([5, 64, 0, 33], seed=8)
    with torch.no_grad():
        expected = encoder(particles, mask, jets).jet.numpy()
    session = Session(onnx.load(str(tmp_path / "a.onnx")))
    np.testing.assert_allclose(session((particles, mask, jets))["embedding"], expected, rtol=1e-4, atol=2e-5)
    assert session(synthetic_jets([], width=5))["embedding"].shape == (0, 32)
    harder = torch.cat([3 * particles[..., :4], particles[..., 4:]], -1)
    moved = np.abs(session((harder, mask, 3 * jets))["embedding"] - expected)[[0, 1, 3]].max()
    assert (moved > 1e-2) == (scale == "seen")


def test_what_the_user_has_to_mend_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    output = ["--output", str(tmp_path / "a.onnx")]
    (tmp_path / "broken.json").write_text("{")
    for words, said in (
        ([str(tmp_path / "none")], "expected a run folder with checkpoints"),
        ([str(tmp_path), "--results", str(tmp_path / "none.json")], "none.json: expected a JSON file"),
        ([str(tmp_path), "--results", str(tmp_path / "broken.json")], "broken.json: expected a JSON file"),
        ([str(tmp_path / "none.onnx"), "--precision", "int8"], "none.onnx: no such model file"),
    ):
        assert export.main([*words, *output]) == 2
        assert said in (error := capfd.readouterr().err)
        assert "Traceback" not in error
