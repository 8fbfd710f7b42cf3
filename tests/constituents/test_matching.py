"""Selections of jets keep their structure and find their constituents again."""

import awkward as ak
import numpy as np
import pytest

from jepa_coffea.constituents import LayoutError, constituents_of, jets_of


@pytest.fixture(scope="module")
def events(pfnano_arrays: ak.Array) -> ak.Array:
    names = ("pt", "eta", "phi", "mass", "rawFactor")
    jets = ak.zip({name: pfnano_arrays[f"FatJet_{name}"] for name in names})
    cands = [name for name in pfnano_arrays.fields if "PFCands_" in name]
    return ak.with_field(pfnano_arrays[cands], jets, "FatJet")


def test_mask(events: ak.Array) -> None:
    chosen = events.FatJet.pt > 300
    expected = constituents_of(events)[chosen]
    found = constituents_of(events, jets=events.FatJet[chosen])
    assert ak.all(found.px == expected.px)
    assert ak.num(found).to_list() == ak.sum(chosen, axis=1).to_list()


def test_masked_array_keeps_its_gaps(events: ak.Array) -> None:
    chosen = events.FatJet.pt > 300
    found = constituents_of(events, jets=ak.mask(events.FatJet, chosen))
    assert ak.is_none(found, axis=1).to_list() == (~chosen).to_list()
    assert ak.all(ak.drop_none(found, axis=1).px == constituents_of(events)[chosen].px)
    assert ak.is_none(jets_of(events, jets=ak.mask(events.FatJet, chosen)), axis=1).to_list() == (~chosen).to_list()


def test_one_jet_an_event(events: ak.Array) -> None:
    heaviest = ak.argmax(events.FatJet.mass, axis=1, keepdims=True)
    kept = constituents_of(events, jets=events.FatJet[heaviest])
    assert ak.num(ak.drop_none(kept, axis=1), axis=1).to_list() == [1] * len(events)
    first = constituents_of(events, jets=ak.firsts(events.FatJet[heaviest]))
    assert first.ndim == 2
    assert ak.all(first.px == kept.px[:, 0])


def test_no_jet_in_an_event(events: ak.Array) -> None:
    chosen = events.FatJet[events.FatJet.pt > 1000]
    found = constituents_of(events, jets=ak.firsts(chosen))
    assert ak.is_none(found).to_list() == (ak.num(chosen) == 0).to_list()


def test_survives_corrections_and_sorting(events: ak.Array) -> None:
    jets = events.FatJet
    varied = ak.with_field(jets, jets.pt * (1 + 0.5 * ak.local_index(jets)), "pt")
    order = ak.argsort(varied.pt, ascending=False)
    varied = varied[order]
    assert ak.any(order != ak.local_index(jets))
    found = constituents_of(events, jets=varied)
    assert ak.all(found.px == constituents_of(events)[order].px)
    momenta = jets_of(events, jets=varied)
    np.testing.assert_allclose(ak.flatten(np.hypot(momenta.px, momenta.py)), ak.flatten(varied.pt), rtol=1e-6)


def test_moved_jets_are_an_error(events: ak.Array) -> None:
    moved = ak.with_field(events.FatJet, events.FatJet.eta + 0.01, "eta")
    with pytest.raises(LayoutError, match=r"(24 of 24|23 of 23) jets cannot be traced .* direction of none"):
        constituents_of(events, jets=moved)


def test_ambiguous_jets_are_an_error(events: ak.Array) -> None:
    twice = ak.concatenate([events.FatJet, events.FatJet[:, :1]], axis=1)
    doubled = ak.with_field(events, twice, "FatJet")
    with pytest.raises(LayoutError, match="more than one of the stored jets of FatJet"):
        constituents_of(doubled, jets=doubled.FatJet[:, :1])


def test_other_number_of_events(events: ak.Array) -> None:
    with pytest.raises(LayoutError, match=r"a selection of 4 events for 1[02] events"):
        constituents_of(events, jets=events.FatJet[:4])


def test_something_that_is_no_jet(events: ak.Array) -> None:
    with pytest.raises(LayoutError, match="array of jets with eta and phi"):
        constituents_of(events, jets=events.FatJet.pt)
