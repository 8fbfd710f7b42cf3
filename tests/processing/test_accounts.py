"""One event is one row: files given twice, replaced, or written by another run, and whatever a dataset is called."""

import os
import shutil
from pathlib import Path
from typing import Any

import awkward as ak
import pyarrow.parquet as pq
import pytest

from jepa_coffea import JEPAEmbedder
from jepa_coffea.errors import BadFileError, FolderError
from jepa_coffea.files.folders import working_in
from jepa_coffea.processing.accounts import LostEventsError
from jepa_coffea.processing.dijets import DijetSelection
from jepa_coffea.processing.input_faults import ChangedFileError
from jepa_coffea.processing.run import KIND, run
from processors.embed import EmbedProcessor
from tests.processors.synthetic import write_events


def quietly(processor: EmbedProcessor, fileset: Any, **options: Any) -> dict[str, Any]:
    return run(processor, fileset, **{"chunksize": 50, "progress": False, **options})


@pytest.fixture
def file(fileset: dict[str, list[str]]) -> str:
    return fileset["qcd"][0]


@pytest.mark.parametrize("how", ["twice", "copy", "symlink", "url", "other dataset"])
def test_a_file_given_twice(model: Path, file: str, tmp_path: Path, how: str) -> None:
    other = tmp_path / "other.root"
    if how == "copy":
        shutil.copy(file, other)
    elif how == "symlink":
        other.symlink_to(file)
    second = {"twice": file, "url": f"file://{file}", "other dataset": file}.get(how, str(other))
    given = {"a": [file], "b": [second]} if how == "other dataset" else {"a": [file, second]}
    with pytest.raises(BadFileError, match=r"is given twice|are given more than once"):
        quietly(EmbedProcessor(JEPAEmbedder(model)), given)


@pytest.mark.parametrize(
    "name",
    [
        "/QCD_Pt-15to7000/Run2018A-v1/NANOAODSIM",
        "x/../../evil",
        "QCD[700-1000]",
        "a.b#c",
        "..",
        "tôp é",
        "[/x] [bold]",
        "a:b*?%41",
    ],
)
def test_any_name_of_a_dataset(model: Path, fileset: dict, tmp_path: Path, name: str) -> None:
    given, out = {name: fileset["qcd"]}, tmp_path / "deep" / "out[1]"
    for resumed in (0, 1):
        processor = EmbedProcessor(JEPAEmbedder(model), out)
        output = quietly(processor, given, checkpoints=tmp_path / "deep" / "kept")
        assert output["run"]["resumed"] == resumed
    assert {path.name for path in tmp_path.iterdir()} == {"deep"}
    assert len(list((tmp_path / "deep").iterdir())) == 2
    (folder,) = (path for path in out.iterdir() if path.is_dir())
    assert pq.read_table(out).num_rows == output["bookkeeping"][name]["selected"]
    assert pq.read_table(folder).num_rows == output["bookkeeping"][name]["selected"] > 0


@pytest.mark.parametrize("name", ["x[1].root", "a#b.root", "a b?.root", "ü.root", "%41.root", "a:b.root", "*.root"])
def test_any_name_of_a_file(model: Path, file: str, tmp_path: Path, name: str) -> None:
    path = Path(shutil.copy(file, tmp_path / name))
    assert quietly(EmbedProcessor(JEPAEmbedder(model)), {"d": [str(path)]})["run"]["events"] == 50


def test_a_tree_is_named_apart(model: Path, file: str) -> None:
    with pytest.raises(BadFileError, match="its tree is named apart"):
        quietly(EmbedProcessor(JEPAEmbedder(model)), {"d": [f"{file}:Events"]})


class Replaces(EmbedProcessor):
    """Has its input file replaced by one of the same size, before the second chunk."""

    path: Path

    def process(self, events: ak.Array) -> dict[str, Any]:
        output = super().process(events)
        if events.metadata["entrystart"] == 0:
            content = self.path.read_bytes()
            self.path.write_bytes(content)
        return output


def test_a_file_replaced_during_the_run(model: Path, file: str, tmp_path: Path) -> None:
    processor = Replaces(JEPAEmbedder(model))
    processor.path = Path(shutil.copy(file, tmp_path / "a.root"))
    with pytest.raises(ChangedFileError, match=r"a.root, events 0 to 25: the file was replaced"):
        quietly(processor, {"d": [str(processor.path)]}, chunksize=25, skipbadfiles=True)


def test_a_file_replaced_between_two_runs_is_not_resumed(model: Path, file: str, tmp_path: Path) -> None:
    path = Path(shutil.copy(file, tmp_path / "a.root"))
    options = {"checkpoints": tmp_path / "kept"}
    quietly(EmbedProcessor(JEPAEmbedder(model)), {"d": [str(path)]}, **options)
    assert quietly(EmbedProcessor(JEPAEmbedder(model)), {"d": [str(path)]}, **options)["run"]["resumed"] == 1
    os.utime(path, ns=(1, 1))
    assert quietly(EmbedProcessor(JEPAEmbedder(model)), {"d": [str(path)]}, **options)["run"]["resumed"] == 0


def test_rows_of_another_selection(model: Path, fileset: dict, tmp_path: Path) -> None:
    quietly(EmbedProcessor(JEPAEmbedder(model), tmp_path), {"qcd": fileset["qcd"]})
    cut = EmbedProcessor(JEPAEmbedder(model), tmp_path, selection=DijetSelection(mjj=2500))
    with pytest.raises(LostEventsError, match="was written with selection"):
        quietly(cut, {"qcd": fileset["qcd"]})
    with pytest.raises(LostEventsError, match="was written with selection"):
        quietly(cut, {"signal": fileset["signal"]})


def test_other_datasets_of_the_folder_are_told(model: Path, fileset: dict, tmp_path: Path) -> None:
    quietly(EmbedProcessor(JEPAEmbedder(model), tmp_path), {"qcd": fileset["qcd"]})
    found = quietly(EmbedProcessor(JEPAEmbedder(model), tmp_path), {"signal": fileset["signal"]})
    assert found["run"]["other_datasets"] == {"qcd": 1}


def test_events_of_a_copy_written_anew_are_told(model: Path, tmp_path: Path) -> None:
    paths = [str(write_events(tmp_path / f"{n}.root", 50, seed=3)) for n in range(2)]
    found = quietly(EmbedProcessor(JEPAEmbedder(model), tmp_path / "out"), {"d": paths})
    assert found["run"]["repeated_events"] == {"d": found["bookkeeping"]["d"]["selected"] // 2}


class Steals(EmbedProcessor):
    """Loses a row of what it wrote."""

    def process(self, events: ak.Array) -> dict[str, Any]:
        output = super().process(events)
        path = Path(self.output) / next(iter(output["files"][events.metadata["dataset"]]))
        rows = pq.read_table(path, partitioning=None)
        pq.write_table(rows.slice(1), path)
        return output


def test_rows_are_held_against_selected_events(model: Path, fileset: dict, tmp_path: Path) -> None:
    with pytest.raises(LostEventsError, match=r"\d+ events were selected, the files hold \d+ rows"):
        quietly(Steals(JEPAEmbedder(model), tmp_path), {"qcd": fileset["qcd"]})


def test_two_runs_in_one_folder(model: Path, fileset: dict, tmp_path: Path) -> None:
    with working_in(tmp_path, KIND), pytest.raises(FolderError, match="is in use by process"):
        quietly(EmbedProcessor(JEPAEmbedder(model), tmp_path), fileset)
    quietly(EmbedProcessor(JEPAEmbedder(model), tmp_path), fileset)


def test_nothing_but_empty_files(model: Path, tmp_path: Path) -> None:
    path = str(write_events(tmp_path / "empty.root", 0))
    found = quietly(EmbedProcessor(JEPAEmbedder(model), tmp_path / "out"), {"d": [path]})
    assert found["run"]["empty_files"] == [path]
    assert found["bookkeeping"]["d"]["events"] == found["run"]["events"] == 0
