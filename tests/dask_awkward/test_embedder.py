"""JEPAEmbedder on dask-awkward events: lazy, typed, reading only what it needs, the same numbers."""

from pathlib import Path

import awkward as ak
import dask
import dask_awkward
import numpy as np
import pytest
from coffea.nanoevents import NanoEventsFactory, PFNanoAODSchema

from jepa_coffea import JEPAEmbedder
from jepa_coffea.encoder import session
from tests.encoder.tiny import write_tiny

CLASSES = ("QCD", "Hbb")


def events_of(shared_data: Path, mode: str) -> ak.Array:
    tree = {str(shared_data / "pfnano.root"): "Events"}
    if mode == "dask":
        tree = {name: {"object_path": path, "steps": [[0, 4], [4, 8], [8, 10]]} for name, path in tree.items()}
    return NanoEventsFactory.from_root(tree, schemaclass=PFNanoAODSchema, mode=mode).events()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "tiny.onnx", classes=CLASSES)


def test_lazy_and_the_same(shared_data: Path, model: Path) -> None:
    events = events_of(shared_data, "dask")
    embedder = JEPAEmbedder(model, provider="cpu")
    session.release(embedder.digest)
    jets = embedder(events)
    assert isinstance(jets, dask_awkward.Array)
    assert not any(key[1] == embedder.digest for key in session._slots)  # typed without a session
    assert "jepa_embedding" in jets.fields
    events["FatJet"] = jets
    leading = events.FatJet[:, 0]
    embedding, score, pt = dask.compute(
        events.FatJet.jepa_embedding, leading.jepa_score_Hbb, leading.pt, scheduler="threads"
    )
    plain = events_of(shared_data, "virtual")
    expected = JEPAEmbedder(model, provider="cpu")(plain)
    np.testing.assert_allclose(ak.flatten(embedding), ak.flatten(expected.jepa_embedding), atol=1e-4)
    np.testing.assert_allclose(score, expected.jepa_score_Hbb[:, 0], atol=1e-5)
    np.testing.assert_allclose(pt, plain.FatJet.pt[:, 0])


def test_a_selection(shared_data: Path, model: Path) -> None:
    events = events_of(shared_data, "dask")
    embedder = JEPAEmbedder(model, provider="cpu")
    chosen = embedder(events, jets=events.FatJet[events.FatJet.pt > 300]).jepa_embedding.compute()
    plain = events_of(shared_data, "virtual")
    expected = embedder(plain, jets=plain.FatJet[plain.FatJet.pt > 300]).jepa_embedding
    np.testing.assert_allclose(ak.flatten(chosen), ak.flatten(expected), atol=1e-4)


def test_reads_only_what_it_needs(shared_data: Path, model: Path) -> None:
    jets = JEPAEmbedder(model, provider="cpu")(events_of(shared_data, "dask"))
    (columns,) = dask_awkward.report_necessary_columns(jets.jepa_score_QCD).values()
    assert {"FatJetPFCands_jetIdx", "PFCands_pt", "PFCands_d0"} <= set(columns)
    assert len(columns) < 40
