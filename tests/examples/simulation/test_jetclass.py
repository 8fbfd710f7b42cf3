"""JetClass files: branches and types of the published data, matched jets, the hard-process veto."""

from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

from examples.simulation.containment import ContainmentFilter
from examples.simulation.generate import Generator
from examples.simulation.jets import JetsConfig, ManifestError, make_jets
from examples.simulation.processes import JET_ETA_MAX, JET_PT, jet_settings
from examples.simulation.truth import CLASSES

PARTICLE_FLOATS = ("px", "py", "pz", "energy", "deta", "dphi", "d0val", "d0err", "dzval", "dzerr", "charge")
PARTICLE_FLAGS = ("isChargedHadron", "isNeutralHadron", "isPhoton", "isElectron", "isMuon")
JET_FLOATS = ("pt", "eta", "phi", "energy", "nparticles", "sdmass", "tau1", "tau2", "tau3", "tau4")
AUX_FLOATS = ("genpart_eta", "genpart_phi", "genpart_pid", "genpart_pt", "truth_match")
JETS = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("jets")
    counts = make_jets(folder, ["Wqq", "Tbl"], JETS, JetsConfig(seed=4), workers=1)
    assert counts["Tbl"]["accepted"] == JETS < counts["Tbl"]["generated"]
    return folder


def test_branches_are_those_of_jetclass(folder: Path) -> None:
    types = {f"part_{name}": "float[]" for name in PARTICLE_FLOATS} | {f"part_{n}": "int32_t[]" for n in PARTICLE_FLAGS}
    types |= {f"jet_{name}": "float" for name in JET_FLOATS} | {f"aux_{name}": "float" for name in AUX_FLOATS}
    types |= {"label_QCD": "float"} | {f"label_{name}": "bool" for name in ("Hbb", "Hcc", "Hgg", "H4q", "Hqql")}
    types |= {f"label_{name}": "int32_t" for name in ("Zqq", "Wqq", "Tbqq", "Tbl")}
    types["npart"] = "int32_t"  # uproot counts the entries of lists in a branch of their own
    with uproot.open(folder / "WToQQ_000.root") as file:
        assert {branch.name: branch.typename for branch in file["tree"].branches} == types


def test_jets_are_in_range_the_sum_of_their_particles_and_of_their_class(folder: Path) -> None:
    for file_name, label, pdg_id, products in (("WToQQ", "Wqq", 24, 2), ("TTBarLep", "Tbl", 6, 2)):
        with uproot.open(folder / f"{file_name}_000.root") as file:
            jets = file["tree"].arrays()
        assert len(jets) == JETS
        assert ak.all((jets.jet_pt > JET_PT[0]) & (jets.jet_pt < JET_PT[1]) & (abs(jets.jet_eta) < JET_ETA_MAX))
        px, py, energy = (ak.sum(jets[f"part_{axis}"], axis=1) for axis in ("px", "py", "energy"))
        np.testing.assert_allclose(np.hypot(px, py), jets.jet_pt, rtol=1e-5)
        np.testing.assert_allclose(energy, jets.jet_energy, rtol=1e-5)
        assert ak.all(ak.num(jets.part_px) == jets.jet_nparticles)
        pt = np.hypot(jets.part_px, jets.part_py)
        assert ak.all(pt[:, :-1] >= pt[:, 1:] * (1 - 1e-6))
        flags = sum(jets[f"part_{name}"] for name in PARTICLE_FLAGS)
        assert ak.all(flags == 1)
        assert ak.all(jets.part_d0err[jets.part_charge == 0] == 0)
        assert ak.all(jets.part_d0err[jets.part_charge != 0] > 0.005)  # mm
        eta = np.arcsinh(jets.part_pz / pt)
        np.testing.assert_allclose(
            ak.flatten(jets.part_deta), ak.flatten((eta - jets.jet_eta) * np.sign(jets.jet_eta)), atol=1e-4
        )
        for name in CLASSES:
            assert ak.all(jets[f"label_{name}"] == (name == label))
        assert ak.all(abs(jets.aux_genpart_pid) == pdg_id)
        assert ak.all(jets.aux_truth_match == products)
        assert ak.all(np.hypot(jets.aux_genpart_eta - jets.jet_eta, 0) < 0.8)


def test_the_same_seed_gives_the_same_jets(folder: Path, tmp_path: Path) -> None:
    make_jets(tmp_path, ["Wqq"], JETS, JetsConfig(seed=4), workers=1)
    one, two = (uproot.open(path / "WToQQ_000.root")["tree"].arrays() for path in (folder, tmp_path))
    assert ak.array_equal(one, two)


def test_leptons_of_both_charges_in_equal_shares_and_no_order(tmp_path: Path) -> None:
    make_jets(tmp_path, ["Hqql"], 61, JetsConfig(seed=4), workers=1)
    with uproot.open(tmp_path / "HToWW2Q1L_000.root") as file:
        jets = file["tree"].arrays()
    assert len(jets) == 61
    lepton = (jets.part_isElectron + jets.part_isMuon) > 0
    charge = ak.to_numpy(ak.fill_none(ak.firsts(jets.part_charge[lepton]), 0))
    assert np.sum(charge > 0) > 18
    assert np.sum(charge < 0) > 18
    assert np.sum(np.diff(np.sign(charge[charge != 0])) != 0) > 10  # by chance about half of the neighbours differ


def test_the_w_peak(folder: Path) -> None:
    with uproot.open(folder / "WToQQ_000.root") as file:
        mass = file["tree"]["jet_sdmass"].array()
    assert 74 < np.median(mass) < 88


def test_the_veto_drops_what_is_out_of_range_and_counts_it() -> None:
    kept = Generator(jet_settings("Wqq", mpi=False)[0], seed=1, veto=ContainmentFilter(JET_PT, JET_ETA_MAX))
    kept.next(40)
    assert kept.generated >= 40
    # Nothing is in range of a filter that asks for more pT than there is; and all is in range of a wide one.
    wide = Generator(jet_settings("Wqq", mpi=False)[0], seed=1, veto=ContainmentFilter((1.0, 1e5), 10.0))
    wide.next(40)
    assert wide.generated == 40
    narrow = Generator(jet_settings("Wqq", mpi=False)[0], seed=1, veto=ContainmentFilter((900.0, 1000.0), 0.5))
    narrow.next(10)
    assert narrow.generated > 100


def test_a_manifest_that_cannot_be_read_is_an_error(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text((folder / "manifest.json").read_text()[:-40])
    with pytest.raises(ManifestError, match="no manifest"):
        make_jets(tmp_path, ["Wqq"], 5, JetsConfig(seed=4), workers=1)
