"""Exports of weaver-core give here what they give in weaver-core."""

import json
import pickle
from pathlib import Path

import awkward as ak
import numpy as np
import onnx
import pytest
import uproot
from onnx import TensorProto, helper
from weaver.utils.dataset import DataConfig

from jepa_coffea import JEPAEmbedder
from jepa_coffea.constituents import constituents_of, jets_of
from jepa_coffea.constituents.record import FIELDS
from jepa_coffea.encoder.batching import MicroBatch
from jepa_coffea.encoder.engine import Binding, Jets
from jepa_coffea.encoder.weaver import WeaverEncoder
from jepa_coffea.encoder.weaver_inputs import parse_preprocess
from jepa_coffea.errors import ModelError
from tests.encoder.tiny import random_jets
from tests.encoder.weaver_export import CONFIG, Exported, export, inputs
from tests.support.event_files import event_files

COUNTS = np.array([12, 40, 3, 1, 33, 17, 25, 8, 40, 2, 39, 20])


@pytest.fixture(scope="module", params=["ParT", "ParticleNet"])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export(request.param, tmp_path_factory.mktemp(request.param))


def encoder_of(exported: Exported, **options: object) -> WeaverEncoder:
    preprocess = parse_preprocess(exported.preprocess.read_text(), "preprocess.json")
    return WeaverEncoder(exported.model, preprocess, provider="cpu", **options)


def test_against_weaver(exported: Exported) -> None:
    jets = random_jets(np.random.default_rng(0), COUNTS)
    encoder = encoder_of(exported, threads=2)
    scores = encoder(*jets)["scores"]
    expected = exported.scores(*jets)
    assert np.ptp(expected, axis=0).max() > 0.05  # the network distinguishes these jets
    np.testing.assert_allclose(scores, expected, atol=2e-5)
    assert encoder.metrics()["batches"] > 1 or encoder.shortest == encoder.longest


def test_more_particles_than_the_length(exported: Exported) -> None:
    jets = random_jets(np.random.default_rng(1), np.array([60, 90, 10]))
    encoder = encoder_of(exported)
    np.testing.assert_allclose(encoder(*jets)["scores"], exported.scores(*jets), atol=2e-5)
    assert encoder.metrics()["truncated"] == 2


def test_empty_jets_and_non_finite_particles(exported: Exported) -> None:
    flat, counts, axes = random_jets(np.random.default_rng(2), np.array([5, 0, 7]))
    flat[6, 2] = np.nan
    scores = encoder_of(exported)(flat, counts, axes)["scores"]
    assert np.isnan(scores).all(axis=1).tolist() == [False, True, True]


@pytest.mark.parametrize("path", event_files("pfnano.root"))
def test_events(exported: Exported, path: Path) -> None:
    wanted = "/(FatJet|PFCands|FatJetPFCands)_.*/"
    events = uproot.open(path)["Events"].arrays(filter_name=wanted)
    events["FatJet"] = ak.zip({name: events[f"FatJet_{name}"] for name in ("pt", "eta", "phi", "mass")})
    embedder = JEPAEmbedder.from_weaver(exported.model, exported.preprocess, provider="cpu", prefix="tagger")
    jets = pickle.loads(pickle.dumps(embedder))(events)
    assert jets.fields[4:] == ["tagger_score_QCD", "tagger_score_Hbb", "tagger_score_Tbqq"]
    particles, momenta = ak.flatten(constituents_of(events), axis=1), ak.flatten(jets_of(events))
    flat = np.stack([ak.to_numpy(ak.flatten(particles[name])) for name in FIELDS], axis=1)
    axes = np.stack([ak.to_numpy(momenta[name]) for name in ("px", "py", "pz", "energy")], axis=1)
    expected = exported.scores(flat, ak.to_numpy(ak.num(particles)), axes)
    there = ak.to_numpy(ak.num(particles)) > 0
    np.testing.assert_allclose(ak.to_numpy(ak.flatten(jets.tagger_score_Hbb))[there], expected[there, 1], atol=2e-5)
    assert len(embedder(events[:0])) == 0


def test_a_fixed_number_of_slots(tmp_path: Path) -> None:
    fixed = export("ParT", tmp_path, fixed=True)
    jets = random_jets(np.random.default_rng(3), COUNTS)
    encoder = encoder_of(fixed)
    assert encoder.shortest == encoder.longest == 40
    np.testing.assert_allclose(encoder(*jets)["scores"], fixed.scores(*jets), atol=2e-5)


@pytest.mark.parametrize("pad_mode", ["constant", "wrap"])
def test_inputs_are_weavers(exported: Exported, pad_mode: str, tmp_path: Path) -> None:
    content = json.loads(exported.preprocess.read_text())
    for name in ("pf_points", "pf_features", "pf_vectors"):
        content[name]["pad_mode"] = pad_mode
    encoder = WeaverEncoder(exported.model, parse_preprocess(json.dumps(content), ""), provider="cpu")
    assert (encoder.shortest == 40) == (pad_mode == "wrap")
    flat, counts, axes = random_jets(np.random.default_rng(4), COUNTS)
    batch, jets = MicroBatch(np.arange(len(counts)), 40), Jets(flat, np.cumsum(counts) - counts, counts, axes)
    got = encoder.feed(batch, Binding(encoder.model), jets)
    (tmp_path / "data.yaml").write_text(CONFIG.replace("PAD", pad_mode))
    expected = inputs(DataConfig.load(str(tmp_path / "data.yaml")), flat, counts, axes)
    assert len(got) == 3  # ParT takes no points, ParticleNet no vectors
    for name, values in got.items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-5, atol=2e-6, err_msg=name)


def small(tmp_path: Path, last: str, outputs: int = 1) -> tuple[Path, str]:
    """A one-layer model with the inputs of weaver, and its preprocess.json."""
    f = TensorProto.FLOAT
    nodes = [helper.make_node("ReduceMean", ["pf_features"], ["mean"], axes=[2], keepdims=0)]
    nodes.append(helper.make_node(last, ["mean"], ["softmax"]))
    nodes.append(helper.make_node("Neg", ["mean"], ["hidden"]))
    made = [helper.make_tensor_value_info(name, f, ["N", 2]) for name in ("softmax", "hidden")[:outputs]]
    inputs = [helper.make_tensor_value_info("pf_features", f, ["N", 2, "n"])]
    graph = helper.make_graph(nodes, "small", inputs, made)
    path = tmp_path / f"{last}.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))
    infos = {name: {"median": 1.0, "norm_factor": 2.0, "pad": 0.0} for name in ("part_charge", "part_isMuon")}
    group = {"var_names": list(infos), "var_infos": infos, "var_length": 64}
    content = {"output_names": ["label_a", "label_b"], "input_names": ["pf_features"], "pf_features": group}
    return path, json.dumps(content)


def test_logits_become_probabilities_and_a_second_output_the_embedding(tmp_path: Path) -> None:
    jets = random_jets(np.random.default_rng(5), np.array([64, 64]))
    found = {}
    for last in ("Softmax", "Identity"):
        path, text = small(tmp_path, last, outputs=2)
        stated = {"softmax": "scores" if last == "Softmax" else "logits", "hidden": "embedding"}
        found[last] = WeaverEncoder(path, parse_preprocess(text, ""), stated, provider="cpu")(*jets)
    np.testing.assert_allclose(found["Softmax"]["scores"], found["Identity"]["scores"], rtol=1e-6)
    charge = jets[0][:64, FIELDS.index("charge")]
    np.testing.assert_allclose(found["Softmax"]["embedding"][0], [-(2 * (charge - 1)).mean(), 2], rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"input_names": ["pf_other"]}, "pf_other"),
        (
            {"pf_features": {"var_names": ["part_colour"], "var_infos": {}, "var_length": 3}},
            r"unknown variables \['part_c",
        ),
        ({"pf_features": {"var_names": ["part_px"], "var_infos": {}, "var_length": 3}}, "no entry for"),
        (
            {"pf_features": {"var_names": ["part_px"], "var_infos": {"part_px": {}}, "var_length": 3}},
            r"\[jet, 1, slot\]",
        ),
        ({"output_names": ["a", "b", "c"]}, "expected 3 class scores"),
    ],
)
def test_files_that_do_not_belong_together(tmp_path: Path, change: dict[str, object], match: str) -> None:
    path, text = small(tmp_path, "Softmax")
    (tmp_path / "preprocess.json").write_text(json.dumps(json.loads(text) | change))
    with pytest.raises(ModelError, match=match):
        JEPAEmbedder.from_weaver(path, tmp_path / "preprocess.json")


def test_broken_preprocess(tmp_path: Path) -> None:
    path, _ = small(tmp_path, "Softmax")
    (tmp_path / "preprocess.json").write_text("{")
    for name in ("preprocess.json", "missing.json"):
        with pytest.raises(ModelError, match=name):
            JEPAEmbedder.from_weaver(path, tmp_path / name)
