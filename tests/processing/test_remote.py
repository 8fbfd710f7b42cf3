"""Embedded events at a URL: marked, held against what was selected, and never mixed with those of others."""

import json
import os
import socket
from pathlib import Path
from typing import Any

import fsspec
import pytest

from jepa_coffea import JEPAEmbedder
from jepa_coffea.errors import BadFileError, FolderError, StorageError
from jepa_coffea.files.folders import MARK, working_at
from jepa_coffea.files.parquet import read_rows, write_rows
from jepa_coffea.hunt.output import input_stamp
from jepa_coffea.processing.accounts import LostEventsError, require_rows
from jepa_coffea.processing.embedded_events import read_provenance, written
from jepa_coffea.processing.run import run
from processors.embed import EmbedProcessor


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"memory://{tmp_path}/out"


def mark_of(url: str) -> dict[str, Any]:
    with fsspec.open(f"{url}/{MARK}") as file:
        return json.load(file)


def test_rows_at_a_url_are_held_against_selected_events(model: Path, fileset: dict, url: str) -> None:
    processor = EmbedProcessor(JEPAEmbedder(model), url)
    output = run(processor, fileset, chunksize=50, progress=False)
    files = written(url)
    assert sum(read_rows(file).num_rows for file in files) == sum(
        totals["selected"] for totals in output["bookkeeping"].values()
    )
    assert mark_of(url)["kind"] == "embedded events"
    assert "ended" in mark_of(url)
    before = input_stamp(files)
    rows = read_rows(files[0])
    with fsspec.open(files[0], "wb") as file:
        write_rows(rows.slice(1), file)
    assert input_stamp(files) != before
    with pytest.raises(LostEventsError, match="events were selected, the files hold"):
        require_rows(processor, output)
    other = EmbedProcessor(JEPAEmbedder(model), url, mjj_edges=(1000.0, 2000.0))
    with pytest.raises(LostEventsError, match="was written with mjj_edges"):
        run(other, fileset, chunksize=50, progress=False)
    with pytest.raises(LostEventsError, match="files that this run would not write"):
        run(processor, fileset, chunksize=20, progress=False)
    with fsspec.open(files[0], "wb") as file:
        file.write(b"no parquet")
    with pytest.raises(BadFileError, match="is damaged, or no parquet"):
        read_provenance(files[0])


def test_one_run_and_one_kind_at_a_url(url: str) -> None:
    with working_at(url, "embedded events"):
        assert mark_of(url)["pid"] == os.getpid()
    with (
        pytest.raises(FolderError, match="holds a folder of kind 'embedded events', not 'hunt'"),
        working_at(url, "hunt"),
    ):
        pass
    alive = {"kind": "hunt", "host": socket.gethostname(), "pid": os.getppid(), "began": "now"}
    for who, raised in ((alive, FolderError), (alive | {"host": "elsewhere"}, UserWarning)):
        with fsspec.open(f"{url}/{MARK}", "w") as file:
            json.dump(who, file)
        context = pytest.raises if raised is FolderError else pytest.warns
        with context(raised, match="in use by process .* since now"), working_at(url, "hunt"):
            pass
    with fsspec.open(f"{url}/{MARK}", "w") as file:
        json.dump(alive | {"pid": 2**22 + 1}, file)
    with working_at(url, "hunt"):  # its process was killed
        pass


def test_no_such_protocol(model: Path, fileset: dict) -> None:
    processor = EmbedProcessor(JEPAEmbedder(model), "nosuch://host//folder")
    with pytest.raises(StorageError, match=r"nosuch://host//folder cannot be used .*[Pp]rotocol"):
        run(processor, fileset, progress=False)
