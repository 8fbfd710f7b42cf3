"""Filesets in every form that coffea takes, and what is no fileset."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import uproot

from jepa_coffea.errors import BadFileError
from jepa_coffea.processing.filesets import list_files, look, normal_form, plan_chunks, require_distinct
from tests.processors.synthetic import write_events


def trees(fileset: Any) -> list[tuple[str, str, str]]:
    return [(file.dataset, file.name, file.treename) for file in list_files(normal_form(fileset, "Events"))]


@pytest.mark.parametrize(
    ("given", "tree"),
    [
        ({"d": "x.root"}, "Events"),
        ({"d": ["x.root"]}, "Events"),
        ({"d": [Path("x.root")]}, "Events"),
        ({"d": ("x.root",)}, "Events"),
        ({"d": {"x.root": "jes"}}, "jes"),
        ({"d": {"files": "x.root"}}, "Events"),
        ({"d": {"files": ["x.root"], "treename": "jes"}}, "jes"),
        ({"d": {"files": {"x.root": "jes"}, "treename": "other"}}, "jes"),
        ({"d": {"files": {"x.root": None}, "treename": "jes"}}, "jes"),
        ({"d": {"files": {"x.root": {"object_path": "jes", "uuid": "u"}}, "metadata": {"weight": 2}}}, "jes"),
        ({"d": {"files": {"x.root": {"object_path": "jes", "steps": [[0, 5], [5, 9]], "num_entries": 9}}}}, "jes"),
    ],
)
def test_forms(given: Any, tree: str) -> None:
    assert trees(given) == [("d", "x.root", tree)]


def test_a_file_of_json(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"d": {"files": {"x.root": "jes"}}}))
    assert trees(tmp_path / "a.json") == [("d", "x.root", "jes")]


def test_models_of_coffea() -> None:
    from coffea.dataset_tools.filespec import DatasetSpec

    spec = DatasetSpec(files={"x.root": "jes"}, metadata={"weight": 2})
    assert trees({"d": spec}) == [("d", "x.root", "jes")]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "no files"),
        ({"d": []}, "no files"),
        ({"d": {"filles": ["x.root"]}}, "no such key 'filles'; did you mean 'files'"),
        ({"d": {"files": ["x.root"], "tree": "jes"}}, "no such key 'tree'; did you mean 'treename'"),
        ({"d": {"treename": "x"}}, "it has no 'files'"),
        ({"d": {"files": {"x.root": {"objekt_path": "a"}}}}, "did you mean 'object_path'"),
        ({"d": {"files": {"x.root": {"steps": [[5, 9]], "num_entries": 9}}}}, "its steps leave out events"),
        ({"d": {"files": {"x.root": {"steps": [[0, 5]], "num_entries": "x"}}}}, "a number as num_entries"),
        ({"d": {"files": {"x.root": 7}}}, "expected the name of a tree, got 7"),
        ({"d": 7}, "expected a name of a file, or several, got 7"),
        ({"d": {"files": ["x.root"], "metadata": 7}}, "expected a mapping as metadata"),
        ({"d": {"files": ["x.root"], "metadata": {"weight": "heavy"}}}, "its weight is 'heavy'; expected a finite"),
        ({"d": {"files": ["x.root"], "metadata": {"weight": float("nan")}}}, "its weight is nan; expected a finite"),
        ({"d": {"files": ["x.root"], "metadata": {"weight": None}}}, "its weight is None; expected a finite"),
        ({"d": ["x.root", "x.root"]}, "x.root is given twice"),
        (7, "expected a mapping of datasets to files"),
        ("none.json", "no fileset in JSON"),
    ],
)
def test_no_filesets(given: Any, words: str) -> None:
    with pytest.raises(BadFileError, match=words):
        normal_form(given, "Events")


def test_a_name_that_coffea_needs(tmp_path: Path) -> None:
    path = str(write_events(tmp_path / "a.root", 5))
    given = normal_form({"d": {"files": [path], "metadata": {"uuid": "x"}}}, "Events")
    with pytest.raises(BadFileError, match="'uuid' is a name that coffea needs"):
        plan_chunks(given, [look(file) for file in list_files(given)], 10)


def test_the_tree_of_a_variation(tmp_path: Path) -> None:
    with uproot.recreate(tmp_path / "a.root") as file:
        for tree, events in (("Events", 3), ("jes", 2)):
            file[tree] = {"x": list(range(events))}
    given = normal_form({"d": {"files": [str(tmp_path / "a.root")], "treename": "jes"}}, "Events")
    files = [look(file) for file in list_files(given)]
    (chunk,) = plan_chunks(given, files, 10)
    assert (chunk.treename, len(chunk)) == ("jes", 2)
    other = normal_form({"e": [str(tmp_path / "a.root")]}, "Events")
    require_distinct([*files, *(look(file) for file in list_files(other))])


def test_different_files_of_one_uuid(tmp_path: Path) -> None:
    paths = [str(write_events(tmp_path / f"{n}.root", 5)) for n in range(2)]
    shutil.copy(paths[0], paths[1])
    files = [look(file) for file in list_files(normal_form({"d": paths}, "Events"))]
    with pytest.raises(BadFileError, match="share a UUID"):
        require_distinct(files)


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ({"num_entries": 5}, ""),
        ({"steps": [[0, 5]]}, ""),
        ({"num_entries": 6}, "it has 5 events, the fileset says 6"),
        ({"steps": [[0, 3]]}, "it has 5 events, the fileset says 3"),
        ({"uuid": "0" * 32}, "its UUID is not 0000"),
    ],
)
def test_files_are_what_the_fileset_says_of_them(tmp_path: Path, stated: dict[str, Any], words: str) -> None:
    path = str(write_events(tmp_path / "a.root", 5))
    with uproot.open(path) as source:
        uuid = str(source.file.uuid)
    given = {"d": {"files": {path: {"object_path": "Events", "uuid": uuid} | stated}}}
    (file,) = (look(one) for one in list_files(normal_form(given, "Events")))
    assert words in file.problem
    assert bool(words) == bool(file.problem)
