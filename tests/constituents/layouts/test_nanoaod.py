"""NanoAOD v15 against what the real file holds, and v12, which has no candidates."""

import re
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot
from coffea.nanoevents import NanoEventsFactory, PFNanoAODSchema

from jepa_coffea.constituents import FIELDS, LayoutError, constituents_of, jets_of, layouts
from jepa_coffea.constituents.read import ClosureWarning
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


COUNTS = [[43, 51, 31], [42, 41], [58, 27], [29, 45], [25, 72], [74, 38], [17, 52], [76, 25, 29, 41], [41, 84]]
COUNTS += [[53, 55, 27]]

KINEMATIC_BRANCHES = {
    "nFatJet",
    "FatJet_pt",
    "FatJet_eta",
    "FatJet_phi",
    "FatJet_mass",
    "FatJet_rawFactor",
    "nFatJetPFCands",
    "FatJetPFCands_jetIdx",
    "FatJetPFCands_pFCandsIdx",
    "nPFCands",
    "PFCands_pt",
    "PFCands_eta",
    "PFCands_phi",
    "PFCands_mass",
    "PFCands_puppiWeight",
}


def nano(path: Path, mode: str, log: list | None = None) -> ak.Array:
    # Eager mode reads all branches that it is given: of 1802, those that matter here.
    wanted = r"/(run|luminosityBlock|event|n?(FatJet|FatJetPFCands|PFCands)(_.*)?)/"
    options = {"filter_name": wanted} if mode == "eager" else {}
    return NanoEventsFactory.from_root(
        {str(path): "Events"},
        schemaclass=PFNanoAODSchema,
        mode=mode,
        access_log=log,
        iteritems_options=options,
    ).events()


@pytest.mark.parametrize("mode", ["eager", "virtual"])
def test_counts_of_the_real_file(shared_data: Path, mode: str) -> None:
    found = constituents_of(nano(shared_data / "pfnano.root", mode))
    assert ak.num(found, axis=2).to_list() == COUNTS
    assert tuple(found.fields) == FIELDS
    assert "?" not in str(found.type)
    assert set(re.findall(r": (\w+)", str(found.type))) == {"float32"}


def test_plain_arrays_give_the_same(pfnano_file: Path, pfnano_arrays: ak.Array) -> None:
    nested = constituents_of(nano(pfnano_file, "eager"))
    flat = constituents_of(pfnano_arrays)
    assert all(ak.all(nested[name] == flat[name]) for name in FIELDS)


def test_rntuple_gives_the_same(pfnano_arrays: ak.Array, tmp_path: Path) -> None:
    kept = r"(FatJet_(pt|eta|phi|mass)|FatJetPFCands_.*Idx|PFCands_.*)"
    columns = {name: pfnano_arrays[name] for name in pfnano_arrays.fields if re.fullmatch(kept, name)}
    columns |= {f"n{name.split('_')[0]}": ak.num(column) for name, column in columns.items()}
    columns |= {name: np.arange(len(pfnano_arrays)) for name in ("run", "luminosityBlock", "event")}
    with uproot.recreate(tmp_path / "events.root") as file:
        file.mkrntuple("Events", {name: ak.without_parameters(column) for name, column in columns.items()})
    found = constituents_of(nano(tmp_path / "events.root", "virtual"))
    expected = constituents_of(pfnano_arrays)
    assert all(ak.all(found[name] == expected[name]) for name in FIELDS)


def test_reads_only_what_it_needs(pfnano_file: Path) -> None:
    log: list = []
    constituents_of(nano(pfnano_file, "virtual", log), fields=("px", "py", "pz", "energy"))
    assert {entry.branch for entry in log} == KINEMATIC_BRANCHES


def test_recognising_reads_no_values(pfnano_file: Path) -> None:
    log: list = []
    with pytest.raises(LayoutError, match="SubJet"):
        constituents_of(nano(pfnano_file, "virtual", log), "SubJet")
    assert all(entry.branch.startswith("n") for entry in log)  # lengths of collections at most


def test_momentum_closes_on_the_raw_jets(pfnano_arrays: ak.Array) -> None:
    for collection in ("FatJet", "Jet"):  # PUPPI and charged-hadron subtraction: the weight applies to one only
        found = constituents_of(pfnano_arrays, collection)
        raw = pfnano_arrays[f"{collection}_pt"] * (1 - pfnano_arrays[f"{collection}_rawFactor"])
        vectors = np.hypot(ak.sum(found.px, axis=2), ak.sum(found.py, axis=2)) / raw
        assert ak.all(abs(vectors - 1)[ak.num(found, axis=2) > 0] < 0.005)


def test_units_and_sentinels(pfnano_arrays: ak.Array) -> None:
    found = constituents_of(pfnano_arrays)
    # By hand: the hardest track of the first jet, in cm in the file.
    first = pfnano_arrays.FatJetPFCands_pFCandsIdx[0][pfnano_arrays.FatJetPFCands_jetIdx[0] == 0]
    stored = {name: pfnano_arrays[f"PFCands_{name}"][0][first] for name in ("pt", "d0", "d0Err", "dz", "dzErr")}
    weight = pfnano_arrays.PFCands_puppiWeight[0][first]
    hardest = ak.argsort(stored["pt"] * weight, ascending=False)
    for ours, theirs in (("d0", "d0"), ("d0_err", "d0Err"), ("dz", "dz"), ("dz_err", "dzErr")):
        expected = ak.where(stored["d0Err"] < 0, 0, stored[theirs] * 10)[hardest]
        np.testing.assert_allclose(found[ours][0, 0], expected, rtol=1e-6)
    untracked = found.d0_err == 0
    assert ak.any(untracked)
    assert ak.all(found.d0_err >= 0)
    assert ak.all((found.d0[untracked] == 0) & (found.dz[untracked] == 0) & (found.dz_err[untracked] == 0))


def test_order_identity_and_mass(pfnano_arrays: ak.Array) -> None:
    found = constituents_of(pfnano_arrays)
    pt = np.hypot(found.px, found.py)
    assert ak.all(pt[:, :, 1:] <= pt[:, :, :-1])
    flags = sum(found[name] for name in FIELDS if name.startswith("is_"))
    assert ak.all(flags == 1)
    assert ak.all((found.charge != 0) == (found.is_charged_hadron + found.is_electron + found.is_muon == 1))
    momentum = np.sqrt(found.px**2 + found.py**2 + found.pz**2)
    assert ak.all(found.energy >= momentum * (1 - 1e-6))


def test_forward_codes_are_neutral() -> None:
    events = tiny(pdgId=[[1, 2, 130]], charge=[[0, 0, 0]])
    found = constituents_of(events)
    assert found.is_neutral_hadron[0, 0].to_list() == [0, 1, 1]
    assert found.is_photon[0, 0].to_list() == [1, 0, 0]


def tiny(**changed: list) -> ak.Array:
    """One event with two jets, of which the second is empty, and three particles."""
    columns = {
        "FatJet": {"pt": [[90.0, 50]], "eta": [[0.1, 1.0]], "phi": [[0.1, 3.0]], "mass": [[5.0, 5.0]]},
        "FatJetPFCands": {"jetIdx": [[0, 0, 0]], "pFCandsIdx": [[0, 2, 1]]},
        "PFCands": {
            "pt": [[10.0, 30.0, 50.0]],
            "eta": [[0.1, 0.1, 0.1]],
            "phi": [[0.1, 0.2, 0.0]],
            "mass": [[0.0, 0.13, -0.001]],
            "pdgId": [[22, 211, -211]],
            "charge": [[0, 1, -1]],
            "puppiWeight": [[1.0, 1.0, 0.5]],
            "d0": [[-1.0, 0.01, 0.02]],
            "d0Err": [[-1.0, 0.001, 0.002]],
            "dz": [[-1.0, 0.03, 0.04]],
            "dzErr": [[-1.0, 0.003, 0.004]],
        },
    }
    for collection in columns.values():
        collection.update({name: value for name, value in changed.items() if name in collection})
    return ak.Array({name: ak.zip(fields) for name, fields in columns.items()})


def test_small_event_by_hand() -> None:
    found = constituents_of(tiny())
    assert ak.num(found, axis=2).to_list() == [[3, 0]]
    np.testing.assert_allclose(np.hypot(found.px, found.py)[0, 0], [30, 25, 10], rtol=1e-6)
    np.testing.assert_allclose(found.d0[0, 0], [0.1, 0.2, 0], rtol=1e-6)
    assert found.charge[0, 0].to_list() == [1, -1, 0]
    jets = jets_of(tiny())
    np.testing.assert_allclose(jets.energy[0, 0], np.hypot(90 * np.cosh(0.1), 5), rtol=1e-6)


def test_index_outside_its_collection() -> None:
    with pytest.raises(LayoutError, match=r"'pfnano': FatJetPFCands.pFCandsIdx is 7 in entry 0 .* PFCands has 3"):
        constituents_of(tiny(pFCandsIdx=[[0, 7, 1]]))
    with pytest.raises(LayoutError, match=r"FatJetPFCands.jetIdx is 2"):
        constituents_of(tiny(jetIdx=[[0, 2, 0]]))


def test_particles_of_no_jet_are_left_out() -> None:
    assert ak.num(constituents_of(tiny(jetIdx=[[0, -1, 0]])), axis=2).to_list() == [[2, 0]]


def test_reordered_collection_is_noticed(pfnano_arrays: ak.Array) -> None:
    turned = pfnano_arrays
    for name in ("pt", "eta", "phi", "mass"):
        turned = ak.with_field(turned, pfnano_arrays[f"FatJet_{name}"][:, ::-1], f"FatJet_{name}")
    with pytest.raises(LayoutError, match=r"FatJet point .* Was the collection cut or reordered"):
        constituents_of(turned)


def test_missing_branch_is_named(pfnano_arrays: ak.Array) -> None:
    without = pfnano_arrays[[name for name in pfnano_arrays.fields if name != "PFCands_dzErr"]]
    with pytest.raises(LayoutError, match=r"'pfnano': the events have no PFCands\.dzErr"):
        constituents_of(without)
    assert constituents_of(without, fields=("px", "charge")).fields == ["px", "charge"]


def test_empty_chunk(pfnano_arrays: ak.Array) -> None:
    found = constituents_of(pfnano_arrays[:0])
    assert len(found) == 0
    assert found.ndim == 3
    assert tuple(found.fields) == FIELDS


def test_typetracer_touches_and_gives_the_form(pfnano_file: Path) -> None:
    eager = nano(pfnano_file, "eager")[["FatJet", "FatJetPFCands", "PFCands"]]
    tracer, report = ak.typetracer.typetracer_with_report(eager.layout.form_with_key("n{id}"), highlevel=True)
    found = constituents_of(tracer, fields=("px", "py", "pz", "energy"))
    assert ak.backend(found) == "typetracer"
    assert found.layout.form == constituents_of(eager, fields=("px", "py", "pz", "energy")).layout.form
    assert 0 < len(report.data_touched) < 60


def test_subjets_when_asked(pfnano_arrays: ak.Array) -> None:
    found = constituents_of(pfnano_arrays, fields=("px", "py", "subjet"))
    assert found.fields == ["px", "py", "subjet"]
    assert ak.all(ak.firsts(found.subjet, axis=2) <= 1)  # the hardest particle is in one of the hardest subjets
    momentum = [
        np.hypot(*(ak.sum(found[name][found.subjet == number], axis=2) for name in ("px", "py"))) for number in range(3)
    ]
    assert ak.all((momentum[0] >= momentum[1]) & (momentum[1] >= momentum[2]))
    assert constituents_of(pfnano_arrays[:0], fields=("px", "subjet")).fields == ["px", "subjet"]


def test_close_jets_that_were_swapped_are_noticed() -> None:
    """Two AK4 jets half a unit apart: both would pass a fixed tolerance of 1."""
    close = {"eta": [[0.1, 0.6]], "phi": [[0.1, 0.1]]}
    columns = {
        "Jet": {"pt": [[40.0, 50.0]], **close, "mass": [[5.0, 5.0]]},
        "JetPFCands": {"jetIdx": [[0, 1]], "pFCandsIdx": [[0, 1]]},
        "PFCands": {"pt": [[40.0, 50.0]], **close, "mass": [[0.0, 0.0]], "pdgId": [[22, 22]], "puppiWeight": [[1, 1]]},
    }
    events = ak.Array({name: ak.zip(fields) for name, fields in columns.items()})
    found = constituents_of(events, "Jet", fields=("px",))
    assert ak.num(found, axis=2).to_list() == [[1, 1]]
    events["Jet"] = events.Jet[:, ::-1]
    with pytest.raises(LayoutError, match=r"constituents of 2 of 2 jets in Jet point 0.5 away .* or nearer to another"):
        constituents_of(events, "Jet", fields=("px",))


def test_weights_of_another_reconstruction_are_warned_of(pfnano_arrays: ak.Array) -> None:
    old = ak.with_field(pfnano_arrays, pfnano_arrays.PFCands_puppiWeight * 0.7, "PFCands_puppiWeight")
    with pytest.warns(ClosureWarning, match=r"candidates of FatJet do not add up .* ratio 0.70, 100% of the jets"):
        constituents_of(old)
    constituents_of(old, "Jet")  # no PUPPI jets: their candidates have no weight


def test_ties_are_ordered_whatever_their_order_in_the_file() -> None:
    """Four particles of one pT: a cut to the hardest must keep the same ones in every file."""
    found = []
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        eta, pdg = np.array([0.3, -0.2, 0.1, 0.0])[order], np.array([22, 211, 130, -211])[order]
        columns = {
            "FatJet": {"pt": [[40.0]], "eta": [[0.05]], "phi": [[0.0]], "mass": [[5.0]]},
            "FatJetPFCands": {"jetIdx": [[0] * 4], "pFCandsIdx": [[0, 1, 2, 3]]},
            "PFCands": {"pt": [[10.0] * 4], "eta": [eta], "phi": [[0.0] * 4], "mass": [[0.0] * 4], "pdgId": [pdg]},
        }
        columns["PFCands"] |= {"charge": [np.sign(pdg)], "puppiWeight": [[1.0] * 4]}
        events = ak.Array({name: ak.zip(fields) for name, fields in columns.items()})
        found.append(constituents_of(events, fields=("pz", "is_photon"))[0, 0])
    assert found[0].to_list() == found[1].to_list()
    assert found[0].is_photon.to_list() == [1, 0, 0, 0]
