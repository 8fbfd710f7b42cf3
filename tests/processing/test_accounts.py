"""One event is one row: files given twice, replaced, or written by another run, and whatever a dataset is called."""

import os
import shutil
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pyarrow.parquet as pq
import pytest
import uproot

from jepa_coffea import JEPAEmbedder
from jepa_coffea.errors import BadFileError, FolderError
from jepa_coffea.files.folders import working_in
from jepa_coffea.processing.accounts import LostEventsError
from jepa_coffea.processing.dijets import DijetSelection
from jepa_coffea.processing.input_faults import ChangedFileError
from jepa_coffea.processing.run import KIND, run
from processors.embed import EmbedProcessor
from tests.processors.synthetic import columns, write_events


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


def test_a_file_that_was_embedded_under_another_name(model: Path, file: str, tmp_path: Path) -> None:
    """Whatever it is called, however it is cut into chunks; the same name as before is another attempt."""
    out = tmp_path / "out"
    quietly(EmbedProcessor(JEPAEmbedder(model), out), {"a": [file]})
    copy = shutil.copy(file, tmp_path / "copy.root")
    for given, chunksize in ((file, 50), (copy, 50), (file, 25)):
        with pytest.raises(LostEventsError) as refusal:
            quietly(EmbedProcessor(JEPAEmbedder(model), out), {"b": [given]}, chunksize=chunksize)
        said = f"{given} of dataset 'b' was embedded into {out} before, as dataset 'a'"
        assert said in str(refusal.value)
        assert f"delete {out}/dataset=a" in str(refusal.value)
    assert [path.name for path in out.iterdir() if path.is_dir()] == ["dataset=a"]
    quietly(EmbedProcessor(JEPAEmbedder(model), out), {"a": [file]})
    shutil.rmtree(out / "dataset=a")
    quietly(EmbedProcessor(JEPAEmbedder(model), out), {"b": [file]})


def two_trees(path: Path) -> str:
    found = columns(np.random.default_rng(1), 50)
    with uproot.recreate(path) as target:
        for tree, first in (("Events", 1), ("Events_JES", 1001)):
            target.mktree(tree, {name: array.type.content for name, array in found.items()})
            target[tree].extend(found | {"event": found["event"] + first})
    return str(path)


def test_two_trees_of_a_file(model: Path, tmp_path: Path) -> None:
    """They are two samples, which may lie beside one another, and never in one dataset."""
    file, out = two_trees(tmp_path / "two.root"), tmp_path / "out"
    nominal, varied = {"files": {file: "Events"}}, {"files": {file: "Events_JES"}}
    quietly(EmbedProcessor(JEPAEmbedder(model), out), {"nominal": nominal})
    with pytest.raises(LostEventsError, match="was written with treename = 'Events', this run has 'Events_JES'"):
        quietly(EmbedProcessor(JEPAEmbedder(model), out), {"nominal": varied})
    quietly(EmbedProcessor(JEPAEmbedder(model), out), {"JES": varied})


def test_rows_of_another_weight(model: Path, file: str, tmp_path: Path) -> None:
    """A run with it that was interrupted would leave both; and checkpoints of the first know nothing of the second."""
    quietly(EmbedProcessor(JEPAEmbedder(model), tmp_path), {"d": {"files": [file], "metadata": {"weight": 1.0}}})
    with pytest.raises(LostEventsError, match=r"was written with metadata = .*1.0}, this run has {'weight': 2.0}"):
        quietly(EmbedProcessor(JEPAEmbedder(model), tmp_path), {"d": {"files": [file], "metadata": {"weight": 2.0}}})


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
