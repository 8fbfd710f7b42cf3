"""Delphes against its real file: every reference resolves, and constituents add up to their jets."""

from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot
from coffea.nanoevents import DelphesSchema, NanoEventsFactory

from jepa_coffea.constituents import FIELDS, LayoutError, constituents_of, jets_of


@pytest.fixture(scope="module")
def events(shared_data: Path) -> ak.Array:
    return NanoEventsFactory.from_root(
        {str(shared_data / "delphes.root"): "Delphes"}, schemaclass=DelphesSchema, mode="virtual"
    ).events()


def test_references_resolve(events: ak.Array) -> None:
    found = constituents_of(events, "Jet")
    assert ak.sum(ak.num(found)) == 106
    assert ak.all(ak.num(found, axis=2) == ak.num(events.Jet.Constituents.refs, axis=2))
    assert tuple(found.fields) == FIELDS
    assert all(ak.all(np.isfinite(found[name]), axis=None) for name in FIELDS)


def test_another_collection_is_named(events: ak.Array) -> None:
    with pytest.raises(LayoutError, match=r"have no FatJet with constituents; those that do: \[.*'Jet'"):
        constituents_of(events)


@pytest.mark.parametrize(
    ("collection", "jets", "particles"),
    [
        ("Jet", 106, 1877),
        ("ParticleFlowJet04", 113, 1907),
        ("ParticleFlowJet08", 158, 4960),
        ("ParticleFlowJet15", 154, 9799),
        ("CaloJet08", 147, 4458),
        ("TrackJet08", 76, 1092),
    ],
)
def test_constituents_add_up(events: ak.Array, collection: str, jets: int, particles: int) -> None:
    found, axes = constituents_of(events, collection), jets_of(events, collection)
    assert ak.sum(ak.num(found)) == jets
    assert ak.sum(ak.num(found, axis=2)) == particles
    for name in ("px", "py", "pz", "energy"):
        np.testing.assert_allclose(
            ak.flatten(ak.sum(found[name], axis=2)), ak.flatten(axes[name]), atol=0.01 * ak.max(axes.energy), rtol=1e-3
        )


def test_identity_by_hand(events: ak.Array) -> None:
    """The first jet, object by object."""
    wanted = set(events.Jet.Constituents.refs[0, 0].to_list())
    found = constituents_of(events, "Jet")[0, 0]
    tracks = events.EFlowTrack[0]
    mine = [i for i, number in enumerate(tracks.fUniqueID) if number & 0xFFFFFF in wanted]
    assert ak.sum(found.charge != 0) == len(mine)
    np.testing.assert_allclose(
        np.sort(np.hypot(found.px, found.py)[found.charge != 0]), np.sort(tracks.PT[mine]), rtol=1e-5
    )
    np.testing.assert_allclose(np.sort(found.d0[found.charge != 0]), np.sort(tracks.D0[mine]), rtol=1e-5)
    photons = [number for number in events.EFlowPhoton[0].fUniqueID if number & 0xFFFFFF in wanted]
    assert ak.sum(found.is_photon) == len(photons)


def test_reads_only_what_it_needs(shared_data: Path) -> None:
    log: list = []
    events = NanoEventsFactory.from_root(
        {str(shared_data / "delphes.root"): "Delphes"}, schemaclass=DelphesSchema, mode="virtual", access_log=log
    ).events()
    constituents_of(events, "Jet", fields=("px", "py", "pz", "energy"))
    assert {entry.branch.split("/")[0].split(".")[0].removesuffix("_size") for entry in log} == {
        "Jet", "EFlowTrack", "EFlowPhoton", "EFlowNeutralHadron",
    }  # fmt: skip
    assert not any(entry.branch.endswith((".D0", ".PID", ".Charge")) for entry in log)


def test_plain_arrays_give_the_same(events: ak.Array, shared_data: Path) -> None:
    with uproot.open(shared_data / "delphes.root") as file:
        plain = file["Delphes"].arrays(filter_name=r"/(ParticleFlowJet08|EFlow\w*)\..*/")
    found, expected = constituents_of(plain, "ParticleFlowJet08"), constituents_of(events, "ParticleFlowJet08")
    assert all(ak.all(found[name] == expected[name]) for name in FIELDS)


def puppi(references: list[list[int]]) -> ak.Array:
    """One event with a FatJet collection of particle-flow candidates, as cards with PUPPI write them."""
    number = 5 << 24  # the process bits, which references do not have
    columns = {
        "FatJet": {"PT": [60.0], "Eta": [0.0], "Phi": [0.0], "Mass": [1.0]},
        "Jet": {"PT": [60.0], "Eta": [0.0], "Phi": [0.0], "Mass": [1.0]},
        "ParticleFlowCandidate": {
            "fUniqueID": [number + 7, number + 8, number + 9],
            "PT": [10.0, 30.0, 20.0],
            "Eta": [0.0, 0.1, 0.05],
            "Phi": [0.0, 0.0, 0.1],
            "Mass": [0.0, 0.14, 0.0],
            "PID": [22, 211, 0],
            "Charge": [0, 1, 0],
            "D0": [9.0, 0.5, 9.0],
            "ErrorD0": [9.0, 0.1, 9.0],
            "DZ": [9.0, 0.7, 9.0],
            "ErrorDZ": [9.0, 0.2, 9.0],
        },
    }
    flat = {f"{name}.{key}": ak.Array([value]) for name, fields in columns.items() for key, value in fields.items()}
    for name in ("FatJet", "Jet"):
        flat[f"{name}.Constituents"] = ak.Array([[{"refs": refs} for refs in references]])
    return ak.zip(flat, depth_limit=1)


def test_puppi_jets() -> None:
    found = constituents_of(puppi([[7, 8, 9]]))[0, 0]
    assert found.charge.to_list() == [1, 0, 0]
    assert found.is_photon.to_list() == [0, 0, 1]
    assert found.is_neutral_hadron.to_list() == [0, 1, 0]
    np.testing.assert_allclose(found.d0, [0.5, 0, 0])
    np.testing.assert_allclose(found.dz_err, [0.2, 0, 0], rtol=1e-6)


def test_reference_to_nothing() -> None:
    with pytest.raises(LayoutError, match=r"1 of 3 references of FatJet.Constituents lead to no object of \["):
        constituents_of(puppi([[7, 8, 77]]))


@pytest.mark.parametrize("collection", ["GenJet", "GenJet08"])
def test_jets_of_generated_particles(events: ak.Array, collection: str) -> None:
    found, axes = constituents_of(events, collection), jets_of(events, collection)
    assert ak.all(ak.num(found, axis=2) == ak.num(events[collection].Constituents.refs, axis=2))
    for name in ("px", "py", "pz", "energy"):
        np.testing.assert_allclose(
            ak.flatten(ak.sum(found[name], axis=2)), ak.flatten(axes[name]), atol=0.01 * ak.max(axes.energy), rtol=1e-3
        )
    assert set(np.unique(ak.flatten(found.charge, axis=None))) == {-1, 0, 1}
    assert ak.all(found.d0 == 0)


def test_jet_of_other_things(shared_data: Path) -> None:
    with uproot.open(shared_data / "delphes.root") as file:
        plain = file["Delphes"].arrays(filter_name=r"/(GenJet08|EFlow\w*)\..*/")
    with pytest.raises(LayoutError, match=r"7466 of 7466 references of GenJet08.Constituents lead to no object"):
        constituents_of(plain, "GenJet08")


def test_selections_with_small_letters(events: ak.Array) -> None:
    """What a processor makes of any format."""
    jets = ak.zip({"pt": events.Jet.PT, "eta": events.Jet.Eta, "phi": events.Jet.Phi})
    chosen = jets.pt > 30
    found = constituents_of(events, "Jet", jets=jets[chosen])
    assert ak.all(found.px == constituents_of(events, "Jet")[chosen].px)
