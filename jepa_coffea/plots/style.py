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

P = ParamSpec("P")

COLOURS = ("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd")
"""Ten colours that stay apart for colour-blind readers (Petroff, arXiv:2107.02270)."""

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
    right: str = ""


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw in the common style and leave matplotlib's global settings alone."""

    @wraps(draw)
    def inside(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with mpl.rc_context(STYLE):
            return draw(*args, **kwargs)

    return inside


def write_header(ax: Axes, header: Header) -> None:
    ax.text(0, 1.015, header.left, transform=ax.transAxes, ha="left", va="bottom", style="italic", fontsize=19)
    ax.text(1, 1.015, header.right, transform=ax.transAxes, ha="right", va="bottom", fontsize=17)


def as_png(figure: Figure) -> bytes:
    """The picture as the bytes of a PNG file."""
    buffer = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(buffer, format="png", bbox_inches="tight", pad_inches=0.12)
    return buffer.getvalue()


def save(figure: Figure, path: str | Path) -> Path:
    """Write a picture in the format that the ending of ``path`` names (png, pdf, svg); folders are made."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):
        figure.savefig(target, bbox_inches="tight", pad_inches=0.12)
    return target
