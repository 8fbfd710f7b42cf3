"""Truth labels against a plain walk through the event record, particle by particle."""

import awkward as ak
import numpy as np
import pytest

from examples.simulation.clustering import Jets, cluster
from examples.simulation.detector import detect
from examples.simulation.generate import EventRecord, Generator
from examples.simulation.processes import EVENT_PROCESSES, JET_CLASSES
from examples.simulation.truth import CLASSES, match


def final_partons(record: EventRecord, row: int) -> list[int]:
    while record.pdg_id[first := record.first_daughter[row]] == record.pdg_id[row]:
        row = first
    products = []
    for daughter in range(record.first_daughter[row], record.last_daughter[row] + 1):
        is_heavy = abs(record.pdg_id[daughter]) in (6, 23, 24, 25, 35)
        products += final_partons(record, daughter) if is_heavy else [daughter]
    return products


def walk(record: EventRecord, jets: Jets) -> list[int]:
    """Label of each jet, from the resonances of its event one by one."""
    labels = []
    for jet, event in enumerate(jets.event):
        best, touched = (0, None), False
        for row in range(record.offsets[event], record.offsets[event + 1]):
            kind = abs(record.pdg_id[row])
            first = record.first_daughter[row]
            if kind not in (6, 23, 24, 25, 35) or first < 0 or record.pdg_id[first] == record.pdg_id[row]:
                continue
            ids, inside = [], []
            for parton in final_partons(record, row):
                ids.append(abs(record.pdg_id[parton]))
                if ids[-1] in (12, 14, 16):
                    continue
                eta = np.arcsinh(record.pz[parton] / np.hypot(record.px[parton], record.py[parton]))
                d_phi = np.arctan2(record.py[parton], record.px[parton]) - jets.phi[jet]
                d_phi = (d_phi + np.pi) % (2 * np.pi) - np.pi
                inside.append(np.hypot(eta - jets.eta[jet], d_phi) < 0.8)
            touched |= any(inside)
            if inside and all(inside) and len(inside) > best[0]:
                best = (len(inside), name_of(kind, sorted(ids)))
        labels.append(CLASSES.index(best[1]) if best[1] else (-1 if touched or best[0] else 0))
    return labels


def name_of(kind: int, ids: list[int]) -> str | None:
    quarks, leptons = sum(i < 6 for i in ids), sum(i in (11, 13) for i in ids)
    if kind == 6:
        return {(3, 0): "Tbqq", (1, 1): "Tbl"}.get((quarks, leptons))
    if kind in (23, 24):
        return {23: "Zqq", 24: "Wqq"}[kind] if quarks == 2 else None
    if quarks == 4:
        return "H4q"
    if kind != 25:
        return None
    return {(5, 5): "Hbb", (4, 4): "Hcc", (21, 21): "Hgg"}.get(tuple(ids)) or (
        "Hqql" if (quarks, leptons) == (2, 1) else None
    )


@pytest.mark.parametrize("sample", ["top", "wprime", "wz", "Hqql", "Hgg", "QCD"])
def test_labels_are_those_of_a_walk_through_the_record(sample: str) -> None:
    if sample in EVENT_PROCESSES:
        process = EVENT_PROCESSES[sample].settings
    else:
        process = (*JET_CLASSES[sample].settings, *JET_CLASSES[sample].variants[0])
    limit = () if sample == "wprime" else ("PhaseSpace:pTHatMin = 450.",)
    record = Generator((*process, *limit, "PartonLevel:MPI = off"), seed=3).next(30)
    jets = cluster(detect(record, np.random.default_rng(1)))
    truth = match(record, jets)
    assert truth.label.tolist() == walk(record, jets)
    expected = {"top": {"Tbqq"}, "wprime": {"H4q", "Wqq"}, "wz": {"QCD"}}.get(sample, {sample})
    assert {CLASSES.index(name) for name in expected} <= set(truth.label.tolist())
    assert np.all((truth.row >= 0) == (truth.matched > 0))
    assert np.all(truth.label[truth.row < 0] <= 0)


def test_no_jets_no_labels() -> None:
    record = Generator(("HardQCD:all = on", "PhaseSpace:pTHatMin = 300."), seed=3).next(2)
    none = cluster(detect(record, np.random.default_rng(1)), pt_min=5000.0)
    assert len(none) == 0
    assert match(record, none).label.shape == (0,)
    assert ak.sum(none.counts) == 0
