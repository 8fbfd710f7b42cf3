"""Pages made from the code each time the site is built, so that they cannot be behind it; all in docs/generated."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import api_pages
import model_pages
import yaml_pages


def setup(app: Any) -> dict[str, bool]:
    """Make them before Sphinx looks for pages."""
    app.connect("config-inited", lambda app, _: make(Path(app.srcdir)))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def make(docs: Path) -> None:
    """Write all generated pages, touching only what changed."""
    folder = docs / "generated"
    pages = {**yaml_pages.pages(), **api_pages.pages(), **model_pages.pages()}
    for name, text in pages.items():
        write(folder / name, text)
    notebooks = sorted((docs.parent / "examples" / "notebooks").glob("*.ipynb"))
    (folder / "notebooks").mkdir(parents=True, exist_ok=True)
    for notebook in notebooks:
        shutil.copy2(notebook, folder / "notebooks" / notebook.name)
    known = {folder / name for name in pages} | {folder / "notebooks" / notebook.name for notebook in notebooks}
    for stale in {path for path in folder.rglob("*") if path.is_file()} - known:
        stale.unlink()


def write(path: Path, text: str) -> None:
    """A page, unless it is there as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_text() != text:
        path.write_text(text)
