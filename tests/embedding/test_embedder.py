"""JEPAEmbedder on real CMS-format events: every mode, every selection, one load, nothing lost on the way."""

import copy
import dataclasses
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot
from coffea.nanoevents import NanoEventsFactory, PFNanoAODSchema

from jepa_coffea import JEPAEmbedder, read_card
from jepa_coffea.constituents import constituents_of, jets_of
from jepa_coffea.constituents.layout import find_layout
from jepa_coffea.constituents.record import FIELDS, LayoutError
from jepa_coffea.encoder import OnnxEncoder, model_files, session
from jepa_coffea.encoder.providers import ProviderError
from jepa_coffea.errors import ModelError
from tests.encoder.tiny import tiny_embedding, weights, write_tiny
from tests.support.event_files import MINIATURES, event_files

CLASSES = ("QCD", "Hbb")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("model") / "tiny.onnx", classes=CLASSES)


def events_of(file: Path, mode: str) -> ak.Array:
    """The collections that hold jets and their particles; all 1802 branches would take eager mode half a minute."""
    wanted = {"filter_name": "/(run|luminosityBlock|event|n?(FatJet|FatJetPFCands|Jet|JetPFCands|PFCands)(_.*)?)/"}
    return NanoEventsFactory.from_root(
        {str(file): "Events"}, schemaclass=PFNanoAODSchema, mode=mode, iteritems_options=wanted
    ).events()


@pytest.fixture(scope="module", params=event_files("pfnano.root"))
def file(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture(scope="module", params=["eager", "virtual"])
def opened(request: pytest.FixtureRequest, file: Path) -> ak.Array:
    return events_of(file, request.param)


@pytest.fixture
def events(opened: ak.Array) -> ak.Array:
    return copy.copy(opened)  # assigning a field to the copy leaves the original as it is


def expected_of(events: ak.Array) -> np.ndarray:
    """What the tiny model gives for all jets of the events, by numpy alone."""
    particles = ak.flatten(constituents_of(events, "FatJet"), axis=1)
    momenta = ak.flatten(jets_of(events, "FatJet"))
    flat = np.stack([ak.to_numpy(ak.flatten(particles[name])) for name in FIELDS], axis=1)
    axes = np.stack([ak.to_numpy(momenta[name]) for name in ("px", "py", "pz", "energy")], axis=1)
    return tiny_embedding(flat, ak.to_numpy(ak.num(particles)), axes)


def test_it_says_what_it_gives(model: Path) -> None:
    assert (
        repr(JEPAEmbedder(model))
        == "<JEPAEmbedder tiny: 8 numbers per jet, scores of 2 classes, scale seen, provider auto>"
    )
    assert "scale blind, provider auto>" in repr(JEPAEmbedder("pjepa-mini"))


def test_against_numpy(events: ak.Array, model: Path) -> None:
    embedder = JEPAEmbedder(model, provider="cpu")
    jets = embedder(events)
    expected = expected_of(events)
    assert str(ak.type(jets.jepa_embedding)) == f"{len(events)} * var * 8 * float32"
    assert ak.num(jets).tolist() == ak.num(events.FatJet).tolist()
    np.testing.assert_allclose(ak.to_numpy(ak.flatten(jets.jepa_embedding)), expected, atol=1e-4)
    powers = np.exp(expected @ weights(14, 8, 2)["c"])
    score = ak.to_numpy(ak.flatten(jets.jepa_score_Hbb))
    np.testing.assert_allclose(score, powers[:, 1] / powers.sum(axis=1), atol=1e-5)
    there = ak.to_numpy(ak.flatten(ak.num(constituents_of(events), axis=2))) > 0
    np.testing.assert_allclose((ak.to_numpy(ak.flatten(jets.jepa_score_QCD)) + score)[there], 1, atol=1e-6)
    counts = ak.flatten(ak.num(constituents_of(events), axis=2))
    assert embedder.metrics()["jets"] == len(counts) > 20
    assert embedder.metrics()["particles"] == ak.sum(counts)
    assert embedder.metrics()["empty"] == ak.sum(counts == 0)


def test_in_place_keeps_behaviour_and_cross_references(events: ak.Array, model: Path) -> None:
    events["FatJet"] = JEPAEmbedder(model, provider="cpu")(events)
    assert "jepa_embedding" in events.FatJet.fields
    assert ak.all(events.FatJet.px**2 + events.FatJet.py**2 > 0)
    leading = events.FatJet[:, 0]
    assert ak.all(np.isfinite(leading.delta_r(events.FatJet[:, -1])))
    assert str(ak.type(leading.jepa_embedding)) == f"{len(events)} * 8 * float32"


def test_a_selection_of_jets(events: ak.Array, model: Path) -> None:
    embedder = JEPAEmbedder(model, provider="cpu")
    chosen = events.FatJet.pt > np.median(ak.flatten(events.FatJet.pt))
    every = embedder(events).jepa_embedding
    some = embedder(events, jets=events.FatJet[chosen])
    assert ak.num(some).tolist() == ak.sum(chosen, axis=1).tolist()
    np.testing.assert_allclose(ak.flatten(some.jepa_embedding), ak.flatten(every[chosen]), atol=1e-4)
    masked = embedder(events, jets=ak.mask(events.FatJet, chosen))
    assert ak.to_list(ak.is_none(masked.jepa_score_QCD, axis=1)) == ak.to_list(~chosen)
    np.testing.assert_allclose(
        ak.flatten(ak.drop_none(masked.jepa_embedding, axis=1)), ak.flatten(every[chosen]), atol=1e-4
    )
    first = embedder(events, jets=ak.firsts(events.FatJet))
    np.testing.assert_allclose(ak.to_numpy(first.jepa_embedding), ak.to_numpy(every[:, 0]), atol=1e-4)


def test_a_selection_of_events(events: ak.Array, model: Path) -> None:
    embedder = JEPAEmbedder(model, provider="cpu")
    every = embedder(events).jepa_embedding
    many = ak.num(events.FatJet) > 2
    np.testing.assert_allclose(ak.flatten(embedder(events[many]).jepa_embedding), ak.flatten(every[many]), atol=1e-4)


def test_another_prefix_beside_the_first(events: ak.Array, model: Path) -> None:
    embedder = JEPAEmbedder(model, provider="cpu", prefix="mine")
    jets = embedder(events, jets=embedder(events), prefix="other")
    new = [name for name in jets.fields if name not in events.FatJet.fields]
    assert new == [
        f"{prefix}_{name}" for prefix in ("mine", "other") for name in ("embedding", "score_QCD", "score_Hbb")
    ]


def test_another_collection(events: ak.Array, tmp_path: Path) -> None:
    jets = JEPAEmbedder(write_tiny(tmp_path / "a.onnx", dim=3), provider="cpu")(events, collection="Jet")
    assert str(ak.type(jets.jepa_embedding)) == f"{len(events)} * var * 3 * float32"
    assert ak.count(jets.pt) == ak.count(events.Jet.pt) > 30


def test_no_events_open_no_session(events: ak.Array, tmp_path: Path) -> None:
    events = events[:0]
    embedder = JEPAEmbedder(write_tiny(tmp_path / "a.onnx", dim=13, classes=CLASSES), provider="cpu")
    jets = embedder(events)
    assert str(ak.type(jets.jepa_embedding)) == "0 * var * 13 * float32"
    assert str(ak.type(jets.jepa_score_Hbb)) == "0 * var * float32"
    assert embedder.metrics()["provider"] is None
    assert not any(key[1] == embedder.digest for key in session._slots)


def test_typetracers_open_no_session(file: Path, tmp_path: Path) -> None:
    plain = uproot.open(file)["Events"].arrays(filter_name="/(FatJet|PFCands|FatJetPFCands)_.*/")
    plain["FatJet"] = ak.zip({name: plain[f"FatJet_{name}"] for name in ("pt", "eta", "phi", "mass")})
    embedder = JEPAEmbedder(write_tiny(tmp_path / "a.onnx", dim=14, classes=CLASSES), provider="cuda")
    traced = embedder(ak.Array(plain.layout.to_typetracer(forget_length=True)))
    real = JEPAEmbedder(embedder.path, provider="cpu")(plain)
    assert ak.backend(traced) == "typetracer"
    assert traced.layout.form == real.layout.to_typetracer(forget_length=True).form
    assert not any(key[1:] == (embedder.digest, "cuda") for key in session._slots)


def test_five_chunks_unpickled_anew_make_one_load(events: ak.Array, tmp_path: Path) -> None:
    original = JEPAEmbedder(write_tiny(tmp_path / "a.onnx", dim=15), provider="cpu")
    session.release(original.digest)
    packed = pickle.dumps(original)
    assert len(packed) < 2000
    loads = jets = 0
    for start in range(0, len(events), 2):
        embedder = pickle.loads(packed)
        embedder(events[start : start + 2])
        loads += embedder.metrics()["loads"]
        jets += embedder.metrics()["jets"]
    assert (loads, jets) == (1, ak.count(events.FatJet.pt))


def test_pickles_after_use(events: ak.Array, model: Path) -> None:
    embedder = JEPAEmbedder(model, provider="cpu")
    before = embedder(events).jepa_embedding
    again = pickle.loads(pickle.dumps(embedder))
    assert again.metrics()["jets"] == 0
    assert ak.array_equal(again(events).jepa_embedding, before, equal_nan=True)


def test_a_field_that_the_layout_lacks(events: ak.Array, model: Path, tmp_path: Path) -> None:
    poor = dataclasses.replace(find_layout(events), name="poor", fields=FIELDS[:10])
    with pytest.raises(LayoutError, match=r"layout 'poor' cannot give \['d0', .*'tiny' \(tiny.onnx\) needs"):
        JEPAEmbedder(model, provider="cpu", layout=poor)(events)
    optional = write_tiny(tmp_path / "a.onnx", optional_fields=FIELDS[10:])
    jets = JEPAEmbedder(optional, provider="cpu", layout=poor)(events)
    particles = ak.flatten(constituents_of(events, "FatJet"), axis=1)
    momenta = ak.flatten(jets_of(events, "FatJet"))
    flat = np.stack([ak.to_numpy(ak.flatten(particles[name])) for name in FIELDS], axis=1)
    flat[:, 10:] = 0
    axes = np.stack([ak.to_numpy(momenta[name]) for name in ("px", "py", "pz", "energy")], axis=1)
    expected = tiny_embedding(flat, ak.to_numpy(ak.num(particles)), axes)
    np.testing.assert_allclose(ak.to_numpy(ak.flatten(jets.jepa_embedding)), expected, atol=1e-4)


def test_events_without_candidates(model: Path) -> None:
    plain = uproot.open(MINIATURES / "nano_v12.root")["Events"].arrays(filter_name="FatJet_*")
    with pytest.raises(LayoutError):
        JEPAEmbedder(model, provider="cpu")(plain)


def test_flat_branches_give_columns_but_take_no_fields(file: Path, model: Path) -> None:
    plain = uproot.open(file)["Events"].arrays(filter_name="/(FatJet|PFCands|FatJetPFCands)_.*/")
    embedder = JEPAEmbedder(model, provider="cpu")
    columns = embedder.columns(plain)
    assert list(columns) == ["embedding", "score_QCD", "score_Hbb"]
    assert str(ak.type(columns["embedding"])) == f"{len(plain)} * var * 8 * float32"
    with pytest.raises(LayoutError, match=r"no record 'FatJet' to attach fields to; use embedder.columns"):
        embedder(plain)


def test_names_of_shipped_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    write_tiny(tmp_path / "models" / "small-one.onnx")
    monkeypatch.setattr(model_files.resources, "files", lambda package: tmp_path)
    assert JEPAEmbedder("small-one").path == tmp_path / "models" / "small-one.onnx"
    with pytest.raises(ModelError, match="large-one: neither a file nor a shipped model; known are small-one"):
        JEPAEmbedder("large-one")
    with pytest.raises(ModelError, match=r"small-one.onnx: no such model file"):
        JEPAEmbedder("small-one.onnx")


def test_a_missing_file_is_no_os_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        JEPAEmbedder(tmp_path / "no.onnx")


def test_matches_the_encoder(events: ak.Array, model: Path) -> None:
    embedder = JEPAEmbedder(model, provider="cpu")
    embedder(events)
    assert OnnxEncoder(model, provider="cpu").model is embedder._encoder.model


def test_varied_jets_have_the_embedding_of_the_file(events: ak.Array, model: Path) -> None:
    """As in the ready processor: their constituents are not varied, so neither is what the model is given."""
    embedder = JEPAEmbedder(model, provider="cpu")
    nominal = embedder(events).jepa_embedding
    jets = events.FatJet
    varied = ak.with_field(ak.with_field(jets, jets.pt * 1.05, "pt"), jets.mass * 1.05, "mass")[:, ::-1]
    again = embedder(events, jets=varied)
    assert ak.all(again.pt == jets.pt[:, ::-1] * np.float32(1.05))
    np.testing.assert_allclose(ak.flatten(again.jepa_embedding), ak.flatten(nominal[:, ::-1]), atol=1e-5)


def test_threads_that_come_first_are_all_counted(events: ak.Array, model: Path) -> None:
    """Eight threads, none of which found an encoder."""
    for _ in range(5):
        embedder = JEPAEmbedder(model, provider="cpu")
        table = embedder.inputs(events)
        with ThreadPoolExecutor(8) as pool:
            assert len(list(pool.map(lambda _, e=embedder, t=table: e.embed(t), range(8)))) == 8
        assert embedder.metrics()["jets"] == 8 * len(table.counts)


@pytest.mark.parametrize(
    ("file", "collection", "says"),
    [
        ("pfnano.root", "FatJett", "there is no collection 'FatJett': did you mean 'FatJet'?"),
        ("pfnano.root", "Muon", "there is no collection 'Muon'"),
        ("nano_v15.root", "Jet", "Jet has no constituents in these events, FatJet has"),
    ],
)
def test_a_collection_that_is_not_there(file: str, collection: str, says: str) -> None:
    events = NanoEventsFactory.from_root({str(MINIATURES / file): "Events"}, schemaclass=PFNanoAODSchema).events()
    with pytest.raises(LayoutError) as raised:
        JEPAEmbedder("pjepa-mini", provider="cpu")(events, collection=collection)
    assert says in str(raised.value)
    assert "none" not in str(raised.value)


def test_jets_of_another_collection_ask_for_its_name(model: Path) -> None:
    events = events_of(MINIATURES / "pfnano.root", "eager")
    with pytest.raises(LayoutError, match="need its name, as in collection='Jet'"):
        JEPAEmbedder(model, provider="cpu")(events, jets=events.Jet)


def test_words_that_are_meant(model: Path) -> None:
    with pytest.raises(ProviderError, match="got 'gpu'; did you mean 'cuda'"):
        JEPAEmbedder(model, provider="gpu")  # at once, not with the first jet
    with pytest.raises(ModelError, match="did you mean 'pjepa-mini'"):
        JEPAEmbedder("pjepa_mini")
    with pytest.raises(LayoutError, match="did you mean 'pfnano'"):
        JEPAEmbedder(model, layout="pfnan")
    with pytest.raises(LayoutError, match="expected the array that NanoEventsFactory gives, got str"):
        JEPAEmbedder(model)("events.root")
    assert read_card("pjepa-mini").name == "pjepa-mini"
