"""The same simulated events in every format give the same constituents, and the traps of real files are met."""

import awkward as ak
import numpy as np
import pytest
import uproot
from coffea.nanoevents import NanoEventsFactory

from jepa_coffea import JEPAEmbedder
from jepa_coffea.constituents import LayoutError, constituents_of, jets_of, layouts
from jepa_coffea.constituents.record import DISPLACEMENT, FIELDS, IDENTITY, KINEMATICS
from tests.support.event_files import MINIATURES
from tests.support.miniatures import WITHOUT


def arrays(name: str, tree: str = "Events") -> ak.Array:
    with uproot.open(MINIATURES / name) as file:
        return file[tree].arrays()


@pytest.fixture(scope="module")
def pfnano() -> ak.Array:
    return constituents_of(arrays("pfnano.root"))


def close(found: ak.Array, expected: ak.Array, fields: tuple[str, ...]) -> None:
    """Particles may be in another order where their pT differ by rounding."""
    assert ak.all(ak.num(found, axis=2) == ak.num(expected, axis=2))
    for name in fields:
        sorted_ones = [np.asarray(ak.flatten(ak.sort(some[name], axis=2), axis=None)) for some in (found, expected)]
        np.testing.assert_allclose(*sorted_ones, rtol=1e-4, atol=2e-3, err_msg=name)


@pytest.mark.parametrize("name", ["nano_v15.root", "nano_v15_rntuple.root"])
def test_nanoaod(pfnano: ak.Array, name: str) -> None:
    events = arrays(name)
    close(constituents_of(events), pfnano, (*KINEMATICS, *IDENTITY))
    assert ak.all(jets_of(events).energy == jets_of(arrays("pfnano.root")).energy)
    lost = events.FatJet_nConstituents != ak.num(constituents_of(events), axis=2)
    assert ak.sum(lost) == 1
    assert ak.num(constituents_of(events), axis=2)[WITHOUT, -1] == 0
    with pytest.raises(LayoutError, match=r"cannot give \['d0'\]"):
        constituents_of(events, fields=("d0",))
    with pytest.raises(LayoutError, match=r"no JetPFCand\.jetIdx"):
        constituents_of(events, "Jet")


def test_nanoaod_before_v15() -> None:
    with pytest.raises(LayoutError, match="no particle-flow candidates"):
        constituents_of(arrays("nano_v12.root"))


def test_pfnano_has_its_traps(pfnano: ak.Array) -> None:
    raw = arrays("pfnano.root")
    assert ak.any(raw.PFCands_mass < 0)
    assert ak.any(raw.PFCands_d0Err == -1)
    assert {1, 2} <= set(np.unique(ak.flatten(raw.PFCands_pdgId)))
    assert ak.any(raw.PFCands_puppiWeight < 1)
    assert not ak.all(raw.FatJet_rawFactor == 0)
    assert ak.num(pfnano, axis=2)[WITHOUT, -1] == 0
    assert ak.all(np.isfinite(ak.flatten(pfnano.energy, axis=None)))
    assert ak.min(pfnano.d0_err) == 0


@pytest.mark.parametrize("collection", ["Jet", "GenJet"])
def test_delphes(collection: str) -> None:
    events = arrays("delphes.root", "Delphes")
    found, axes = constituents_of(events, collection), jets_of(events, collection)
    counts = ak.num(found, axis=2)
    assert ak.all(counts == ak.num(events[collection].Constituents.refs, axis=2))
    for name in KINEMATICS:
        sums = ak.flatten(ak.sum(found[name], axis=2))
        np.testing.assert_allclose(sums, ak.flatten(axes[name]), rtol=2e-3, atol=0.5)
    if collection == "Jet":
        expected = constituents_of(arrays("pfnano.root"))
        same = ak.flatten(ak.num(expected, axis=2)) > 0
        for name in DISPLACEMENT:  # what weights and towers leave as it is
            total = [np.asarray(ak.flatten(ak.sum(some[name], axis=2)))[same] for some in (found, expected)]
            np.testing.assert_allclose(*total, rtol=1e-4, atol=1e-4)


def test_through_coffea_and_the_embedder() -> None:
    form = layouts()["pfnano"]
    path = str(MINIATURES / "pfnano.root")
    events = NanoEventsFactory.from_root({path: form.tree}, schemaclass=form.schema_class()).events()
    found = constituents_of(events)
    plain = constituents_of(arrays("pfnano.root"))
    assert all(ak.all(found[name] == plain[name]) for name in FIELDS)
    embedder = JEPAEmbedder("pjepa-mini", provider="cpu")
    embedding = embedder(events).jepa_embedding
    assert embedder.metrics()["empty"] == 1
    assert np.isnan(embedding[WITHOUT, -1, 0])
    assert np.isfinite(ak.to_numpy(ak.flatten(embedding))).all(axis=1).sum() == embedder.metrics()["jets"] - 1
