"""Docstrings: their examples run and print what they say, and errors that a function raises are named."""

import ast
import doctest
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from coffea.nanoevents import NanoEventsFactory

from jepa_coffea.constituents import layout, layouts
from tests.processors.synthetic import write_events

ROOT = Path(__file__).parent.parent
ROOMS = (
    "bumphunt",
    "clusters",
    "constituents",
    "cwola",
    "embedding",
    "encoder",
    "hunt",
    "plots",
    "processing",
    "report",
)
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for room in ROOMS
    for path in sorted((ROOT / "jepa_coffea" / room).rglob("*.py"))
    if "\n    >>> " in path.read_text()
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout.known()  # all are registered once in a process, and stay
    monkeypatch.setattr(layout, "_LAYOUTS", dict(layout._LAYOUTS))  # an example registers one
    path, form = write_events(tmp_path / "events.root", 60), layouts()["pfnano"]
    events = NanoEventsFactory.from_root({str(path): form.tree}, schemaclass=form.schema_class()).events()
    failed, tried = doctest.testmod(importlib.import_module(name), extraglobs={"events": events})
    assert tried
    assert not failed


@pytest.mark.parametrize(
    ("room", "names"),
    [
        ("jepa_coffea", "JEPAEmbedder run ModelCard read_card"),
        ("jepa_coffea.constituents", "constituents_of"),
        ("jepa_coffea.constituents.layout", "known"),
        ("jepa_coffea.encoder", "OnnxEncoder"),
        ("jepa_coffea.processing", "DijetSelection"),
        ("jepa_coffea.clusters", "local ship_model"),
        ("jepa_coffea.cwola", "Windows CWoLa"),
        ("jepa_coffea.bumphunt", "counting_significance fit_background scan counting_limit function_uncertainty"),
    ],
)
def test_what_users_start_with_has_an_example(room: str, names: str) -> None:
    for name in names.split():
        found = doctest.DocTestFinder(recurse=False).find(getattr(importlib.import_module(room), name), name)
        assert found, name
        assert found[0].examples, name


ERRORS = {
    node.name
    for path in (ROOT / "jepa_coffea").rglob("*.py")
    for node in ast.walk(ast.parse(path.read_text()))
    if isinstance(node, ast.ClassDef) and node.name.endswith("Error")
}


def public(node: ast.AST, inside: ast.ClassDef | None = None) -> Iterator[tuple[ast.FunctionDef, str]]:
    """Public functions and methods with their docstrings; that of a class stands for its ``__init__``."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
            yield from public(child, child)
        elif isinstance(child, ast.FunctionDef):
            made = child.name in ("__init__", "__post_init__")
            if made or child.name == "__call__" or not child.name.startswith("_"):
                yield child, ast.get_docstring(inside if made and inside else child) or ""


def raised(node: ast.AST) -> Iterator[str]:
    """Errors of the project that a function raises itself, not through another."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.Lambda | ast.ClassDef):
            continue
        if isinstance(child, ast.Raise) and isinstance(child.exc, ast.Call) and isinstance(child.exc.func, ast.Name):
            yield from {child.exc.func.id} & ERRORS
        yield from raised(child)


def undocumented(source: str) -> list[str]:
    """``function: error`` for each error that a function raises and does not name under Raises."""
    return [
        f"{function.name}: {error}"
        for function, text in public(ast.parse(source))
        for error in sorted(set(raised(function)))
        if error not in text.partition("Raises\n------")[2]
    ]


def test_errors_that_a_function_raises_are_in_its_docstring() -> None:
    example = "def f():\n    '''F.{}'''\n    if 1:\n        raise FitError('x')\n"
    assert undocumented(example.format("")) == ["f: FitError"]
    assert undocumented(example.format("\n\n    Raises\n    ------\n    FitError\n        Always.\n    ")) == []
    found = {
        str(path.relative_to(ROOT)): lacking
        for path in sorted((ROOT / "jepa_coffea").rglob("*.py"))
        if (lacking := undocumented(path.read_text()))
    }
    assert found == {}
