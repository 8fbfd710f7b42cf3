"""Files named by any text, and found by globs that may be names."""

from pathlib import Path

import pytest

from jepa_coffea.errors import BadFileError
from jepa_coffea.files import find_files, printable, quoted, unquoted, write_bytes

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


def test_nothing_printable_moves_the_cursor() -> None:
    assert printable("\x1b[31mred\x07\tand\nmore é") == "\\x1b[31mred\\x07\tand\nmore é"
    assert printable("\udcff\u202e") == "\\udcff\\u202e"
