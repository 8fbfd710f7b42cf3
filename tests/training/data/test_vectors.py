"""Branches of ``std::vector``, as the published JetClass files have them, read by everything that reads jets.

``tests/data/jetclass_vectors.root`` holds 24 jets of ``examples/simulate.py --format jetclass``, three a class. uproot
writes lists as counted arrays only, so ROOT 6.40 (``pip install root``, Python 3.11) wrote it once, from ``columns``,
branch to values (numbers, or one list per jet)::

    file = ROOT.TFile("jetclass_vectors.root", "RECREATE", "", 209)  # LZMA
    tree = ROOT.TTree("tree", "tree")
    types = {"float32": ("float", "F"), "int32": ("int", "I"), "bool": ("bool", "O")}
    filled = {}
    for name, values in columns.items():
        long, short = types[dtype_of(values)]
        is_list = name.startswith("part_")
        filled[name] = ROOT.std.vector[long]() if is_list else np.zeros(1, dtype_of(values))
        tree.Branch(name, filled[name], *([] if is_list else [f"{name}/{short}"]))
    for jet in range(24):
        for name, target in filled.items():
            target.assign(columns[name][jet]) if name.startswith("part_") else target.fill(columns[name][jet])
        tree.Fill()
    tree.Write()
"""

from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

from benchmarks.synthetic import write_tree
from jepa_coffea.constituents import FIELDS, constituents_of, jets_of
from tests.training.data.conftest import jet_ids
from tests.training.data.test_readers import assert_is
from training.data.loader import DataConfig, make_loader
from training.data.preparation import prepare
from training.data.shards import ShardFile
from training.data.sources import Reading, expand, open_jets

VECTORS = Path(__file__).parent.parent.parent / "data" / "jetclass_vectors.root"


@pytest.fixture(scope="module")
def entries() -> ak.Array:
    with uproot.open(VECTORS) as file:
        assert file["tree"]["part_px"].typename == "std::vector<float>"
        assert file["tree"]["part_isMuon"].typename == "std::vector<int32_t>"
        return file["tree"].arrays()


@pytest.fixture(scope="module")
def counted(entries: ak.Array, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same jets in counted arrays."""
    part = {name.removeprefix("part_"): entries[name] for name in entries.fields if name.startswith("part_")}
    arrays = {"part": ak.zip(part)}
    arrays |= {name: entries[name].to_numpy() for name in entries.fields if not name.startswith("part_")}
    path = tmp_path_factory.mktemp("counted") / "jetclass_vectors.root"
    write_tree(path, arrays, cluster=7)
    return path


def test_layout(entries: ak.Array, counted: Path) -> None:
    with uproot.open(counted) as file:
        other = file["tree"].arrays()
    found, expected = constituents_of(entries), constituents_of(other)
    assert len(found) == 24
    assert ak.num(found).to_list() == entries.jet_nparticles.to_list()
    assert all(ak.all(found[name] == expected[name]) for name in FIELDS)
    assert all(ak.all(jets_of(entries)[name] == jets_of(other)[name]) for name in ("px", "energy"))


def test_reader(entries: ak.Array, counted: Path) -> None:
    file, other = open_jets(str(VECTORS), Reading()), open_jets(str(counted), Reading())
    assert file.class_names == other.class_names
    assert np.array_equal(file.labels(), other.labels())
    assert len(set(file.labels())) == 8
    for start, stop in ((0, 24), (5, 9), (23, 24)):
        columns = file.read(start, stop)
        assert_is(columns, constituents_of(entries[start:stop]), jets_of(entries[start:stop]))
        expected = other.read(start, stop).arrays()
        assert all(np.array_equal(array, expected[name], equal_nan=True) for name, array in columns.arrays().items())


def test_shards_and_batches(counted: Path, tmp_path: Path) -> None:
    shards, batches = {}, {}
    for name, path in (("vectors", VECTORS), ("counted", counted)):
        prepare(str(path), tmp_path / name, Reading())
        shards[name] = ShardFile(expand(str(tmp_path / name))[0])
        for files in (str(path), str(tmp_path / name)):
            loader = make_loader(DataConfig(files=files, val_fraction=0, test_fraction=0, batch_size=8), labels=True)
            batches[files] = list(loader)
    assert shards["vectors"].shard.checksums == shards["counted"].shard.checksums
    orders = [jet_ids(given) for given in batches.values()]
    assert all(len(order) == 24 and set(order) == set(orders[0]) for order in orders)
    sums = [sum(float(batch.particles.double().sum()) for batch in given) for given in batches.values()]
    np.testing.assert_allclose(sums, sums[0], rtol=1e-12)
