"""Bad input: an error that names the file, or, when asked to skip, counts and lists; never a silent loss."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import awkward as ak
import numpy as np
import pytest
import uproot

from benchmarks.synthetic import jet_arrays, write_jetclass, write_tree
from jepa_coffea.errors import BadFileError
from jepa_coffea.files import unsealed_document
from tests.training.data.conftest import jet_ids
from training.data.loader import DataConfig, make_loader
from training.data.preparation import Manifest, prepare
from training.data.readers.base import OutputError
from training.data.shards import ShardFile, ShardWriter
from training.data.sources import Reading, expand, open_jets
from training.data.window import Skipped
from training.prepare import main


def truncated(path: Path) -> None:
    write_jetclass(path, 300, seed=1)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def damaged_baskets(path: Path) -> None:
    """Opens well, but what its baskets hold cannot be decompressed."""
    write_jetclass(path, 300, seed=1)
    with uproot.open(path) as file:
        start = int(file["tree"]["part_pz"].member("fBasketSeek")[0])
    content = bytearray(path.read_bytes())
    content[start + 100 : start + 1500] = bytes(1400)
    path.write_bytes(content)


def no_energy(path: Path) -> None:
    arrays = write_jetclass(path, 300, seed=1)
    arrays["part"] = ak.without_field(arrays["part"], "energy")
    write_tree(path, arrays)


def empty_file(path: Path) -> None:
    path.write_bytes(b"")


def no_entries(path: Path) -> None:
    arrays = write_jetclass(path, 5, seed=1)
    with uproot.recreate(path) as file:
        file.mktree("tree", {k: v.type if isinstance(v, ak.Array) else v.dtype for k, v in arrays.items()})


def other_schema(path: Path) -> None:
    with uproot.recreate(path) as file:
        file.mktree("ntuple", {"x": np.float32})
        file["ntuple"].extend({"x": np.ones(3, np.float32)})


def text(path: Path) -> None:
    path.write_text("not a ROOT file, but long enough to have a header" * 20)


FILES: dict[Callable[[Path], None], str] = {
    truncated: "cannot be read",
    damaged_baskets: "cannot be read",
    no_energy: "has no branch part_energy",
    empty_file: "cannot be read",
    other_schema: "no tree of jets or events, expected one of tree, Events, Delphes; found ntuple",
    text: "cannot be read",
}


@pytest.fixture(params=FILES, ids=lambda made: made.__name__)
def bad_and_good(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path, str]:
    bad, good = tmp_path / "Bad_000.root", tmp_path / "Good_000.root"
    request.param(bad)
    write_jetclass(good, 200, seed=2)
    return bad, good, FILES[request.param]


def test_bad_file_stops_preparing(bad_and_good: tuple[Path, Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    bad, good, message = bad_and_good
    output = good.parent / "shards"
    assert main(["--data", str(bad), str(good), "--output", str(output)]) == 2
    assert f"error: {bad}: " in (said := capsys.readouterr().err)
    assert message in said
    assert not [path for path in output.iterdir() if "Bad" in path.name]
    with pytest.raises(BadFileError, match=r"finished output of training/prepare\.py"):
        expand(str(output))


def test_bad_file_is_listed_when_skipped(
    bad_and_good: tuple[Path, Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    bad, good, message = bad_and_good
    output = good.parent / "shards"
    assert main(["--data", str(bad), str(good), "--output", str(output), "--skip-bad"]) == 0
    assert f"left out: {bad}: " in capsys.readouterr().err
    manifest = json.loads((output / "manifest.json").read_text())
    assert message in manifest["files_left_out"][str(bad)]
    assert manifest["jets"] == 200
    assert [ShardFile(path).jets for path in expand(str(output))] == [200]


def test_bad_file_while_streaming(bad_and_good: tuple[Path, Path, str], caplog: pytest.LogCaptureFixture) -> None:
    bad, good, message = bad_and_good
    settings: dict[str, Any] = {"files": (str(bad), str(good)), "val_fraction": 0, "test_fraction": 0}
    with pytest.raises(BadFileError, match=f"{bad}.*{message}"):
        list(make_loader(DataConfig(**settings)))
    loader = make_loader(DataConfig(**settings, skip_bad=True))
    with caplog.at_level(logging.WARNING):
        assert len(jet_ids(loader)) == 200
    assert str(bad) in caplog.text
    assert "left out" in caplog.text
    assert str(bad) in loader.skipped.files or str(bad) in loader.skipped.jets


def test_an_empty_file_is_no_fault(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    empty, good = tmp_path / "Empty_000.root", tmp_path / "Good_000.root"
    no_entries(empty)
    write_jetclass(good, 200, seed=2)
    manifest = prepare(str(tmp_path / "*.root"), tmp_path / "shards", Reading())
    assert manifest.jets == 200
    assert "has no entries" in manifest.files_left_out[str(empty)]
    loader = make_loader(DataConfig(files=str(tmp_path / "*.root"), val_fraction=0, test_fraction=0))
    with caplog.at_level(logging.WARNING):
        assert len(jet_ids(loader)) == 200
    assert f"left out: {empty}: tree 'tree' has no entries" in caplog.text
    with pytest.raises(BadFileError, match=r"none of the 1 files can be used: .*has no entries"):
        make_loader(DataConfig(files=str(empty)))
    with pytest.raises(BadFileError, match=r"none of the 1 files could be prepared: .*has no entries"):
        prepare(str(empty), tmp_path / "none", Reading())


@pytest.mark.parametrize("copied", [shutil.copy, lambda a, b: b.symlink_to(a)])
def test_copies_are_refused(tmp_path: Path, copied: Callable[[Path, Path], object]) -> None:
    path, copy = tmp_path / "jets_0.root", tmp_path / "jets_1.root"
    write_jetclass(path, 300, seed=2)
    copied(path, copy)
    files = str(tmp_path / "*.root")
    with pytest.raises(BadFileError, match=rf"{copy}: has the same jets as {path}"):
        make_loader(DataConfig(files=files))
    with pytest.raises(BadFileError, match=rf"{copy}: is a copy of {path}"):
        prepare(files, tmp_path / "strict", Reading())
    settings: dict[str, Any] = {"val_fraction": 0, "test_fraction": 0}
    assert make_loader(DataConfig(files=files, skip_bad=True, **settings)).jets_per_epoch == 300
    manifest = prepare(files, tmp_path / "shards", Reading(), skip_bad=True)
    assert (manifest.jets, list(manifest.files_left_out)) == (300, [str(copy)])
    assert make_loader(DataConfig(files=str(tmp_path / "shards"), **settings)).jets_per_epoch == 300


def test_what_is_left_out_is_said_at_once_and_not_again(caplog: pytest.LogCaptureFixture) -> None:
    skipped = Skipped()
    skipped.add("a.root", {"no particles": [1, 2]})
    said = "left out: a.root: 2 jets with no particles"
    assert caplog.messages == [said]
    skipped.add("a.root", {"no particles": [2, 3]})
    skipped.report()
    skipped.report()
    assert caplog.messages == [said, "left out: a.root: 3 jets with no particles"]


def bad_jets(path: Path) -> dict[int, str]:
    """A file of 400 jets of which some cannot be used; returns which, and why."""
    counts = np.full(400, 30)
    counts[[0, 57]] = 0
    arrays = jet_arrays(np.random.default_rng(0), counts, "QCD")
    part = {name: ak.to_numpy(ak.flatten(arrays["part"][name])).copy() for name in arrays["part"].fields}
    first = np.concatenate([[0], np.cumsum(counts)])
    part["px"][first[100]] = np.nan
    part["dzerr"][first[200] + 29] = np.inf
    arrays["part"] = ak.unflatten(ak.zip(part), counts)
    arrays["jet_energy"][300] = np.nan
    write_tree(path, arrays)
    value = "a value that is not finite"
    return {0: "no particles", 57: "no particles", 100: value, 200: value, 300: value}


def test_unusable_jets(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "jets.root"
    expected = bad_jets(path)
    with pytest.raises(
        BadFileError, match=rf"{path}: .*2 with no particles \(jets 0, 57\).*3 with a value .*100, 200, 300"
    ):
        prepare(str(path), tmp_path / "strict", Reading())
    assert list((tmp_path / "strict").iterdir()) == []
    manifest = prepare(str(path), tmp_path / "shards", Reading(), skip_bad=True)
    assert manifest.jets == 395
    assert manifest.jets_left_out == {"no particles": 2, "a value that is not finite": 3}
    left_out = ShardFile(expand(str(tmp_path / "shards"))[0]).shard.left_out
    assert {jet: why for why, jets in left_out.items() for jet in jets} == expected

    settings: dict[str, Any] = {"files": str(path), "val_fraction": 0, "test_fraction": 0, "batch_size": 16}
    with pytest.raises(BadFileError, match=f"{path}: jets that cannot be used"):
        list(make_loader(DataConfig(**settings)))
    loader = make_loader(DataConfig(**settings, skip_bad=True))
    with caplog.at_level(logging.WARNING):
        streamed = list(loader)
    assert sum(map(len, streamed)) == 395
    assert all(batch.particles.isfinite().all() for batch in streamed)
    assert {jet: why for why, jets in loader.skipped.jets[str(path)].items() for jet in jets} == expected
    assert "3 jets with a value that is not finite" in caplog.text


def test_labels_that_are_none_or_several(tmp_path: Path) -> None:
    path = tmp_path / "jets.root"
    arrays = write_jetclass(path, 50, seed=0, label="Hbb")
    arrays["label_Hcc"][7] = True
    arrays["label_Hbb"][9] = False
    write_tree(path, arrays)
    settings: dict[str, Any] = {"files": str(path), "val_fraction": 0, "test_fraction": 0}
    with pytest.raises(BadFileError, match=r"2 with not exactly one label \(jets 7, 9\)"):
        list(make_loader(DataConfig(**settings), labels=True))
    assert sum(map(len, make_loader(DataConfig(**settings)))) == 50, "without labels they are as good as others"
    kept = list(make_loader(DataConfig(**settings, skip_bad=True), labels=True))
    assert sum(map(len, kept)) == 48


def test_300_particles(tmp_path: Path) -> None:
    path = tmp_path / "jets.root"
    counts = np.asarray([40, 300, 3])
    write_tree(path, jet_arrays(np.random.default_rng(0), counts, "QCD"))
    prepare(str(path), tmp_path / "shards", Reading())
    shard = ShardFile(expand(str(tmp_path / "shards"))[0])
    assert shard.read(0, 3).counts.tolist() == [40, 300, 3], "a shard keeps all"
    for files in (str(path), str(tmp_path / "shards")):
        loader = make_loader(DataConfig(files=files, val_fraction=0, test_fraction=0, bucketed=False))
        (batch,) = loader
        assert sorted(batch.mask.sum(1).tolist()) == [3, 40, 128]
        assert loader.truncated == 1
        names = loader.observable_names
        assert sorted(batch.observables[:, names.index("n_particles")].tolist()) == [3, 40, 300]


def test_flags_that_are_no_flags(tmp_path: Path) -> None:
    path = tmp_path / "jets.root"
    arrays = write_jetclass(path, 50, seed=0)
    arrays["part"] = ak.with_field(arrays["part"], arrays["part"]["charge"] + 0.5, "charge")
    write_tree(path, arrays)
    with pytest.raises(BadFileError, match=f"{path}: branch 'part_charge', entry 0"):
        open_jets(str(path), Reading()).read(0, 50)


@pytest.fixture
def one_shard(tmp_path: Path) -> Path:
    write_jetclass(tmp_path / "jets.root", 300, seed=0)
    prepare(str(tmp_path / "jets.root"), tmp_path / "shards", Reading())
    return Path(expand(str(tmp_path / "shards"))[0])


def test_shard_with_a_wrong_checksum(one_shard: Path) -> None:
    with (one_shard / "displacement.npy").open("r+b") as file:
        file.seek(4000)
        file.write(b"\x00\x01")
    settings: dict[str, Any] = {"files": str(one_shard), "val_fraction": 0, "test_fraction": 0}
    with pytest.raises(BadFileError, match=f"{one_shard}/displacement.npy: checksum .* damaged"):
        list(make_loader(DataConfig(**settings)))
    loader = make_loader(DataConfig(**settings, skip_bad=True))
    assert list(loader) == []
    (why,) = loader.skipped.jets[str(one_shard)]
    assert "checksum" in why


def test_shard_that_is_cut_short(one_shard: Path) -> None:
    path = one_shard / "kinematics.npy"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BadFileError, match=str(one_shard)):
        ShardFile(str(one_shard))


def test_shard_without_a_column(one_shard: Path) -> None:
    (one_shard / "identity.npy").unlink()
    with pytest.raises(BadFileError, match=f"{one_shard}.*identity"):
        ShardFile(str(one_shard))


@pytest.mark.parametrize("change", [{"version": 99}, {"columns": {"kinematics": ["px"]}}, {"jets": "many"}])
def test_shard_of_another_schema(one_shard: Path, change: dict[str, Any]) -> None:
    path = one_shard / "shard.json"
    content = unsealed_document(path.read_text(), path) | change
    path.write_text(json.dumps(content))
    with pytest.raises(BadFileError, match=str(one_shard)):
        ShardFile(str(one_shard))


def test_a_changed_description_is_noticed(one_shard: Path) -> None:
    for path, old, new in (
        (one_shard / "shard.json", "charge", "chargf"),
        (one_shard.parent / "manifest.json", '"0', '"1'),
    ):
        whole = path.read_text()
        path.write_text(whole.replace(old, new, 1) if old in whole else whole.replace("crc32:", "crc32:0", 1))
        with pytest.raises(BadFileError, match=f"{path} is damaged"):
            expand(str(one_shard.parent)) if path.name == "manifest.json" else ShardFile(str(one_shard))
        path.write_text(whole)


class FullDisk:
    """A file that takes 20 kB."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file

    def write(self, data: Any) -> int:
        if self.file.tell() + len(data) > 20_000:
            raise OSError(28, "No space left on device")
        return self.file.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


@pytest.mark.parametrize("skip_bad", [False, True])
def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, skip_bad: bool) -> None:
    write_jetclass(tmp_path / "jets.root", 300, seed=0)
    shutil.copy(tmp_path / "jets.root", tmp_path / "more.root")
    enter = ShardWriter.__enter__

    def small(self: ShardWriter) -> ShardWriter:
        enter(self)
        self.files = {name: FullDisk(file) for name, file in self.files.items()}
        return self

    monkeypatch.setattr(ShardWriter, "__enter__", small)
    said = r"cannot write the shard of .*jets\.root, nothing of it was kept: disk full: .*shards"
    with pytest.raises(OutputError, match=said):
        prepare(str(tmp_path / "*.root"), tmp_path / "shards", Reading(), skip_bad=skip_bad)
    assert list((tmp_path / "shards").iterdir()) == [], "nothing half-written stays"
    monkeypatch.undo()
    assert isinstance(prepare(str(tmp_path / "jets.root"), tmp_path / "shards", Reading()), Manifest)


def test_an_interrupted_run_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in range(3):
        write_jetclass(tmp_path / f"jets_{part}.root", 300, seed=part)
    files, output = str(tmp_path / "*.root"), tmp_path / "shards"
    written: list[str] = []
    finish = ShardWriter.finish

    def dying(self: ShardWriter, **description: Any) -> Any:
        written.append(description["source"])
        if len(written) == 3:
            raise KeyboardInterrupt
        return finish(self, **description)

    monkeypatch.setattr(ShardWriter, "finish", dying)
    with pytest.raises(KeyboardInterrupt):
        prepare(files, output, Reading())
    assert len(list(output.iterdir())) == 2
    manifest = prepare(files, output, Reading())
    assert written == [str(tmp_path / f"jets_{part}.root") for part in (0, 1, 2, 2)], "only the missing one again"
    assert manifest.jets == 900
    whole = prepare(files, tmp_path / "whole", Reading())
    assert manifest.model_dump(exclude={"created"}) == whole.model_dump(exclude={"created"})
    # A source that has changed is prepared again.
    write_jetclass(tmp_path / "jets_1.root", 200, seed=9)
    assert prepare(files, output, Reading()).jets == 800


def test_nothing_matches(tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match=r"nothing matches .*nowhere"):
        make_loader(DataConfig(files=f"{tmp_path}/nowhere/*.root"))
