"""Pages that are made from the code say something of everything."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import ModuleType

import pytest

from jepa_coffea.clusters.registry import KINDS
from jepa_coffea.encoder.model_files import shipped
from training.objectives import OBJECTIVES

EXTENSIONS = Path(__file__).parents[2] / "docs" / "_extensions"


@pytest.fixture
def extension(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(EXTENSIONS)
    return importlib.import_module(request.param)


def rows(text: str) -> list[list[str]]:
    """The cells of all rows that are of a name."""
    return [re.split(r" (?<!\\)\| ?", line.removeprefix("| "))[:-1] for line in text.split("\n") if line[:3] == "| `"]


@pytest.mark.parametrize("extension", ["yaml_pages"], indirect=True)
def test_every_key_is_explained(extension: ModuleType) -> None:
    for page, text in extension.pages().items():
        assert len(rows(text)) > 20
        assert [cells[0] for cells in rows(text) if not cells[-1]] == [], page
        assert ">>>" not in text
        titles = [line for line in text.split("\n") if line.startswith("## ")]
        assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("extension", ["yaml_pages"], indirect=True)
def test_options_that_another_key_decides_about(extension: ModuleType) -> None:
    pages = extension.pages()
    for kind in set(KINDS) - {"none"}:
        assert all(f"## `cluster.options` of `{kind}`" in pages[page] for page in ("yaml-embed.md", "yaml-hunt.md"))
    for name in OBJECTIVES:
        assert f"## `objective` of `{name}`" in pages["yaml-training.md"]
    assert "## `objective.weights` of `pjepa`" in pages["yaml-training.md"]


@pytest.mark.parametrize("extension", ["model_pages"], indirect=True)
def test_every_shipped_model_has_its_accuracy(extension: ModuleType) -> None:
    table = rows(extension.pages()["fragments/models.md"])
    assert [cells[0].strip("`") for cells in table] == [*shipped()]
    assert all(0.4 < float(cells[1].split()[0]) < 0.8 for cells in table)
