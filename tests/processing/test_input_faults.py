"""Only what reading an input raises is skipped: never a full disk, a refused folder, or an error of the user's code."""

import errno
from pathlib import Path
from typing import Any

import awkward as ak
import pytest
import uproot
from coffea.nanoevents import PFNanoAODSchema

from jepa_coffea import JEPAEmbedder
from jepa_coffea.constituents.record import LayoutError, UnreadableError
from jepa_coffea.errors import StorageError
from jepa_coffea.processing.input_faults import reading_problem
from jepa_coffea.processing.run import run
from processors.embed import EmbedProcessor
from tests.processing.test_run import damaged
from tests.processors.synthetic import write_events
from tests.support.event_files import MINIATURES


def skipping(processor: Any, fileset: dict, **options: Any) -> dict[str, Any]:
    return run(processor, fileset, chunksize=25, skipbadfiles=True, progress=False, **options)


class Fails(EmbedProcessor):
    """Has an error of its own in each chunk."""

    error: Exception

    def process(self, events: ak.Array) -> dict[str, Any]:
        raise self.error


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), PermissionError("a"), FileNotFoundError("corrections.json")],
)
def test_errors_of_the_user(model: Path, fileset: dict, error: Exception) -> None:
    processor = Fails(JEPAEmbedder(model))
    processor.error = error
    with pytest.raises(Exception, match="Failed processing file"):
        skipping(processor, fileset)


class ReadsCorrections(EmbedProcessor):
    """Opens a file of its own with the library that reads the input."""

    def process(self, events: ak.Array) -> dict[str, Any]:
        with uproot.open("none.root"):
            return super().process(events)


def test_a_missing_file_of_corrections(model: Path, fileset: dict) -> None:
    with pytest.raises(Exception, match="FileNotFoundError"):
        skipping(ReadsCorrections(JEPAEmbedder(model)), fileset)


class ReadsDirectly(EmbedProcessor):
    """Reads a column without the project's help."""

    def process(self, events: ak.Array) -> dict[str, Any]:
        ak.sum(events.PFCands.pt)
        return super().process(events)


def test_damage_that_the_user_meets_is_skipped_with_its_reason(model: Path, fileset: dict, tmp_path: Path) -> None:
    bad = damaged(tmp_path / "bad.root", write_events(tmp_path / "whole.root", 50, seed=7, first=700))
    found = skipping(ReadsDirectly(JEPAEmbedder(model)), {**fileset, "qcd": [*fileset["qcd"], bad]})
    assert [*found["run"]["skipped_chunks"]] == [f"{bad}:0-25", f"{bad}:25-50"]
    assert all(found["run"]["skipped_chunks"].values())


def full_disk(*arguments: Any, **options: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("what", ["rows", "checkpoints"])
def test_a_full_disk(model: Path, fileset: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    processor = EmbedProcessor(JEPAEmbedder(model), tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr(
            {"rows": "pyarrow.parquet.write_table", "checkpoints": "pathlib.Path.write_bytes"}[what], full_disk
        )
        words = r"events 0 to 25: disk full: .*: free [\d.]+ MB, needed at least [\d.]+ kB"
        with pytest.raises(StorageError, match=words):
            skipping(processor, fileset, checkpoints=tmp_path / "kept")
    assert not list(tmp_path.rglob("*.part"))
    assert skipping(processor, fileset, checkpoints=tmp_path / "kept")["run"]["events"] == 100


def test_a_folder_that_is_a_file(model: Path, fileset: dict, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        skipping(EmbedProcessor(JEPAEmbedder(model), tmp_path / "out"), fileset)


def test_too_many_open_files_is_not_the_file(tmp_path: Path) -> None:
    error = Exception("Failed to open file: x. The error was: y.")
    error.__cause__ = OSError(errno.EMFILE, "Too many open files")
    assert reading_problem(error) is None
    error.__cause__ = OSError(errno.EIO, "Input/output error")
    assert "Input/output error" in str(reading_problem(error))


def test_names_of_branches_that_are_no_text(model: Path, fileset: dict, tmp_path: Path) -> None:
    bad = tmp_path / "bad.root"
    bad.write_bytes(Path(fileset["qcd"][0]).read_bytes().replace(b"PFCands_charge", b"PF\xc3ands_charge"))
    with pytest.raises(UnreadableError, match="UnicodeEncodeError"):
        run(EmbedProcessor(JEPAEmbedder(model)), {"qcd": [str(bad)]}, progress=False)


def test_a_file_of_another_schema(model: Path) -> None:
    class Strict(PFNanoAODSchema):
        def __init__(self, form: Any, *words: Any) -> None:
            raise KeyError("oJet")

    with pytest.raises(LayoutError, match=r"delphes\.root, events .*KeyError: 'oJet'.*is it of this format"):
        run(
            EmbedProcessor(JEPAEmbedder(model)),
            {"d": [str(MINIATURES / "delphes.root")]},
            treename="Delphes",
            schema=Strict,
            skipbadfiles=True,
            progress=False,
        )
