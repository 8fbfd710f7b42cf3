"""Classes of JetClass-II: names, decays in hand-made event records, and jets of simulated families."""

from collections import Counter
from pathlib import Path

import awkward as ak
import numpy as np
import pytest

from examples.simulate import main
from examples.simulation.clustering import Jets
from examples.simulation.families import FAMILIES, FAMILY_ETA_MAX, FAMILY_PT
from examples.simulation.flavours import TOKENS, classify, qcd_jets, resonance_jets
from examples.simulation.generate import EventRecord
from training.data.classes import JETCLASS2
from training.data.readers.jetclass_root import JetClassRoot


def codes(*tokens: str) -> list[int]:
    return [TOKENS.index(token) + 1 for token in tokens] + [0] * (4 - len(tokens))


def test_every_class_has_a_combination_of_its_own() -> None:
    rows = [
        codes("b", "b"),
        codes("b", "c", "s"),
        codes("s", "c", "b"),
        codes("g", "b", "g", "b"),
        codes("v", "e", "s", "c"),
        codes("tauh", "b", "taue", "b"),
        codes("q", "q", "taum", "v"),
        codes("b"),
        codes("e", "v"),
    ]
    names = ["X_bb", "X_YY_bcs", "X_YY_bcs", "X_YY_bbgg", "X_YY_csev", "X_YY_bbtauhtaue", "X_YY_qqtaumv", None, None]
    assert classify(np.array(rows)).tolist() == [-1 if name is None else JETCLASS2.index(name) for name in names]


def record(*particles: tuple[int, int, int, int, tuple[float, float]]) -> EventRecord:
    """One event: (PDG number, status, first and last daughter, (eta, phi)) of particles of pT 100 GeV."""
    ids, status, first, last, directions = (np.array(column) for column in zip(*particles, strict=True))
    eta, phi = directions.T
    n = len(ids)
    zeros = np.zeros(n)
    return EventRecord(
        offsets=np.array([0, n]),
        event=np.zeros(n, dtype=np.int64),
        pdg_id=ids,
        status=status,
        final=first < 0,
        mother=np.full(n, -1),
        first_daughter=first,
        last_daughter=last,
        px=100 * np.cos(phi),
        py=100 * np.sin(phi),
        pz=100 * np.sinh(eta),
        energy=100 * np.cosh(eta),
        vx=zeros,
        vy=zeros,
        vz=zeros,
        weight=np.ones(1),
    )


def jet_at_origin() -> Jets:
    one = np.ones(1)
    return Jets(
        counts=np.array([1]),
        pt=400 * one,
        eta=0 * one,
        phi=0 * one,
        mass=one,
        energy=400 * one,
        particles=ak.Array([[]]),
    )


def four(*products: tuple[int, tuple[float, float]]) -> EventRecord:
    """X -> Y Y -> the products."""
    decays = [(pdg_id, 23, -1, -1, direction) for pdg_id, direction in products]
    centre = (0.0, 0.0)
    return record((35, 22, 1, 2, centre), (25, 22, 3, 4, centre), (25, 22, 5, 6, centre), *decays)


NEAR, AWAY = (0.2, 0.1), (1.5, 0.1)


@pytest.mark.parametrize(
    ("event", "name"),
    [
        (four((5, NEAR), (-5, NEAR), (21, NEAR), (21, NEAR)), "X_YY_bbgg"),
        (four((5, NEAR), (-5, NEAR), (21, NEAR), (21, AWAY)), "X_YY_bbg"),
        (four((5, NEAR), (-5, NEAR), (21, AWAY), (21, AWAY)), "X_bb"),
        (four((5, NEAR), (-5, AWAY), (21, NEAR), (21, AWAY)), None),  # one of each Y
        (four((4, NEAR), (-3, NEAR), (11, NEAR), (-12, AWAY)), "X_YY_csev"),
        (four((4, NEAR), (-3, NEAR), (11, AWAY), (-12, NEAR)), "X_cs"),
    ],
)
def test_what_a_jet_holds(event: EventRecord, name: str | None) -> None:
    truth = resonance_jets(event, jet_at_origin())
    assert truth.label.tolist() == [-1 if name is None else JETCLASS2.index(name)]
    assert (truth.row[0] >= 0) == (name is not None)


def test_taus_by_their_decay() -> None:
    event = record(
        (25, 22, 1, 2, NEAR),
        (15, 23, 3, 3, NEAR),
        (-15, 23, 6, 7, NEAR),
        (15, 52, 4, 5, NEAR),  # the same tau after its recoil
        (16, 1, -1, -1, NEAR),
        (13, 1, -1, -1, NEAR),
        (-16, 1, -1, -1, NEAR),
        (211, 1, -1, -1, NEAR),
    )
    assert resonance_jets(event, jet_at_origin()).label.tolist() == [JETCLASS2.index("X_tauhtaum")]


def test_flavours_of_qcd() -> None:
    def named(*quarks: tuple[int, tuple[float, float]]) -> str:
        event = record((21, 23, -1, -1, NEAR), *((pdg_id, 71, -1, -1, where) for pdg_id, where in quarks))
        return JETCLASS2[int(qcd_jets(event, jet_at_origin()).label[0])]

    assert named() == "QCD_light"
    assert named((2, NEAR), (5, AWAY)) == "QCD_light"
    assert named((5, NEAR), (-4, NEAR)) == "QCD_bc"
    assert named((5, NEAR), (-5, NEAR), (5, NEAR), (3, NEAR)) == "QCD_bbs"


def test_jets_of_all_families(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--format=jetclass2", "--jets=16", "--workers=1", "--seed=2", f"--output={tmp_path}"])
    said = " ".join(capsys.readouterr().out.split())
    found: Counter[str] = Counter()
    for name, family in FAMILIES.items():
        file = JetClassRoot(str(tmp_path / f"{family.file_name}_000.root"))
        assert file.class_names == JETCLASS2
        jets = file.read(0, file.jets)
        pt = np.hypot(jets.jets[:, 0], jets.jets[:, 1])
        assert file.jets == 16
        assert np.all((pt > FAMILY_PT[0]) & (pt < FAMILY_PT[1]))
        assert np.all(np.abs(np.arcsinh(jets.jets[:, 2] / pt)) < FAMILY_ETA_MAX)
        names = [JETCLASS2[label] for label in jets.labels]
        assert all(("QCD" in one) == (name == "qcd") for one in names)
        found.update(names)
    assert len(found) >= 30
    assert found["X_gg"] > 0
    assert f"{len(found)} classes:" in said
    assert all(f"{name} {number}" in said for name, number in found.items())
