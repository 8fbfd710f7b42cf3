"""The readers against the layouts, and against real files."""

from pathlib import Path

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uproot

from jepa_coffea.constituents import FIELDS, JET_FIELDS, constituents_of, jets_of
from jepa_coffea.constituents.record import DISPLACEMENT
from jepa_coffea.errors import BadFileError
from tests.support.event_files import MINIATURES, event_files
from training.data.classes import JETCLASS, JETCLASS2
from training.data.columns import OBSERVABLES, JetColumns
from training.data.loader import DataConfig, make_loader
from training.data.readers.base import LARGEST_BLOCK, SMALLEST_BLOCK, even_blocks
from training.data.readers.jetclass_parquet import MOST_OPEN, JetClassParquet, RowGroup
from training.data.readers.trees import edges_of
from training.data.sources import Reading, open_jets


def assert_is(columns: JetColumns, particles: ak.Array, jets: ak.Array) -> None:
    """``columns`` are the canonical ``particles`` (jets * particles) and ``jets``, bit by bit."""
    assert np.array_equal(columns.counts, ak.num(particles))
    fields = np.concatenate([columns.kinematics, columns.identity, columns.displacement], axis=1)
    for k, name in enumerate(FIELDS):
        assert np.array_equal(fields[:, k], ak.to_numpy(ak.flatten(particles[name]))), name
    for k, name in enumerate(JET_FIELDS):
        assert np.array_equal(columns.jets[:, k], ak.to_numpy(jets[name])), name


def test_jetclass_root_gives_what_the_layout_gives(jetclass: Path) -> None:
    path = jetclass / "TTBar_000.root"
    file = open_jets(str(path), Reading())
    events = uproot.open(path)["tree"].arrays()
    assert file.jets == 1300
    assert_is(file.read(0, 1300), constituents_of(events), jets_of(events))
    assert_is(file.read(390, 811), constituents_of(events[390:811]), jets_of(events[390:811]))
    assert file.class_names == JETCLASS
    assert set(file.labels()) == {JETCLASS.index("Tbqq")}


def test_an_rntuple_is_the_same_jets(jetclass: Path, tmp_path: Path) -> None:
    path, same = jetclass / "TTBar_000.root", tmp_path / "TTBar_000.root"
    branches = uproot.open(path)["tree"].arrays()
    with uproot.recreate(same) as file:
        written = file.mkrntuple("tree", {name: branches[name][:700] for name in branches.fields})
        written.extend({name: branches[name][700:] for name in branches.fields})
    one, other = open_jets(str(path), Reading()), open_jets(str(same), Reading())
    assert other.jets == 1300
    assert 700 in uproot_edges(same)
    for start, stop in ((0, 1300), (650, 811)):
        expected, got = one.read(start, stop).arrays(), other.read(start, stop).arrays()
        assert all(np.array_equal(got[name], expected[name], equal_nan=name == "observables") for name in expected)
    branches["part_charge"] = branches["part_charge"] * np.float32(1.5)
    with uproot.recreate(tmp_path / "wrong.root") as file:
        file.mkrntuple("tree", {name: branches[name][:50] for name in branches.fields})
    with pytest.raises(BadFileError, match=r"wrong\.root: branch 'part_charge', entry \d+: .*no small integer"):
        open_jets(str(tmp_path / "wrong.root"), Reading()).read(0, 50)


def uproot_edges(path: Path) -> list[int]:
    with uproot.open(path) as file:
        return edges_of(file["tree"]).tolist()


def test_classes_of_jetclass2() -> None:
    assert len(JETCLASS2) == len(set(JETCLASS2)) == 188
    kinds = [name.rpartition("_")[0] for name in JETCLASS2]
    assert kinds == ["X"] * 15 + ["X_YY"] * 146 + ["QCD"] * 27


def test_jetclass2_parquet_gives_what_the_layout_gives(jetclass: Path, tmp_path: Path) -> None:
    events = uproot.open(jetclass / "TTBar_000.root")["tree"].arrays(entry_stop=40)
    second = {name: events[name] for name in events.fields if name.startswith(("part_", "jet_"))}
    second |= {name: ak.values_astype(events[name], bool) for name in second if name.startswith("part_is")}
    second["part_charge"] = ak.values_astype(events["part_charge"], np.int32)
    second["jet_label"] = np.arange(40, dtype=np.int32) * 4
    path = tmp_path / "jets.parquet"
    ak.to_parquet(ak.zip(second, depth_limit=1), path, row_group_size=15)
    file = open_jets(str(path), Reading())
    assert file.jets == 40
    assert file.class_names == JETCLASS2
    stored = ak.from_parquet(path)
    for start, stop in ((0, 40), (7, 33), (15, 30), (39, 40), (3, 9), (9, 14), (2, 5)):
        columns = file.read(start, stop)
        assert_is(columns, constituents_of(stored[start:stop]), jets_of(stored[start:stop]))
        assert np.array_equal(columns.labels, np.arange(start, stop) * 4)
        for name, branch in {"softdrop_mass": "sdmass", "tau3": "tau3", "pt": "pt"}.items():
            column = columns.observables[:, OBSERVABLES.index(name)]
            assert np.array_equal(column, ak.to_numpy(events[f"jet_{branch}"][start:stop]))


def test_large_row_group_is_read_in_pieces(tmp_path: Path) -> None:
    rows = 2 * LARGEST_BLOCK + 100
    table = pa.table({"a": pa.array(np.arange(rows)), "b": pa.array([[k] * (k % 3) for k in range(rows)])})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=rows)
    group = RowGroup(str(tmp_path / "a.parquet"), 0, ["a", "b"])
    edges = (LARGEST_BLOCK, LARGEST_BLOCK + 7)  # a batch of the reader ends where the next block begins
    for start, stop in ((0, 10), (5, LARGEST_BLOCK), edges, (LARGEST_BLOCK + 1, LARGEST_BLOCK + 9), (rows - 3, rows)):
        assert group.rows(start, stop).equals(table.slice(start, stop - start))
        assert sum(batch.num_rows for batch in group._kept) <= stop - start + 2 * LARGEST_BLOCK
    assert group.first == 2 * LARGEST_BLOCK
    late = RowGroup(str(tmp_path / "a.parquet"), 0, ["a"])
    assert late.rows(2 * LARGEST_BLOCK, rows)["a"].to_pylist() == [*range(2 * LARGEST_BLOCK, rows)]


def test_few_row_groups_stay_open(jetclass: Path, tmp_path: Path) -> None:
    """However many files are read in turns."""
    entries = uproot.open(jetclass / "TTBar_000.root")["tree"].arrays(entry_stop=8)
    second = {name: entries[name] for name in entries.fields if name.startswith(("part_", "jet_"))}
    files = []
    for number in range(MOST_OPEN + 3):
        ak.to_parquet(ak.zip(second, depth_limit=1), tmp_path / f"{number}.parquet")
        files.append(open_jets(str(tmp_path / f"{number}.parquet"), Reading()))
    expected = files[0].read(0, 8)
    for start, stop in ((0, 3), (3, 8), (1, 2)):
        for file in files:
            assert np.array_equal(file.read(start, stop).kinematics, expected.slice(start, stop).kinematics)
    assert len(JetClassParquet._recent) == MOST_OPEN


@pytest.mark.parametrize("path", event_files("pfnano.root"))
def test_events_of_pfnano(path: Path) -> None:
    file = open_jets(str(path), Reading())
    events = uproot.open(path)["Events"].arrays(filter_name="/(FatJet|FatJetPFCands|PFCands)_.*/")
    particles, jets = (ak.flatten(found, axis=1) for found in (constituents_of(events), jets_of(events)))
    assert file.jets == len(jets) > 20
    assert file.class_names == ()
    columns = file.read(0, file.jets)
    assert_is(columns, particles, jets)
    assert_is(file.read(5, 9), particles[5:9], jets[5:9])
    assert np.array_equal(
        columns.observables[:, OBSERVABLES.index("tau2")], ak.to_numpy(ak.flatten(events["FatJet_tau2"]))
    )
    assert np.allclose(columns.observables[:, OBSERVABLES.index("mass")], ak.flatten(events["FatJet_mass"]), atol=0.1)
    assert (columns.labels == -1).all()
    other = open_jets(str(path), Reading(collection="Jet"))
    assert other.jets == ak.count(
        jets_of(uproot.open(path)["Events"].arrays(filter_name="/(Jet|.*PFCands)_.*/"), "Jet").px
    )


@pytest.mark.parametrize("edges", [[0, 100], [0, 10, 2000, 2010, 5000], [0, 100_000], [0, 16_000, 50_000, 50_001]])
def test_blocks_are_neither_tiny_nor_huge(edges: list[int]) -> None:
    blocks = even_blocks(np.asarray(edges))
    sizes = np.diff(blocks)
    assert (blocks[0], blocks[-1]) == (0, edges[-1])
    assert (sizes[:-1] >= SMALLEST_BLOCK).all()
    assert (sizes <= LARGEST_BLOCK + SMALLEST_BLOCK).all()


@pytest.mark.parametrize("path", [*event_files("nano_v15.root"), MINIATURES / "nano_v15_rntuple.root"])
def test_nanoaod_has_no_displacement(path: Path, tmp_path: Path) -> None:
    file = open_jets(str(path), Reading())
    columns = file.read(0, file.jets)
    events = uproot.open(path)["Events"].arrays(filter_name="/(FatJet|FatJetPFCand|PFCand)_.*/")
    assert columns.counts.tolist() == ak.flatten(ak.num(constituents_of(events), axis=2)).tolist()
    assert (columns.displacement == 0).all()
    assert (columns.identity[:, 1:].sum(1) == 1).all()
    settings = {"files": str(path), "val_fraction": 0, "test_fraction": 0, "skip_bad": True}
    with pytest.raises(BadFileError, match="knows no d0, d0_err, dz, dz_err of its particles"):
        make_loader(DataConfig(**settings))
    loader = make_loader(DataConfig(**settings, fields=FIELDS[:10]))
    assert sum(map(len, loader)) == int((columns.counts > 0).sum())
    without = make_loader(DataConfig(**settings, optional_fields=DISPLACEMENT))
    assert all((batch.particles[..., 10:] == 0).all() for batch in without)
    assert {len(jets) for jets in loader.skipped.jets[str(path)].values()} == {int((columns.counts == 0).sum())}


@pytest.mark.parametrize("path", event_files("delphes.root"))
def test_delphes(path: Path) -> None:
    file = open_jets(str(path), Reading(collection="Jet"))
    events = uproot.open(path)["Delphes"].arrays(virtual=True, filter_name=r"/(Jet|EFlow\w*).*/")
    particles, jets = (ak.flatten(found, axis=1) for found in (constituents_of(events, "Jet"), jets_of(events, "Jet")))
    assert file.jets == len(jets) > 20
    assert_is(file.read(0, file.jets), particles, jets)
