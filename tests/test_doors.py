"""Which room may import which: the doors that stay shut."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HOUSE = {"jepa_coffea", "training", "processors", "examples", "benchmarks", "tests"}

# Folder or file -> names (or prefixes of dotted names) that it must never import.
SHUT = {
    "jepa_coffea": {"torch", "training", "processors", "examples", "benchmarks"},
    "jepa_coffea/constituents": {"coffea", "dask", "onnxruntime"},
    "jepa_coffea/encoder": {"coffea", "dask"},
    "jepa_coffea/plots": {"coffea", "dask", "jepa_coffea.processing", "jepa_coffea.embedding"},
    "jepa_coffea/report": {"coffea", "dask", "jepa_coffea.processing", "jepa_coffea.embedding"},
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
TRAINING_MAY = ("jepa_coffea.constituents", "jepa_coffea.encoder.card", "jepa_coffea.errors", "jepa_coffea.files")


def imported(path: Path) -> set[str]:
    """Every dotted name a file imports, at whatever depth; ``from a import b`` counts as ``a`` and ``a.b``."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; the house names its rooms in full"
            names |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def below(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def test_finds_an_import(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("def f():\n    from torch import nn\n    import coffea.processor as p\n")
    assert imported(file) == {"torch", "torch.nn", "coffea.processor"}


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
            if below(name, "jepa_coffea") and name != "jepa_coffea.encoder":
                assert any(below(name, door) for door in TRAINING_MAY), f"{file.relative_to(ROOT)} imports {name}"
