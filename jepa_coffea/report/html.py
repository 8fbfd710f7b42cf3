"""Write the report with jinja2: tables, checks and pictures inside the one file, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
import math
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
from matplotlib.figure import Figure

from jepa_coffea.files import NUMERICAL, versions, write_text
from jepa_coffea.plots.style import as_png


@dataclass(frozen=True)
class Check:
    """A condition that a result must meet before it may be quoted."""

    name: str
    passed: bool
    measured: str
    """What was found, with its error: "0.508 ± 0.006"."""
    required: str
    """The values that pass: "within 0.05"."""
    meaning: str
    """One sentence: what is wrong if the check fails."""


@dataclass(frozen=True)
class ReportTable:
    """Rows of numbers and text; numbers are shown with four significant digits unless they are whole."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    caption: str = ""


@dataclass(frozen=True)
class ReportFigure:
    """A picture, as a matplotlib figure or as a PNG file, and what to see in it."""

    title: str
    picture: Figure | Path
    caption: str = ""


@dataclass(frozen=True)
class ReportSection:
    """A part of the page with its heading."""

    title: str
    text: str = ""
    tables: Sequence[ReportTable] = ()
    figures: Sequence[ReportFigure] = ()


@dataclass(frozen=True)
class Report:
    """Everything the page shows, in this order."""

    title: str
    summary: str
    """What was found and whether it may be believed, in one paragraph."""
    checks: Sequence[Check]
    sections: Sequence[ReportSection]
    configuration: str
    """The exact text of the configuration that made the result."""
    versions: Mapping[str, str] = field(default_factory=lambda: versions(*NUMERICAL))
    created: str = ""
    """When, for instance in ISO 8601."""
    headline: Sequence[tuple[str, str]] = ()
    """Names and values of the result, shown first."""
    procedure: str = ""
    """What was done, in one paragraph of plain words."""
    reasons: Sequence[str] = ()
    """Why the result must not be quoted, whether or not a check says so, too."""


def write_report(path: str | Path, report: Report) -> Path:
    """Write the report as one self-contained HTML file.

    Parameters
    ----------
    path
        The file.
    report
        What it shows.

    Returns
    -------
    Path
        The file.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("jepa_coffea.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(anchor=_anchor, cell=_cell, embedded=_embedded, numeric=_numeric, wide=_wide)
    page = environment.get_template("page.html.j2").render(report=report)
    target = Path(path)
    write_text(target, page)
    return target


def with_error(value: float, error: float, digits: int = 2) -> str:
    """A number with its error, as tables show it.

    Parameters
    ----------
    value, error
        The number and its error.
    digits
        After the decimal point.

    Returns
    -------
    str
        A dash where there is no number.
    """
    return "-" if math.isnan(value) else f"{value:.{digits}f} ± {error:.{digits}f}"


def _anchor(title: str) -> str:
    """A title as the target of a link."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def _numeric(rows: Sequence[Sequence[Any]]) -> set[int]:
    """The columns that hold numbers, or nothing in some rows."""

    def number(value: Any) -> bool:
        return isinstance(value, (int, float)) and not isinstance(value, bool)

    columns = enumerate(zip(*rows, strict=True))
    return {i for i, column in columns if any(map(number, column)) and all(v is None or number(v) for v in column)}


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "-"
    if isinstance(value, float):
        if not math.isfinite(value):
            return "-" if math.isnan(value) else str(value)
        return f"{value:.0f}" if value == round(value) and abs(value) < 1e6 else f"{value:.4g}"
    return str(value)


def _wide(picture: Figure | Path) -> bool:
    """Whether a picture needs the whole width of the page."""
    if isinstance(picture, Path):
        # The size stands in the header of every PNG file.
        width, height = struct.unpack(">II", picture.read_bytes()[16:24])
    else:
        width, height = picture.get_size_inches()
    return bool(width > 1.6 * height)


def _embedded(picture: Figure | Path) -> str:
    content = picture.read_bytes() if isinstance(picture, Path) else as_png(picture)
    return "data:image/png;base64," + base64.b64encode(content).decode()
