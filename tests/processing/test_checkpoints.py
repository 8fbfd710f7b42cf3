"""Checkpoints hold no code, come back equal, and are not used when a bit of them changed."""

import pickle
import random
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import awkward as ak
import hist
import numpy as np
import pytest
from coffea.processor import accumulate, column_accumulator, value_accumulator
from coffea.processor.executor import WorkItem

from jepa_coffea import JEPAEmbedder
from jepa_coffea.processing.checkpoints import Checkpointer
from jepa_coffea.processing.run import run
from jepa_coffea.processing.stored_output import StoredOutputError, from_bytes, to_bytes
from processors.embed import EmbedProcessor
from tests.processors.compare import assert_same

CHUNK = {"dataset": "d", "filename": "f", "treename": "t", "entrystart": 0, "entrystop": 9, "fileuuid": "u"}


def histogram() -> hist.Hist:
    filled = hist.Hist(
        hist.axis.StrCategory([], growth=True, name="dataset", label="D"),
        hist.axis.Variable([0, 1, 3], name="mjj", label="mass [GeV]"),
        hist.axis.IntCategory([1, 2], name="jet"),
        storage=hist.storage.Weight(),
    )
    return filled.fill(dataset="a[/x]", mjj=[0.5, 2, 9], jet=[1, 2, 1], weight=[1.5, 2, 3])


def test_what_processors_return_comes_back() -> None:
    chunk = WorkItem("d", "f", "t", 0, 9, b"\x00\xff" * 8, {"weight": 2.0}, frozenset({"a"}))
    given: dict[str, Any] = {
        "plain": [None, True, 1, 1.5, float("inf"), "é", (1, 2), {1, 2}, frozenset({3}), b"\x00"],
        "numpy": [np.float32(1.5), np.int64(2), np.arange(6).reshape(2, 3), np.array(["a", "bc"])],
        "keys": {1: "int", ("a", 2): "tuple"},
        "counter": Counter(a=2),
        "default": defaultdict(int, a=1),
        "processed": {chunk},
    }
    found = from_bytes(to_bytes(given))
    assert found["plain"] == given["plain"]
    assert found["keys"] == given["keys"]
    assert found["processed"] == given["processed"]
    assert next(iter(found["processed"])).usermeta == {"weight": 2.0}
    assert type(found["numpy"][0]) is np.float32
    np.testing.assert_array_equal(found["numpy"][2], given["numpy"][2])
    assert (type(found["counter"]), found["default"]["none"]) == (Counter, 0)


def test_histograms_and_accumulators_go_on_adding_up() -> None:
    def output() -> dict[str, Any]:
        return {
            "h": histogram(),
            "column": column_accumulator(np.array([1.0])),
            "value": value_accumulator(int, 3),
            "jets": ak.Array([[{"pt": 1.0}], []]),
        }

    added = accumulate([from_bytes(to_bytes(output())), {k: v for k, v in output().items() if k != "jets"}])
    assert added["h"] == histogram() + histogram()
    assert added["h"].axes[1].label == "mass [GeV]"
    assert added["column"].value.tolist() == [1.0, 1.0]
    assert added["value"].value == 6
    assert added["jets"].to_list() == [[{"pt": 1.0}], []]


class Own:
    """Of a user."""


@pytest.mark.parametrize("value", [Own(), np.array([Own()]), lambda: 1, value_accumulator(lambda: 1)])
def test_what_cannot_be_kept_is_named(value: Any) -> None:
    with pytest.raises(StoredOutputError, match=r"output\['out'\]\['x'\] is a \w+, which no checkpoint can keep"):
        to_bytes({"out": {"x": value}})


class Evil:
    """A pickle that runs code."""

    def __reduce__(self) -> Any:
        return (exec, ("raise SystemExit('code ran')",))


def test_a_checkpoint_that_would_run_code(model: Path, tmp_path: Path) -> None:
    processor = EmbedProcessor(JEPAEmbedder(model))
    keeper = Checkpointer(tmp_path, processor)
    path = keeper.path(CHUNK)
    path.parent.mkdir(parents=True)
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.warns(UserWarning, match="is damaged"):
        assert keeper.load(CHUNK, processor) is None


def test_every_flip_is_found(model: Path, tmp_path: Path) -> None:
    processor = EmbedProcessor(JEPAEmbedder(model))
    keeper = Checkpointer(tmp_path, processor)
    keeper.save({"out": {"h": histogram()}, "processed": set()}, CHUNK, processor)
    path = keeper.path(CHUNK)
    whole = path.read_bytes()
    assert keeper.load(CHUNK, processor)["out"]["h"] == histogram()
    draw = random.Random(1)
    for _ in range(200):
        content = bytearray(whole)
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(content)
        with pytest.warns(UserWarning, match="is damaged"):
            assert keeper.load(CHUNK, processor) is None


def test_a_damaged_checkpoint_is_done_again(model: Path, fileset: dict, undisturbed: dict, tmp_path: Path) -> None:
    options: dict[str, Any] = {"chunksize": 25, "progress": False, "checkpoints": tmp_path}
    run(EmbedProcessor(JEPAEmbedder(model)), fileset, **options)
    path = sorted(tmp_path.rglob("*.chunk"))[0]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.warns(UserWarning, match="its chunk is processed again"):
        found = run(EmbedProcessor(JEPAEmbedder(model)), fileset, **options)
    assert found["run"]["resumed"] == 3
    assert_same(found, undisturbed)
