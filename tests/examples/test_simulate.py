"""The simulation from its command line: events that coffea opens as PFNano, jets in JetClass files."""

import json
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot
from coffea.nanoevents import NanoEventsFactory, PFNanoAODSchema

from examples.simulate import main
from examples.simulation.events import EventsConfig, write_events
from examples.simulation.processes import EVENT_PROCESSES
from examples.simulation.truth import CLASSES

EVENTS = 12


@pytest.fixture(scope="module")
def wprime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("events") / "wprime.root"
    main(["--process=wprime", f"--events={EVENTS}", "--workers=1", "--mpi=off", f"--output={path}"])
    return path


def test_events_open_as_pfnano(wprime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PFNanoAODSchema, "warn_missing_crossrefs", False)
    events = NanoEventsFactory.from_root({str(wprime): "Events"}, schemaclass=PFNanoAODSchema).events()
    assert len(events) == EVENTS
    jets, links = events.FatJet, events.FatJetPFCands
    assert ak.sum(ak.num(jets)) > EVENTS
    assert ak.all(jets.pt[:, :-1] >= jets.pt[:, 1:])
    candidates = events.PFCands[links.pFCandsIdx]
    for index in range(ak.max(ak.num(jets))):
        of_jet = ak.drop_none(candidates[links.jetIdx == index])
        has = ak.num(jets) > index
        total = ak.sum(of_jet[has], axis=1)
        jet = jets[has][:, index]
        np.testing.assert_allclose(total.pt, jet.pt, rtol=1e-5)
        np.testing.assert_allclose(total.eta, jet.eta, atol=1e-5)
        np.testing.assert_allclose(total.mass, jet.mass, rtol=1e-3, atol=1e-2)
        assert ak.all(ak.num(of_jet[has]) == jet.nConstituents)


def test_branches_are_those_of_real_pfnano(wprime: Path, shared_data: Path) -> None:
    real, simulated = (uproot.open(path)["Events"] for path in (shared_data / "pfnano.root", wprime))
    own = {"FatJet_nConstituents", "FatJet_truthLabel", "truth_process", "truth_signal"}
    assert own <= set(simulated.keys())
    for branch in simulated.branches:
        if branch.name in own or branch.name.startswith("n"):  # uproot writes counters as signed
            continue
        assert str(branch.interpretation) == str(real[branch.name].interpretation), branch.name


def test_candidates_use_the_sentinels_of_cms(wprime: Path) -> None:
    with uproot.open(wprime) as file:
        candidates = file["Events"].arrays(filter_name="PFCands_*")
    flat = {name.removeprefix("PFCands_"): ak.to_numpy(ak.flatten(candidates[name])) for name in candidates.fields}
    assert set(np.unique(flat["pdgId"])) <= {-211, -13, -11, 1, 2, 11, 13, 22, 130, 211}
    track = flat["charge"] != 0
    for name in ("d0", "d0Err", "dz", "dzErr"):
        assert np.all(flat[name][~track] == -1)
    assert np.all(flat["d0Err"][track] > 0)
    assert 0.001 < np.median(flat["d0Err"][track]) < 0.02  # cm
    assert np.array_equal(np.abs(flat["pdgId"]) % 2, np.where(flat["pdgId"] % 2 != 0, 1, 0))
    assert np.all(np.sign(flat["charge"][track]) == np.where(np.isin(flat["pdgId"][track], (211, -11, -13)), 1, -1))


def test_the_signal_is_where_it_should_be(wprime: Path) -> None:
    with uproot.open(wprime) as file:
        events = file["Events"].arrays()
    assert ak.all(events.truth_signal)
    assert ak.all(ak.sum(events.GenPart_pdgId == 35, axis=1) == 1)
    masses = events.GenPart_mass[events.GenPart_pdgId == 35]
    assert ak.all(abs(masses - 400) < 40)
    quarks = abs(events.GenPart_pdgId) < 6
    assert ak.all(ak.sum(quarks, axis=1) == 6)
    mothers = events.GenPart_pdgId[events.GenPart_genPartIdxMother[quarks]]
    assert ak.all(abs(mothers) == 24)
    labels = ak.flatten(events.FatJet_truthLabel)
    assert ak.sum(labels == CLASSES.index("H4q")) > EVENTS / 4
    assert ak.sum(labels == CLASSES.index("Wqq")) > EVENTS / 4


def test_workers_do_not_change_events(tmp_path: Path) -> None:
    config = EventsConfig(
        process="qcd", events=20, events_per_shard=8, seed=5, pt_hat_min=600.0, mjj_min=1000.0, mpi=False
    )
    for workers in (1, 2):
        write_events(config, tmp_path / f"{workers}.root", workers=workers)
    one, two = (uproot.open(tmp_path / f"{workers}.root")["Events"].arrays() for workers in (1, 2))
    assert ak.array_equal(one, two)
    assert len(set(one.event.tolist())) == 20
    assert sorted(set(one.luminosityBlock.tolist())) == [1, 2, 3]


def test_jets_resume_and_refuse_other_settings(tmp_path: Path) -> None:
    command = ["--format=jetclass", "--classes=Wqq,Hqql", "--jets=12", "--jets-per-file=6", "--workers=1"]
    main([*command, f"--output={tmp_path}"])
    files = sorted(path.name for path in tmp_path.glob("*.root"))
    assert files == ["HToWW2Q1L_000.root", "HToWW2Q1L_001.root", "WToQQ_000.root", "WToQQ_001.root"]
    whole = {name: (tmp_path / name).read_bytes() for name in files}
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["files"]["WToQQ_001.root"]["accepted"] == 6

    (tmp_path / files[0]).write_bytes(whole[files[0]][:-100])
    stamp = (tmp_path / files[3]).stat().st_mtime_ns
    main([*command, f"--output={tmp_path}"])
    with uproot.open(tmp_path / files[0]) as file:
        assert file["tree"].num_entries == 6
    assert (tmp_path / files[3]).stat().st_mtime_ns == stamp
    with pytest.raises(SystemExit) as refused:
        main([*command, f"--output={tmp_path}", "--seed=2"])
    assert "seed" in str(refused.value.code)


def simulated(process: str, folder: Path, events: int) -> ak.Array:
    path = folder / f"{process}.root"
    main([f"--process={process}", f"--events={events}", "--workers=1", "--mpi=off", "--seed=3", f"--output={path}"])
    with uproot.open(path) as file:
        return file["Events"].arrays()


def leading(events: ak.Array, name: str) -> np.ndarray:
    return ak.to_numpy(ak.flatten(events[f"FatJet_{name}"][:, :2]))


def displaced_share(events: ak.Array) -> float:
    """Share of the tracks above 2 GeV whose impact parameter is larger than 1 mm and ten times its error."""
    d0, error = abs(events.PFCands_d0), events.PFCands_d0Err
    track = (events.PFCands_charge != 0) & (events.PFCands_pt > 2)
    return float(ak.sum(track & (d0 > 0.1) & (d0 > 10 * error)) / ak.sum(track))


def test_signals_that_no_training_saw(tmp_path: Path) -> None:
    rpv, displaced = (simulated(name, tmp_path, EVENTS) for name in ("rpv", "displaced"))
    for events, heavy, mass, quarks in ((rpv, 1000022, 250, {1, 2, 3}), (displaced, 35, 100, {5})):
        assert ak.all(events.truth_signal)
        resonance = events.GenPart_pdgId == heavy
        assert ak.all(ak.sum(resonance, axis=1) == 2)
        np.testing.assert_allclose(ak.flatten(events.GenPart_mass[resonance]), mass, rtol=0.02)
        of_it = abs(events.GenPart_pdgId[events.GenPart_genPartIdxMother]) == heavy
        of_it = of_it & (events.GenPart_genPartIdxMother >= 0)
        assert set(ak.flatten(abs(events.GenPart_pdgId[of_it])).tolist()) == quarks
        assert ak.all(ak.sum(of_it, axis=1) == 2 * (3 if heavy == 1000022 else 2))
        # Jets hold the resonance: their mass is its, and they do not count as QCD, but for jets from radiation.
        near = abs(leading(events, "mass") - mass) < 0.2 * mass
        assert near.mean() > 0.5
        assert (leading(events, "truthLabel")[near] == CLASSES.index("QCD")).mean() < 0.15
    assert np.median(leading(rpv, "tau3") / leading(rpv, "tau2")) < 0.7
    assert displaced_share(displaced) > 0.1 > 5 * displaced_share(rpv)


def test_events_of_all_processes_are_numbered_apart() -> None:
    codes = [process.code for process in EVENT_PROCESSES.values()]
    assert len(set(codes)) == len(codes)
    assert all(0 < code < 16 for code in codes)  # four bits of the event number
