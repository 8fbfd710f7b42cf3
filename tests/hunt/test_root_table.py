import re

import awkward as ak
import numpy as np
import pyarrow.parquet as pq
import pytest
import uproot

from jepa_coffea.hunt.config import HuntConfig, HuntError
from jepa_coffea.hunt.events import read_events
from tests.hunt.make import write_events

MASS = {"windows": [{"window": [2600, 3000], "sidebands": [2200, 3600]}], "fit_range": [2200, 3600], "bins": 25}


def document(file, **changes):
    given = {
        "input": {"events": [str(file)]},
        "output": "out",
        "mass": MASS,
        "features": {"use": "both", "components": 2},
    }
    return HuntConfig.model_validate({**given, **changes})


def as_root(parquet, path, name, *, ntuple):
    """The same table in a ROOT file, in two baskets or clusters."""
    table = pq.read_table(parquet).drop_columns(["dataset"])
    columns = {}
    for column in table.column_names:
        values = table[column].combine_chunks()
        wide = hasattr(values.type, "list_size")
        columns[column] = (
            values.flatten().to_numpy().reshape(len(table), -1) if wide else values.to_numpy(zero_copy_only=False)
        )
    with uproot.recreate(path) as file:
        make = file.mkrntuple if ntuple else file.mktree
        half = len(table) // 2
        tree = make(
            name,
            {name: values[:half] for name, values in columns.items()}
            if ntuple
            else {name: (values.dtype, values.shape[1:]) for name, values in columns.items()},
        )
        if not ntuple:
            tree.extend({name: values[:half] for name, values in columns.items()})
        tree.extend({name: values[half:] for name, values in columns.items()})
    return path


def test_a_tree_gives_the_events_of_the_same_table_in_parquet(tmp_path, monkeypatch):
    parquet = write_events(tmp_path / "events.parquet", 1500, signal=20)
    reference = read_events([str(parquet)], document(parquet))
    root = as_root(parquet, tmp_path / "events.root", "Events", ntuple=False)
    for step in ("100 MB", 100):
        monkeypatch.setattr("jepa_coffea.hunt.root_table.STEP", step)
        found = read_events([str(root)], document(root))
        assert np.array_equal(found.sample.X, reference.sample.X)
        assert np.array_equal(found.sample.mass, reference.sample.mass)
        assert np.array_equal(found.identity, reference.identity)
        assert np.array_equal(found.truth, reference.truth)
        assert found.names == reference.names


def test_an_rntuple_of_numbers_does_too(tmp_path):
    numbers = {"features": {"use": ["columns"], "columns": ["jet1_mass", "jet2_tau1"]}}
    parquet = write_events(tmp_path / "events.parquet", 1500, jet1_embedding=None, jet2_embedding=None)
    reference = read_events([str(parquet)], document(parquet, **numbers))
    root = as_root(parquet, tmp_path / "events.root", "Events", ntuple=True)
    found = read_events([str(root)], document(root, **numbers))
    assert np.array_equal(found.sample.X, reference.sample.X)
    assert np.array_equal(found.identity, reference.identity)


def test_what_is_not_there_is_named_in_a_line(tmp_path):
    parquet = write_events(tmp_path / "events.parquet", 300)
    root = as_root(parquet, tmp_path / "events.root", "Tree", ntuple=False)
    with pytest.raises(HuntError, match=r"no tree 'Events'; it has Tree\. Say which"):
        read_events([str(root)], document(root))
    named = document(root, input={"events": [str(root)], "tree": "Tree"}, mass={**MASS, "column": "m"})
    with pytest.raises(HuntError, match=r"Tree of .* has no branch 'm'; it has run"):
        read_events([str(root)], named)
    broken = tmp_path / "broken.root"
    broken.write_bytes(b"rubbish" * 100)
    with pytest.raises(HuntError, match="is no ROOT file, or damaged"):
        read_events([str(broken)], document(broken))


def test_a_tree_without_entries_adds_nothing(tmp_path):
    parquet = write_events(tmp_path / "events.parquet", 300)
    as_root(parquet, tmp_path / "a.root", "Events", ntuple=False)
    with uproot.open(tmp_path / "a.root") as full, uproot.recreate(tmp_path / "b.root") as empty:
        branches = full["Events"].arrays(library="np", entry_stop=1)
        empty.mktree("Events", {name: (values.dtype, values.shape[1:]) for name, values in branches.items()})
    files = [str(tmp_path / name) for name in ("a.root", "b.root")]
    alone, both = (read_events(those, document(those[0])) for those in (files[:1], files))
    assert np.array_equal(both.sample.X, alone.sample.X)
    assert len(alone.sample.X)


def test_branches_that_are_no_numbers_are_named_with_what_they_hold(tmp_path):
    n = 300
    rng = np.random.default_rng(2)
    flat = {name: np.arange(n) for name in ("run", "luminosityBlock", "event")} | {"m": rng.uniform(2200, 3600, n)}
    flat |= {"isolated": np.arange(n) % 2 == 0, "pair": rng.normal(size=(n, 2))}
    nested = {
        "pts": ak.Array([[1.0] * (i % 3) for i in range(n)]),
        "trigger": ak.Array([f"HLT_{i % 3}" for i in range(n)]),
    }
    path = tmp_path / "a.root"
    with uproot.recreate(path) as file:
        file.mkrntuple("Events", flat | nested)

    def read(mass="m", **features):
        given = document(path, mass={**MASS, "column": mass}, features=features)
        return read_events([str(path)], given)

    found = read(use=["columns"], columns=["isolated"]).sample.X[:, 0]
    assert found.tolist() == flat["isolated"].tolist()
    several = "expected in every entry one number, or as many of them"
    for name, holds in (("pts", "var * float64"), ("trigger", "string")):
        says = f"column {name!r} holds {holds!r}; {several}"
        with pytest.raises(HuntError, match=re.escape(f"hunt: features.columns: {path}: {says}")):
            read(use=["columns"], columns=[name])
        with pytest.raises(HuntError, match=re.escape(f"hunt: mass.column: {path}: {says}")):
            read(name, use=["columns"], columns=["m"])
    with pytest.raises(HuntError, match=r"mass.column: .* column 'pair' holds lists .*; expected one number per event"):
        read("pair", use=["columns"], columns=["m"])
