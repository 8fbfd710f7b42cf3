"""The examples in docstrings run, and print what they say."""

import doctest
import importlib
from pathlib import Path

import pytest
from coffea.nanoevents import NanoEventsFactory

from jepa_coffea.constituents import layout, layouts
from tests.processors.synthetic import write_events

ROOT = Path(__file__).parent.parent
ROOMS = ("clusters", "constituents", "cwola", "embedding", "encoder", "hunt", "plots", "processing", "report")
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for room in ROOMS
    for path in sorted((ROOT / "jepa_coffea" / room).rglob("*.py"))
    if "\n    >>> " in path.read_text()
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "_LAYOUTS", dict(layout._LAYOUTS))  # an example registers one
    path, form = write_events(tmp_path / "events.root", 60), layouts()["pfnano"]
    events = NanoEventsFactory.from_root({str(path): form.tree}, schemaclass=form.schema_class()).events()
    failed, tried = doctest.testmod(importlib.import_module(name), extraglobs={"events": events})
    assert tried
    assert not failed


def test_where_users_start() -> None:
    starts = {"jepa_coffea.embedding.embedder", "jepa_coffea.constituents.read", "jepa_coffea.encoder.onnx"}
    assert starts <= set(MODULES)
