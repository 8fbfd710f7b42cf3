"""Documents: closest keys at every level, paths of the document, and files that are no documents."""

from pathlib import Path

import pytest
from pydantic import Field

from jepa_coffea.documents import LocalPath, Location, Section, read_document
from jepa_coffea.errors import BadFileError, closest, did_you_mean


class Inner(Section):
    """Part."""

    number: int = 1


class Outer(Section):
    """Whole."""

    inner: Inner = Inner()
    several: list[Inner] = Field(default_factory=list)
    by_name: dict[str, Inner] = Field(default_factory=dict)
    files: list[Location] = Field(default_factory=list)
    folder: LocalPath | None = None


def read(tmp_path: Path, text: str | bytes) -> Outer:
    path = tmp_path / "a.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_document(path, Outer, BadFileError)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("inner: {numbr: 1}", "inner.numbr: no such key; did you mean 'number'?"),
        ("several: [{}, {numbr: 1}]", "several.1.numbr: no such key; did you mean 'number'?"),
        ("by_name: {a: {numbr: 1}}", "by_name.a.numbr: no such key; did you mean 'number'?"),
        ("xyz: 1", "xyz: no such key; known are by_name, files, folder, inner, several"),
        ("inner: {number: {text}}", "inner.number: Input should be a valid integer"),
    ],
)
def test_every_level_names_the_closest_key(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(BadFileError) as error:
        read(tmp_path, text)
    assert words in str(error.value)


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    with pytest.raises(BadFileError) as error:
        read(tmp_path, "inner: {numbr: 1, number: x}\nfoldr: a")
    assert str(error.value).count("\n") == 3


def test_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("SOME", "place")
    text = "files: [a/*.root, ~/b, $SOME/c, '${SOME}d', 'root://host//e', /f, 'g$']\nfolder: ~/h"
    found = read(tmp_path, text)
    here = str(tmp_path)
    assert found.files == [
        f"{here}/a/*.root",
        "/home/me/b",
        f"{here}/place/c",
        f"{here}/placed",
        "root://host//e",
        "/f",
        f"{here}/g$",
    ]
    assert found.folder == Path("/home/me/h")
    with pytest.raises(BadFileError, match="UNSET is not set"):
        read(tmp_path, "folder: $UNSET/a")


BOMB = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{after}: &{after} [{', '.join(['*' + before] * 10)}]\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BOMB, "its aliases stand for more than 200,000 values"),
        ("a: &a [*a]", "an alias contains itself"),
        ("[" * 5000, "nested too deeply"),
        ("#" * 3_000_000, "has 3,000,000 bytes"),
        ("inner: {number: 1, number: 2}", "the key 'number' is given twice, line 1"),
        ("number: 1\ninner:\n  number: 2\n\nnumber: 3", "the key 'number' is given twice, line 5"),
        (b"inner: \xff", "not UTF-8"),
        ("!!python/object/apply:os.system [id]", "is no YAML"),
        ("a: [", "is no YAML"),
        ("- 1", "has no mapping"),
        ("", "has no mapping"),
        ("a: 2026-13-45", "is no YAML"),
    ],
)
def test_no_documents(tmp_path: Path, text: str | bytes, words: str) -> None:
    with pytest.raises(BadFileError) as error:
        read(tmp_path, text)
    assert words in str(error.value)


def test_did_you_mean() -> None:
    assert did_you_mean("modle", ["model", "files"]) == "did you mean 'model'?"
    assert did_you_mean("q", ["model", "files"]) == "known are files, model"


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("gpu", ["auto", "cpu", "cuda"], "cuda"),
        ("CUDA", ["auto", "cpu", "cuda"], "cuda"),
        ("pjepa_mini", ["pjepa-mini"], "pjepa-mini"),
        ("fatjet", ["FatJet", "Jet"], "FatJet"),
        ("AK4", ["FatJet", "Jet"], "Jet"),
        ("gpu", ["embed", "hunt"], None),
    ],
)
def test_words_that_are_meant(word: str, known: list[str], meant: str | None) -> None:
    """Not by letters alone, which would make "cpu" of "gpu"."""
    assert closest(word, known) == meant
    assert did_you_mean(word, known) == (f"did you mean {meant!r}?" if meant else f"known are {', '.join(known)}")
