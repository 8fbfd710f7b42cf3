"""What all pictures share: the style, the header line, and how they are written."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib as mpl
import mplhep
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jepa_coffea.files import write_bytes

P = ParamSpec("P")

COLOURS = ("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd")
"""Ten colours that stay apart for colour-blind readers (Petroff, arXiv:2107.02270)."""

DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (1.2, 1.2)), (0, (8, 2, 1, 2, 1, 2)))
"""Line styles that go with the colours, so that curves are told apart in grey."""

MARKERS = ("o", "s", "^", "D", "v")
"""Symbols that go with the colours."""

STYLE: Any = {
    **{key: value for key, value in mplhep.style.CMS.items() if key != "axes.prop_cycle"},
    "axes.prop_cycle": cycler(color=COLOURS),
    "font.size": 20,
    "legend.fontsize": 16,
    "axes.linewidth": 1.4,
    "lines.linewidth": 2.0,
    "figure.dpi": 80,
    "savefig.dpi": 80,
}


@dataclass(frozen=True)
class Header:
    """The line above a picture: whose data on the left, how much of it at which energy on the right."""

    left: str = ""
    """For instance "Simulation"."""
    right: str = ""
    """For instance "137 fb$^{-1}$ (13 TeV)"."""


def curve_style(index: int) -> dict[str, Any]:
    """Colour and dashes of the curve of a number.

    Parameters
    ----------
    index
        From 0.

    Returns
    -------
    dict
        Arguments of matplotlib's ``plot`` and ``stairs``.
    """
    return {"color": COLOURS[index % len(COLOURS)], "ls": DASHES[index % len(DASHES)]}


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw in the common style and leave matplotlib's global settings alone.

    Parameters
    ----------
    draw
        Makes a figure.

    Returns
    -------
    callable
        Makes the same figure in the style.
    """

    @wraps(draw)
    def _inside(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with mpl.rc_context(STYLE):
            return draw(*args, **kwargs)

    return _inside


def write_header(ax: Axes, header: Header) -> None:
    """Write the line above a picture.

    Parameters
    ----------
    ax
        The axes it stands above.
    header
        What it says.
    """
    ax.text(0, 1.015, header.left, transform=ax.transAxes, ha="left", va="bottom", style="italic", fontsize=19)
    ax.text(1, 1.015, header.right, transform=ax.transAxes, ha="right", va="bottom", fontsize=17)


def as_png(figure: Figure) -> bytes:
    """The picture as the bytes of a PNG file.

    Parameters
    ----------
    figure
        The picture.

    Returns
    -------
    bytes
    """
    return _as_bytes(figure, "png")


def save(figure: Figure, path: str | Path, *, pdf: bool = False) -> Path:
    """Write a picture.

    Parameters
    ----------
    figure
        The picture.
    path
        Its ending names the format: png, pdf, svg. The folder is made.
    pdf
        Write a PDF beside it, too, for papers and slides.

    Returns
    -------
    Path
        Where the picture is.
    """
    target = Path(path)
    write_bytes(target, _as_bytes(figure, target.suffix.removeprefix(".")))
    if pdf:
        write_bytes(target.with_suffix(".pdf"), _as_bytes(figure, "pdf"))
    return target


def _as_bytes(figure: Figure, form: str) -> bytes:
    buffer = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(buffer, format=form, bbox_inches="tight", pad_inches=0.12)
    return buffer.getvalue()
