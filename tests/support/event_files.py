"""Files of events for tests: the miniatures of this repository and, where they are, larger real ones."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MINIATURES = ROOT / "tests" / "data"
REAL_NAMES = {"nano_v15.root": "nano_tt_v15.root", "nano_v12.root": "nano_tt_v12.root"}
"""Miniature to the real file of its format, where the names differ."""


def real_folder() -> Path | None:
    """Folder of real files, too large for the repository: beside the checkout, or where JEPA_COFFEA_DATA says."""
    folder = Path(os.environ.get("JEPA_COFFEA_DATA", ROOT.parent / "shared" / "data"))
    return folder if folder.is_dir() else None


def event_files(name: str) -> list:
    """Parameters of a test or fixture: the miniature of that name, and the real file of its format if it is there."""
    found = [pytest.param(MINIATURES / name, id="miniature")]
    folder = real_folder()
    if folder is not None:
        found.append(pytest.param(folder / REAL_NAMES.get(name, name), id="real"))
    return found
