"""The house: which room may import which, no circles, one name for one thing, and the rooms as they are planned."""

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
HOUSE = {"jepa_coffea", "training", "processors", "examples", "benchmarks", "tests"}
PACKAGE = ROOT / "jepa_coffea"

# Folder or file -> names (or prefixes of dotted names) that it must never import.
SHUT = {
    "jepa_coffea": {"torch", "training", "processors", "examples", "benchmarks"},
    "jepa_coffea/files": {"coffea", "dask", "onnxruntime", "jepa_coffea.documents"},
    "jepa_coffea/constituents": {"coffea", "dask", "onnxruntime"},
    "jepa_coffea/encoder": {"coffea", "dask"},
    "jepa_coffea/hunt": {"coffea", "jepa_coffea.processing", "jepa_coffea.embedding"},
    "jepa_coffea/plots": {"coffea", "dask", "jepa_coffea.processing", "jepa_coffea.embedding"},
    "jepa_coffea/report": {"coffea", "dask", "jepa_coffea.processing", "jepa_coffea.embedding"},
    "jepa_coffea/clusters": {"coffea", "jepa_coffea.processing", "jepa_coffea.embedding", "jepa_coffea.hunt"},
    "jepa_coffea/cwola": {
        "coffea",
        "jepa_coffea.encoder",
        "jepa_coffea.constituents",
        "jepa_coffea.embedding",
    },
    "jepa_coffea/bumphunt": {
        "coffea",
        "fastjet",
        "jepa_coffea.encoder",
        "jepa_coffea.constituents",
        "jepa_coffea.embedding",
        "jepa_coffea.cwola",
        "jepa_coffea.hunt",
        "jepa_coffea.plots",
        "jepa_coffea.report",
    },
    "processors": {"torch", "training", "examples", "benchmarks"},
    "training": {"coffea", "processors", "examples", "benchmarks"},
}

# All that training may take from the plugin.
TRAINING_MAY = (
    "jepa_coffea.commands.command_line",  # help and log of every command line, the scripts' too
    "jepa_coffea.constituents",
    "jepa_coffea.encoder.card",
    "jepa_coffea.errors",
    "jepa_coffea.files",
    "jepa_coffea.progress",
)

ROOMS = {
    "bumphunt",
    "clusters",
    "commands",
    "constituents",
    "cwola",
    "embedding",
    "encoder",
    "files",
    "hunt",
    "models",
    "plots",
    "processing",
    "report",
}

LOOSE = {"__init__.py", "cli.py", "documents.py", "errors.py", "progress.py", "tasks.py"}

# A sub-command has the name of its room; ``__init__`` is in every room; a module of commands shows what another does.
COMMAND_NAMES = {"embed", "hunt", "inspect", "models", "report", "validate", "doctor", "wrap"}


def imported(path: Path) -> set[str]:
    """Every dotted name a file imports, at whatever depth; ``from a import b`` counts as ``a`` and ``a.b``."""
    return names_in(ast.walk(ast.parse(path.read_text())), path)


def names_in(nodes: Iterator[ast.AST], path: Path) -> set[str]:
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; the house names its rooms in full"
            names |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def below(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def at_run_time(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes of a module but those for type checkers alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from at_run_time(child)


@cache
def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def circle(needs: dict[str, set[str]]) -> list[str]:
    """A chain of modules that ends where it begins, or nothing."""
    done: set[str] = set()

    def follow(name: str, chain: list[str]) -> list[str]:
        if name in chain:
            return [*chain[chain.index(name) :], name]
        if name in done:
            return []
        for other in sorted(needs[name]):
            found = follow(other, [*chain, name])
            if found:
                return found
        done.add(name)
        return []

    return next((found for name in sorted(needs) if (found := follow(name, []))), [])


def test_finds_an_import(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("def f():\n    from torch import nn\n    import coffea.processor as p\n")
    assert imported(file) == {"torch", "torch.nn", "coffea.processor"}
    file.write_text("if TYPE_CHECKING:\n    import torch\nimport numpy\n")
    assert names_in(at_run_time(ast.parse(file.read_text())), file) == {"numpy"}


@pytest.mark.parametrize("room", SHUT)
def test_shut_doors(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    for file in files:
        for name in imported(file):
            for forbidden in SHUT[room]:
                assert not below(name, forbidden), f"{file.relative_to(ROOT)} imports {name}"


def test_training_takes_only_layouts_and_the_card() -> None:
    for file in sorted((ROOT / "training").rglob("*.py")):
        for name in imported(file):
            if below(name, "jepa_coffea") and name not in ("jepa_coffea", "jepa_coffea.encoder"):
                assert any(below(name, door) for door in TRAINING_MAY), f"{file.relative_to(ROOT)} imports {name}"


def test_finds_a_circle() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == ["a", "b", "c", "a"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


# Bindings of a GPU are a kind of the engine's own, and are imported where there is a GPU.
WHEN_NEEDED = {("jepa_coffea.encoder.engine", "jepa_coffea.encoder.bindings")}


def test_no_circles() -> None:
    """Of modules, at whatever depth: of ``from a import b`` the module ``a.b`` where there is one, else ``a``."""
    known = modules()
    needs: dict[str, set[str]] = {}
    for name, path in known.items():
        found = set()
        for node in at_run_time(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                dotted = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= {one if one in known else str(node.module) for one in dotted}
        needs[name] = {one for one in found if one in known and one != name and (name, one) not in WHEN_NEEDED}
    assert circle(needs) == []


def test_rooms_do_not_need_each_other() -> None:
    """At whatever depth of a module: of two rooms only one may import the other, and no chain of rooms is closed."""
    needs: dict[str, set[str]] = {room: set() for room in ROOMS}
    for room in ROOMS:
        for path in (PACKAGE / room).rglob("*.py"):
            parts = (name.split(".") for name in imported(path) if below(name, "jepa_coffea"))
            needs[room] |= {part[1] for part in parts if len(part) > 1 and part[1] in ROOMS - {room}}
    assert circle(needs) == []


def test_one_name_one_file() -> None:
    places = defaultdict(list)
    for path in PACKAGE.rglob("*.py"):
        if path.name == "__init__.py" or (path.parent.name == "commands" and path.stem in COMMAND_NAMES):
            continue
        places[path.name].append(str(path.relative_to(PACKAGE)))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_one_name_one_class() -> None:
    places = defaultdict(list)
    for path in (path for room in HOUSE - {"tests"} for path in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(path.relative_to(ROOT)))
    repeated = {name: where for name, where in places.items() if len(where) > 1}
    # Jets of simulated events, and the chunk of jets that an engine runs: two rooms that never meet.
    assert repeated.keys() <= {"Jets"}


def test_rooms_as_planned() -> None:
    loose = {path.name for path in PACKAGE.glob("*.py")}
    assert loose <= LOOSE
    assert len(loose) <= 6
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.rglob("*.*"))} - {"__pycache__"}
    assert rooms == ROOMS


def test_scripts_find_their_checkout_in_one_way() -> None:
    """The only line about ``sys.path``, in every script that takes more of the checkout than ``jepa_coffea``."""
    for path in (path for room in ("training", "examples", "benchmarks") for path in (ROOT / room).rglob("*.py")):
        text, depth = path.read_text(), len(path.relative_to(ROOT).parts) - 1
        line = (
            f"sys.path.insert(0, str(Path(__file__).resolve().parents[{depth}]))"
            "  # the checkout, of which the wheel has a part\n"
        )
        takes = any(below(name, room) for name in imported(path) for room in HOUSE - {"jepa_coffea"})
        run_by_path = 'if __name__ == "__main__":' in text and path.relative_to(ROOT).parts[0] != "benchmarks"
        expected = int(takes and run_by_path)
        assert (text.count("sys.path"), text.count(line)) == (expected, expected), path


WAY = {
    "embedding/embedder.py",
    "constituents/read.py",
    "constituents/layout.py",
    "constituents/layouts/nanoaod.py",
    "constituents/ragged.py",
    "constituents/record.py",
    "encoder/onnx.py",
    "encoder/engine.py",
    "encoder/batching.py",
}
"""What is read to follow an event of PFNano to its embedding, in the order of the way."""


def test_the_way_of_an_event_reads_in_under_ten_files() -> None:
    """Files of the package of which any function runs between the call and the result, with the model open."""
    from coffea.nanoevents import NanoEventsFactory

    from jepa_coffea import JEPAEmbedder
    from jepa_coffea.constituents import layouts

    def events() -> Any:
        source = {str(ROOT / "tests/data/pfnano.root"): "Events"}
        return NanoEventsFactory.from_root(source, schemaclass=layouts()["pfnano"].schema_class()).events()

    embedder = JEPAEmbedder("pjepa-mini", provider="cpu")
    embedder(events())
    fresh = events()
    passed: set[str] = set()

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(str(PACKAGE)):
            passed.add(str(Path(frame.f_code.co_filename).relative_to(PACKAGE)))

    sys.setprofile(note)
    try:
        jets = embedder(fresh)
    finally:
        sys.setprofile(None)
    assert len(jets.jepa_embedding[0, 0]) == embedder.interface.embedding_dim
    assert passed == WAY
    assert len(passed) < 10


ACROSS = {
    "benchmarks": {"results_index"},
    "bumphunt": {"against_pybumphunter", "cms_dijets"},
    "clusters": {"faults", "recipes", "slurm"},
    "constituents/layouts": {"miniatures"},
    "encoder": {"foreign", "import", "memory"},
    "examples": {"simulate_arguments"},
    "hunt": {"mass_scan"},
    "plots": {"pictures"},
    "processing": {"remote"},
    "training": {"batch_scripts"},
    "training/data": {"bad_input", "pinned", "vectors"},
    "training/exporting": {"subjets_file"},
    "training/models": {"weaver"},
    "training/objectives": {"losses", "no_waiting"},
}
"""Tests by room that look at no single file of it, but at several, or at it as a whole."""

WHOLE = {"", "dask_awkward", "docs", "faults", "gpu", "gpu_wheel", "install"}
"""Folders of tests that look at the whole house, or at another environment."""


def test_tests_mirror_the_tree() -> None:
    """``a/b.py`` or the folder ``a/b`` is tested by ``tests/a/test_b.py``, without ``jepa_coffea/`` in front."""
    stray = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        folder, name = str(path.parent.relative_to(ROOT / "tests")), path.stem.removeprefix("test_")
        folder = "" if folder == "." else folder
        rooms = (PACKAGE / folder, ROOT / folder)
        found = any((room / file).exists() for room in rooms for file in (f"{name}.py", f"__{name}__.py", name))
        if not (found or folder in WHOLE or name in ACROSS.get(folder, ())):
            stray.append(str(path.relative_to(ROOT)))
    assert stray == []
    for folder, names in ACROSS.items():
        assert all((ROOT / "tests" / folder / f"test_{name}.py").is_file() for name in names), folder
