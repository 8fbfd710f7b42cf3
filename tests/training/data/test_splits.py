"""Splits by file, nested subsets, weights and windows."""

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from jepa_coffea.errors import BadFileError
from tests.training.data.conftest import jet_ids
from training.data.loader import DataConfig, make_loader
from training.data.plan import EpochPlan, JetRange, Stream
from training.data.sources import JetSource, Reading, open_jets
from training.data.splits import pick_per_class, process_of, split_files

Configure = Callable[..., DataConfig]
SPLITS = ("train", "val", "test")


@pytest.mark.parametrize(
    ("path", "process"),
    [("a/HToBB_012.root", "HToBB"), ("TTBarLep_5.root", "TTBarLep"), ("7.root", "7"), ("b.root", "b")],
)
def test_process(path: str, process: str) -> None:
    assert process_of(path) == process


def files_of(names: list[str], jets: int = 1000) -> list:
    class Named:
        def __init__(self, name: str) -> None:
            self.source, self.jets = name, jets

    return [Named(name) for name in names]


def test_splits_are_by_file_and_hold_every_process() -> None:
    names = [f"{process}_{k:03d}.root" for process in ("A", "B") for k in range(20)]
    parts = {split: split_files(files_of(names), split, val=0.1, test=0.2) for split in SPLITS}
    found = {split: {segment.file.source for segment in part} for split, part in parts.items()}
    assert set.union(*found.values()) == set(names)
    assert [len(found[split]) for split in SPLITS] == [28, 4, 8]
    for split in SPLITS:
        assert {name[0] for name in found[split]} == {"A", "B"}
        assert all((segment.start, segment.stop) == (0, 1000) for segment in parts[split])
    moved = files_of([f"elsewhere/{name}" for name in reversed(names)])
    again = {segment.file.source for segment in split_files(moved, "val", val=0.1, test=0.2)}
    assert again == {f"elsewhere/{name}" for name in found["val"]}


def test_too_few_files_are_cut_by_position() -> None:
    parts = [split_files(files_of(["one.root"]), split, val=0.1, test=0.2) for split in SPLITS]
    assert [(part[0].start, part[0].stop) for part in parts] == [(0, 700), (700, 800), (800, 1000)]
    assert split_files(files_of(["one.root"]), "val", val=0, test=0.2) == []


def test_splits_of_a_loader_share_no_jet(configure: Configure) -> None:
    config = configure(val_fraction=0.2, test_fraction=0.3)
    ids = {split: jet_ids(make_loader(config, split=split)) for split in SPLITS}
    assert len(np.unique(np.concatenate(list(ids.values())))) == sum(map(len, ids.values())) == 6600
    assert all(len(part) for part in ids.values())


def test_validation_is_always_in_the_same_order(configure: Configure) -> None:
    loader = make_loader(configure(val_fraction=0.5, window=9000), split="val", labels=True)
    first, again = jet_ids(loader), jet_ids(loader)
    assert np.array_equal(first, again)
    # and mixed, so that some batches are like all
    assert len(np.unique(next(iter(loader)).labels)) == 3


def test_files_of_their_own_for_validation(jetclass: Path) -> None:
    config = DataConfig(files=f"{jetclass}/HToBB_*.root", val_files=(f"{jetclass}/TTBar_000.root",), test_fraction=0)
    assert make_loader(config).jets_per_epoch == 1800
    assert make_loader(config, split="val").jets_per_epoch == 1300
    with pytest.raises(ValueError, match="split 'test' has no jets"):
        make_loader(config, split="test")


def test_subsets_are_balanced_nested_and_the_same_everywhere(jetclass: Path, shards: Path) -> None:
    def subset(files: str, number: int, seed: int = 0) -> tuple[set[float], np.ndarray]:
        config = DataConfig(
            files=files, val_fraction=0, test_fraction=0, labels_per_class=number, subset_seed=seed, batch_size=50
        )
        batches = list(make_loader(config, labels=True))
        ids = jet_ids(batches)
        assert len(set(ids)) == len(ids)
        return set(ids), np.bincount(np.concatenate([batch.labels for batch in batches]))

    few, labels = subset(f"{jetclass}/*.root", 20)
    assert labels.tolist() == [20, 20, 0, 0, 0, 0, 0, 0, 20]
    more, _ = subset(f"{jetclass}/*.root", 300)
    assert few < more
    assert subset(str(shards), 300)[0] == more, "prepared or not"
    assert subset(f"{jetclass}/*.root", 20, seed=1)[0] != few
    with pytest.raises(BadFileError, match="class 'Hbb' has 1800 jets in this split, 2000 per class"):
        subset(str(shards), 2000)


def test_subset_is_uniform(jetclass: Path) -> None:
    """Mean position of the picked jets is that of all, within its statistical error."""
    segments = split_files([open_jets(str(jetclass / "TTBar_000.root"), Reading())], "train", val=0, test=0)
    rows = np.concatenate([pick_per_class(segments, 50, seed)[0][1] for seed in range(40)])
    assert abs(rows.mean() - 649.5) < 4 * 1300 / np.sqrt(12 * len(rows))


@pytest.mark.parametrize("weight", [Fraction(1), Fraction(1, 3), Fraction(5, 2)])
def test_weight_is_passes_per_epoch(weight: Fraction) -> None:
    """Over the epochs that make whole passes, each jet comes equally often."""
    blocks = tuple(JetRange(0, start, min(start + 70, 1000)) for start in range(0, 1000, 70))
    stream = Stream(blocks, weight, 0)
    seen = np.zeros(1000, int)
    for epoch in range(weight.denominator):
        found = stream.epoch(epoch, seed=4)
        if weight <= 1:
            assert max(len(block) for block in found) <= 70
        for block in found:
            seen[block.start : block.stop] += 1
        assert sum(map(len, found)) == pytest.approx(1000 * float(weight), abs=1)
    assert (seen == weight.numerator).all()


def test_named_sources_with_weights(jetclass: Path) -> None:
    sources = {"signal": JetSource(files=f"{jetclass}/HToBB_*.root", weight=0.5), "rest": f"{jetclass}/TTBar_*.root"}
    loader = make_loader(DataConfig(files=sources, val_fraction=0, test_fraction=0, batch_size=50), labels=True)
    epochs = []
    for epoch in range(2):
        loader.set_epoch(epoch)
        batches = list(loader)
        labels = np.concatenate([batch.labels for batch in batches])
        assert np.bincount(labels)[[1, 8]].tolist() == [900, 2600]
        assert len(labels) == loader.plan.jets(epoch)
        epochs.append(jet_ids(batches)[labels == 1])
    assert len(np.unique(np.concatenate(epochs))) == 1800, "each once in two epochs"


def test_windows_mix_files_and_are_even() -> None:
    streams = tuple(
        Stream(tuple(JetRange(k, s, s + 100) for s in range(0, 2000, 100)), Fraction(1), k) for k in range(4)
    )
    windows = EpochPlan(streams, 1600, seed=0).windows(0)
    assert [sum(map(len, window)) for window in windows] == [1600] * 5
    assert all(len({block.file for block in window}) > 1 for window in windows)
    assert {block for window in windows for block in window} == {b for stream in streams for b in stream.blocks}
    assert EpochPlan(streams, 1600, seed=0).windows(1) != windows
    assert EpochPlan(streams, 1600, seed=0).windows(0) == windows


@pytest.mark.parametrize("seed", range(8))
def test_no_window_is_smaller_than_a_batch(seed: int) -> None:
    """Otherwise a batch in the middle of an epoch would be short."""
    rng = np.random.default_rng(seed)
    edges = np.concatenate([[0], np.cumsum(rng.choice([3, 40, 900, 5000], 60))]).tolist()
    blocks = tuple(JetRange(0, start, stop) for start, stop in pairwise(edges))
    windows = EpochPlan((Stream(blocks, Fraction(1), 0),), 2000, seed, least=512).windows(0)
    assert sorted(block.start for window in windows for block in window) == edges[:-1]
    assert min(sum(map(len, window)) for window in windows) >= 512
