"""Output folders: one run at a time, of one kind, nothing of others removed."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from jepa_coffea.errors import FolderError, StorageError
from jepa_coffea.files.folders import MARK, finished_folder, fresh_folder, working_in

ROOT = Path(__file__).parent.parent


def test_one_run_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    with working_in(folder, "hunt"), pytest.raises(FolderError, match=r"is in use by process \d+ on .* since"):
        working_in(folder, "hunt").__enter__()
    with working_in(folder, "hunt"):
        pass


def test_a_run_that_was_killed_leaves_no_lock(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from jepa_coffea.files.folders import working_in\n"
        "with working_in(sys.argv[1], 'hunt'): os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "a")], cwd=ROOT, check=False)
    assert done.returncode < 0
    with working_in(tmp_path / "a", "hunt"):
        pass


def test_one_kind(tmp_path: Path) -> None:
    with working_in(tmp_path / "a", "hunt"):
        pass
    with pytest.raises(FolderError, match="holds a folder of kind 'hunt', not 'training'"):
        working_in(tmp_path / "a", "training").__enter__()


def test_folders_of_others(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(FolderError, match=r"files that are not of a hunt, first 'thesis.tex'"):
        working_in(tmp_path, "hunt").__enter__()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with working_in(tmp_path, "embedded events", among_others=True):
        pass
    assert (tmp_path / "thesis.tex").exists()


def test_fresh_folders(tmp_path: Path) -> None:
    plots = tmp_path / "plots"
    fresh_folder(plots, "plots")
    (plots / "a.pdf").touch()
    fresh_folder(plots, "plots")
    assert [path.name for path in plots.iterdir()] == [MARK]
    (plots / "deep").mkdir()
    (plots / "deep" / "a.pdf").touch()
    finished_folder(plots)
    (plots / "deep" / "mine.txt").touch()
    for _ in range(2):  # the second time as after a kill: nothing says which files were made
        fresh_folder(plots, "plots")
        assert sorted(path.name for path in plots.rglob("*")) == [MARK, "deep", "mine.txt"]
        (plots / "b.pdf").touch()
    other = tmp_path / "exports"
    other.mkdir()
    (other / "mine").touch()
    with pytest.raises(FolderError, match="was not made by this project"):
        fresh_folder(other, "exports")
    assert (other / "mine").exists()


def test_a_mark_cut_short(tmp_path: Path) -> None:
    (tmp_path / MARK).write_text('{"kind": "hu')
    with working_in(tmp_path, "hunt"):
        pass
    assert '"hunt"' in (tmp_path / MARK).read_text()


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(StorageError, match="cannot be written"):
        working_in(tmp_path / "a", "hunt").__enter__()


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.write", full)
        with pytest.raises(StorageError, match=rf"disk full: .*{MARK}: free"):
            working_in(tmp_path, "hunt").__enter__()
    with working_in(tmp_path, "hunt"):
        pass


def test_a_folder_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(StorageError, match="cannot be written"):
        fresh_folder(tmp_path / "a" / "plots", "plots")
