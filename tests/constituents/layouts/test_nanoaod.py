"""NanoAOD v15 against what the real file holds, and v12, which has no candidates."""

from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot
from coffea.nanoevents import NanoEventsFactory

from jepa_coffea.constituents import LayoutError, constituents_of, jets_of, layouts
from jepa_coffea.constituents.record import IDENTITY, KINEMATICS


@pytest.fixture(scope="module")
def events(shared_data: Path) -> ak.Array:
    with uproot.open(shared_data / "nano_tt_v15.root") as file:
        return file["Events"].arrays(
            filter_name="/(FatJet|FatJetPFCand|PFCand|Jet)_(pt|eta|phi|mass|pdgId|.*Idx|n.*|raw.*)/"
        )


def test_counts(events: ak.Array) -> None:
    found = constituents_of(events)
    assert found.fields == [*KINEMATICS, *IDENTITY]
    counts = ak.num(found, axis=2)
    assert (ak.sum(ak.num(found)), ak.sum(counts), ak.min(counts), ak.max(counts)) == (64, 2374, 0, 84)
    # The file's own count is wrong where no candidates were stored; empty jets stay.
    wrong = ak.flatten(counts != events.FatJet_nConstituents)
    assert ak.sum(wrong) == 2
    assert ak.all(ak.flatten(counts)[wrong] == 0)


def test_momenta_close_without_another_weight(events: ak.Array) -> None:
    found = constituents_of(events)
    raw = events.FatJet_pt * (1 - events.FatJet_rawFactor)
    closure = np.hypot(ak.sum(found.px, axis=2), ak.sum(found.py, axis=2)) / raw
    stored = ak.num(found, axis=2) > 0
    assert ak.all(abs(closure[stored] - 1) < 0.005)


def test_charge_from_the_code(events: ak.Array) -> None:
    found = constituents_of(events)
    assert set(np.unique(ak.flatten(found.charge, axis=None))) == {-1, 0, 1}
    codes = events.PFCand_pdgId[events.FatJetPFCand_pfCandIdx]
    expected = {211: 1, -211: -1, 11: -1, -11: 1, 13: -1, -13: 1, 22: 0, 130: 0}
    total = sum(charge * ak.sum(codes == code) for code, charge in expected.items())
    assert ak.sum(found.charge) == total


def test_displacement_cannot_be_had(events: ak.Array) -> None:
    with pytest.raises(LayoutError, match=r"'nanoaod' cannot give \['d0'\] for FatJet"):
        constituents_of(events, fields=("px", "d0"))


def test_small_jets_have_no_table(events: ak.Array) -> None:
    with pytest.raises(LayoutError, match=r"'nanoaod': the events have no JetPFCand\.jetIdx"):
        constituents_of(events, "Jet")


@pytest.mark.parametrize("mode", ["eager", "virtual"])
def test_through_coffea(events: ak.Array, shared_data: Path, mode: str) -> None:
    """coffea links nothing in these files; selections of jets find their candidates all the same."""
    log: list = []
    wanted = {"filter_name": "/(run|luminosityBlock|event|n?(FatJet|FatJetPFCand|PFCand)(_.*)?)/"}
    nano = NanoEventsFactory.from_root(
        {str(shared_data / "nano_tt_v15.root"): "Events"},
        schemaclass=layouts()["nanoaod"].schema_class(),
        mode=mode,
        access_log=log,
        iteritems_options=wanted if mode == "eager" else {},
    ).events()
    found, expected = constituents_of(nano), constituents_of(events)
    assert "?" not in str(found.type)
    assert all(ak.all(found[name] == expected[name]) for name in expected.fields)
    assert ak.all(jets_of(nano).energy == jets_of(events).energy)
    if mode == "virtual":
        assert {entry.branch for entry in log} == {
            "nFatJet", "FatJet_pt", "FatJet_eta", "FatJet_phi", "FatJet_mass", "FatJet_rawFactor",
            "nFatJetPFCand", "FatJetPFCand_jetIdx", "FatJetPFCand_pfCandIdx",
            "nPFCand", "PFCand_pt", "PFCand_eta", "PFCand_phi", "PFCand_mass", "PFCand_pdgId",
        }  # fmt: skip
    chosen = nano.FatJet[nano.FatJet.pt > 250]
    some = constituents_of(nano, jets=chosen)
    assert ak.num(some).to_list() == ak.num(chosen).to_list()
    assert ak.all(some.px == expected[nano.FatJet.pt > 250].px)
