"""run(): every event accounted for, whatever is wrong with files, models and workers; here without a cluster."""

import shutil
from pathlib import Path
from typing import Any

import awkward as ak
import pyarrow.parquet as pq
import pytest
import uproot

from jepa_coffea import JEPAEmbedder
from jepa_coffea.constituents.record import LayoutError, UnreadableError
from jepa_coffea.encoder.providers import ProviderError
from jepa_coffea.errors import BadFileError, ModelError
from jepa_coffea.processing.accounts import LostEventsError
from jepa_coffea.processing.checkpoints import Checkpointer
from jepa_coffea.processing.run import run
from jepa_coffea.processing.systematics import EnergyScale, Systematics
from processors.embed import EmbedProcessor
from tests.encoder.tiny import write_tiny
from tests.processors.compare import assert_same
from tests.processors.synthetic import write_events
from tests.support.event_files import MINIATURES


def quietly(processor: EmbedProcessor, fileset: dict, **options: Any) -> dict[str, Any]:
    return run(processor, fileset, **{"chunksize": 25, "progress": False, **options})


def damaged(path: Path, source: Path) -> str:
    """A copy with its constituents' bytes turned over: it opens, and cannot be read to the end."""
    content = bytearray(source.read_bytes())
    with uproot.open(source) as file:
        branch = file["Events"]["PFCands_pt"]
        start, size = int(branch.member("fBasketSeek")[0]), int(branch.member("fBasketBytes")[0])
    for place in range(start + size // 2, start + size):
        content[place] ^= 0xFF
    path.write_bytes(content)
    return str(path)


def test_bookkeeping(undisturbed: dict[str, Any]) -> None:
    assert undisturbed["run"] | {"seconds": 0} == {
        "events": 100,
        "chunks": 4,
        "files": 2,
        "empty_files": [],
        "skipped_files": {},
        "skipped_chunks": {},
        "resumed": 0,
        "other_datasets": {},
        "repeated_events": {},
        "seconds": 0,
    }


@pytest.mark.parametrize(
    ("content", "why"), [(b"no ROOT file at all", r"\w+: "), (b"", "the file has 0 bytes"), (None, r"\w+: ")]
)
def test_bad_file_is_named(model: Path, fileset: dict, tmp_path: Path, content: bytes | None, why: str) -> None:
    path = tmp_path / "broken.root"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadFileError, match=rf"1 of 3 files cannot be read:\n  qcd: {path}: {why}"):
        quietly(EmbedProcessor(JEPAEmbedder(model)), {**fileset, "qcd": [*fileset["qcd"], str(path)]})


def test_bad_files_are_listed(model: Path, fileset: dict, undisturbed: dict, tmp_path: Path) -> None:
    (tmp_path / "broken.root").write_bytes(b"no ROOT file at all")
    bad = [str(tmp_path / "broken.root"), str(MINIATURES / "jetclass_vectors.root")]
    bad_and_good = {**fileset, "qcd": [bad[0], *fileset["qcd"], bad[1]]}
    found = quietly(EmbedProcessor(JEPAEmbedder(model)), bad_and_good, skipbadfiles=True)
    assert_same(found, undisturbed)
    assert set(found["run"]["skipped_files"]) == set(bad)
    assert "no tree 'Events'" in found["run"]["skipped_files"][bad[1]]


def test_only_bad_files(model: Path, tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match="1 of 1 files"):
        quietly(EmbedProcessor(JEPAEmbedder(model)), {"d": [str(tmp_path / "none.root")]}, skipbadfiles=True)


def test_damage_inside(model: Path, fileset: dict, undisturbed: dict, tmp_path: Path) -> None:
    bad = damaged(tmp_path / "damaged.root", write_events(tmp_path / "whole.root", 50, seed=7, first=700))
    more = {**fileset, "qcd": [*fileset["qcd"], bad]}
    with pytest.raises(UnreadableError, match=r"damaged.root, events 0 to 25: .* cannot read PFCands.pt"):
        quietly(EmbedProcessor(JEPAEmbedder(model)), more)
    found = quietly(EmbedProcessor(JEPAEmbedder(model)), more, skipbadfiles=True)
    assert_same(found, undisturbed)
    assert [*found["run"]["skipped_chunks"]] == [f"{bad}:0-25", f"{bad}:25-50"]
    assert all("cannot read PFCands.pt" in reason for reason in found["run"]["skipped_chunks"].values())
    assert found["run"]["events"] == 100


def test_empty_file_and_chunks_without_jets(model: Path, fileset: dict, undisturbed: dict, tmp_path: Path) -> None:
    empty = str(write_events(tmp_path / "empty.root", 0))
    bare = str(write_events(tmp_path / "bare.root", 30, jets=False))
    found = quietly(EmbedProcessor(JEPAEmbedder(model), tmp_path / "out"), {**fileset, "bare": [empty, bare]})
    assert found["run"]["empty_files"] == [empty]
    assert found["bookkeeping"].pop("bare")["events"] == 30
    assert found["cutflow"]["bare"]["two jets"] == 0
    assert not list((tmp_path / "out").glob("dataset=bare/*"))
    assert_same(found, undisturbed)


def test_layout_error_is_never_skipped(model: Path) -> None:
    old = {"d": [str(MINIATURES / "nano_v12.root")]}
    cuts = EmbedProcessor(JEPAEmbedder(model)).selection.model_copy(update={"pt": 0.0, "mjj": 0.0})
    with pytest.raises(LayoutError, match=r"nano_v12.root, events 0 to .*no particle-flow candidates"):
        quietly(EmbedProcessor(JEPAEmbedder(model), selection=cuts), old, skipbadfiles=True, chunksize=200)


def test_model_replaced_during_the_run(fileset: dict, tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "a.onnx", dim=5)
    processor = EmbedProcessor(JEPAEmbedder(path))
    write_tiny(path, dim=6)
    with pytest.raises(ModelError, match=r"0.root, events 0 to 25: .*SHA-256"):
        quietly(processor, fileset, skipbadfiles=True)


def test_cuda_that_is_not_there(model: Path, fileset: dict) -> None:
    with pytest.raises(ProviderError, match="events 0 to 25"):
        quietly(EmbedProcessor(JEPAEmbedder(model, provider="cuda")), fileset, skipbadfiles=True)


class Interrupted(EmbedProcessor):
    """Stops at its third chunk while a file of a given name exists."""

    def __init__(self, *arguments: Any, trap: Path) -> None:
        super().__init__(*arguments)
        self.trap = trap

    def process(self, events: ak.Array) -> dict[str, Any]:
        if self.trap.exists():
            self.trap.write_text(self.trap.read_text() + "x")
            if len(self.trap.read_text()) == 3:
                msg = "pulled the plug"
                raise KeyboardInterrupt(msg)
        return super().process(events)


def test_goes_on_where_it_stopped(model: Path, fileset: dict, undisturbed: dict, tmp_path: Path) -> None:
    def processor(path: Path = model) -> Interrupted:
        return Interrupted(JEPAEmbedder(path), tmp_path / "out", trap=tmp_path / "trap")

    options = {"checkpoints": tmp_path / "checkpoints"}
    (tmp_path / "trap").write_text("")
    with pytest.raises(KeyboardInterrupt):
        quietly(processor(), fileset, **options)
    (tmp_path / "trap").unlink()
    found = quietly(processor(), fileset, **options)
    assert found["run"]["resumed"] == 2
    assert_same(found, undisturbed)
    rows = pq.read_table(tmp_path / "out").num_rows
    assert rows == sum(totals["selected"] for totals in undisturbed["bookkeeping"].values())
    # Everything is there now; what lost its file is done again; another model starts from nothing.
    assert quietly(processor(), fileset, **options)["run"]["resumed"] == 4
    next((tmp_path / "out" / "dataset=signal").iterdir()).unlink()
    again = quietly(processor(), fileset, **options)
    assert again["run"]["resumed"] == 3
    assert_same(again, undisturbed)
    assert pq.read_table(tmp_path / "out").num_rows == rows
    other = write_tiny(tmp_path / "other.onnx", classes=("QCD", "top"), dim=4)
    with pytest.raises(LostEventsError, match=r"was written with model = 'tiny.onnx', this run has 'other.onnx'"):
        quietly(processor(other), fileset, **options)
    shutil.rmtree(tmp_path / "out")
    assert quietly(processor(other), fileset, **options)["run"]["resumed"] == 0


def test_checkpoint_of_another_configuration(model: Path, tmp_path: Path) -> None:
    chunk = {"dataset": "d", "filename": "f", "treename": "t", "entrystart": 0, "entrystop": 9, "fileuuid": "u"}
    base = EmbedProcessor(JEPAEmbedder(model))
    other = EmbedProcessor(JEPAEmbedder(model), systematics=Systematics(jets={"up": EnergyScale(1.1)}))
    paths = {Checkpointer(tmp_path, processor).path(chunk) for processor in (base, other)}
    paths.add(Checkpointer(tmp_path, base).path(chunk | {"weight": 2.0}))
    assert len(paths) == 3
    assert Checkpointer(tmp_path, base).path(chunk | {"filename": "moved"}) in paths
    with pytest.raises(TypeError, match="object has no identity"):
        Checkpointer(tmp_path, object())


def test_files_of_another_run_are_refused(model: Path, fileset: dict, tmp_path: Path) -> None:
    processor = EmbedProcessor(JEPAEmbedder(model), tmp_path)
    quietly(processor, {"qcd": fileset["qcd"][:1]})
    with pytest.raises(LostEventsError, match=r"dataset=qcd holds 2 files that this run would not write"):
        quietly(processor, {"qcd": fileset["qcd"][:1]}, chunksize=50)
    quietly(processor, {"signal": fileset["signal"]})


class Forgetful(EmbedProcessor):
    """Counts one event too few."""

    def process(self, events: ak.Array) -> dict[str, Any]:
        output = super().process(events)
        output["bookkeeping"][events.metadata["dataset"]]["events"] -= 1
        return output


def test_a_wrong_count_is_noticed(model: Path, fileset: dict) -> None:
    with pytest.raises(LostEventsError, match="'signal': 50 events in 2 chunks were given, the output counts 48"):
        quietly(Forgetful(JEPAEmbedder(model)), {"signal": fileset["signal"]})
