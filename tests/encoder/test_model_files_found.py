"""Model files are found by path, and on a Dask worker where `upload_file` put them."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from jepa_coffea.encoder.model_files import locate


def test_a_file_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"")
    assert locate(tmp_path / "a.onnx") == tmp_path / "a.onnx"


def test_on_a_worker_that_was_sent_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = SimpleNamespace(local_directory=str(tmp_path))
    monkeypatch.setitem(sys.modules, "distributed", SimpleNamespace(get_worker=lambda: worker))
    there = Path("/of/the/client/a.onnx")
    assert locate(there) == there
    (tmp_path / "a.onnx").write_bytes(b"")
    assert locate(there) == tmp_path / "a.onnx"


def test_where_there_is_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    def get_worker() -> None:
        raise ValueError

    monkeypatch.setitem(sys.modules, "distributed", SimpleNamespace(get_worker=get_worker))
    assert locate(Path("/a.onnx")) == Path("/a.onnx")
