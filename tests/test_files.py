"""Files: whole or not at all, sealed, named by any text, found by globs that may be names."""

import errno
from pathlib import Path

import pytest

from jepa_coffea.errors import BadFileError, StorageError
from jepa_coffea.files import (
    digest,
    file_hash,
    find_files,
    quoted,
    read_sealed,
    replacing,
    sealed_line,
    unquoted,
    unsealed_line,
    write_bytes,
    write_sealed,
    write_text,
)


def test_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.txt"
    write_text(path, "one")

    def interrupted() -> None:
        with replacing(path) as temporary:
            temporary.write_text("tw")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert path.read_text() == "one"
    assert [found.name for found in path.parent.iterdir()] == ["a.txt"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, r"disk full: .*a: free [\d.]+ MB, needed at least 0.0 MB"),
        (errno.EDQUOT, "disk full"),
        (errno.EROFS, "cannot be written"),
        (errno.EACCES, "cannot be written"),
    ],
)
def test_disks_that_do_not_take_it(tmp_path: Path, code: int, words: str) -> None:
    with pytest.raises(StorageError, match=words), replacing(tmp_path / "a", 9):
        raise OSError(code, "reason")
    assert not list(tmp_path.iterdir())


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "a"):
        raise FileNotFoundError(errno.ENOENT, "reason")


def test_every_flipped_bit_of_a_sealed_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_sealed(path, b"content")
    assert read_sealed(path) == b"content"
    whole = path.read_bytes()
    for place in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(BadFileError, match="is damaged"):
            read_sealed(path)
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(BadFileError, match="is damaged"):
            read_sealed(path)
    with pytest.raises(FileNotFoundError):
        read_sealed(tmp_path / "none")


def test_sealed_lines() -> None:
    line = sealed_line('["key", 1.5]')
    assert unsealed_line(line, "a:1") == '["key", 1.5]'
    for place in range(len(line)):
        with pytest.raises(BadFileError, match="a:1 is damaged"):
            unsealed_line(line[:place] + chr(ord(line[place]) ^ 1) + line[place + 1 :], "a:1")
    with pytest.raises(BadFileError):
        unsealed_line("", "a:1")


NAMES = [
    "qcd",
    "/QCD/Run2018A/NANOAODSIM",
    "..",
    ".",
    ".hidden",
    "x/../../y",
    "a[1]",
    "a#b",
    "é",
    "%2F",
    "a b",
    "\udcff",
    "_x",
]


@pytest.mark.parametrize("name", NAMES)
def test_any_text_is_a_file_name_and_comes_back(name: str, tmp_path: Path) -> None:
    text = quoted(name)
    assert unquoted(text) == name
    assert text.isascii()
    assert not set(text) & set("/[]*?#:\\ ")
    write_bytes(tmp_path / text, b"")
    assert [path.name for path in tmp_path.glob("*")] == [text]


def test_quoted_names_differ() -> None:
    assert len({*map(quoted, NAMES)}) == len(NAMES)
    assert quoted("qcd_2018-v1.x") == "qcd_2018-v1.x"


@pytest.mark.parametrize("name", ["", "x" * 201, "é" * 40])
def test_names_that_no_file_system_takes(name: str) -> None:
    with pytest.raises(BadFileError, match="1 to 200 characters"):
        quoted(name)


def test_globs_and_names_that_look_like_globs(tmp_path: Path) -> None:
    for name in ("x[1].root", "x1.root", "x2.root"):
        (tmp_path / name).touch()
    assert find_files(tmp_path / "x[1].root") == [str(tmp_path / "x[1].root")]
    assert find_files(f"{tmp_path}/x?.root") == [str(tmp_path / "x1.root"), str(tmp_path / "x2.root")]
    assert find_files([f"{tmp_path}/x1.root", f"{tmp_path}/x?.root"]) == [f"{tmp_path}/x1.root", f"{tmp_path}/x2.root"]
    assert find_files("root://host//a*.root") == ["root://host//a*.root"]
    with pytest.raises(BadFileError, match="events: nothing matches"):
        find_files(f"{tmp_path}/y*", "events")


def test_hashes(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a", b"abc")
    assert file_hash(tmp_path / "a").startswith("ba7816bf")
    assert len({digest(1, 2), digest(2, 1), digest([1, 2]), digest({"a": 1})}) == 4
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
