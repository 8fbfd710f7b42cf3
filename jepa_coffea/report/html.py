"""Write the report with jinja2: tables, gates and pictures inside the one file, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
import platform
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import jinja2
from matplotlib.figure import Figure as Picture

from jepa_coffea.plots.style import as_png
from jepa_coffea.report.conclusion import Gate

PACKAGES = (
    "jepa-coffea",
    "coffea",
    "hist",
    "iminuit",
    "matplotlib",
    "mplhep",
    "numpy",
    "pyhf",
    "scikit-learn",
    "scipy",
)


@dataclass(frozen=True)
class Table:
    """Rows of numbers and text; numbers are shown with four significant digits unless they are whole."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    caption: str = ""


@dataclass(frozen=True)
class Figure:
    """A picture, as a matplotlib figure or as a PNG file, and what to see in it."""

    title: str
    picture: Picture | Path
    caption: str = ""


@dataclass(frozen=True)
class Section:
    title: str
    text: str = ""
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = ()


@dataclass(frozen=True)
class Report:
    """Everything the page shows, in this order."""

    title: str
    summary: str
    """The paragraph of :func:`conclude`."""
    gates: Sequence[Gate]
    sections: Sequence[Section]
    configuration: str
    """The exact text of the configuration that made the result."""
    versions: Mapping[str, str] = field(default_factory=lambda: versions())
    created: str = ""
    """When, for instance in ISO 8601."""


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that the numbers depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def write_report(path: str | Path, report: Report) -> Path:
    """Write the report as one self-contained HTML file."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("jepa_coffea.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(cell=_cell, embedded=_embedded, numeric=_numeric, wide=_wide)
    page = environment.get_template("page.html.j2").render(report=report)
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page, encoding="utf-8")
    return target


def _numeric(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.0f}" if value == round(value) and abs(value) < 1e6 else f"{value:.4g}"
    return str(value)


def _wide(picture: Picture | Path) -> bool:
    """Whether a picture needs the whole width of the page."""
    if isinstance(picture, Path):
        # The size stands in the header of every PNG file.
        width, height = struct.unpack(">II", picture.read_bytes()[16:24])
    else:
        width, height = picture.get_size_inches()
    return bool(width > 1.6 * height)


def _embedded(picture: Picture | Path) -> str:
    content = picture.read_bytes() if isinstance(picture, Path) else as_png(picture)
    return "data:image/png;base64," + base64.b64encode(content).decode()
