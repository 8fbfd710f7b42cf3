"""The layouts: one file a format, with all that the project knows of it.

``jepa_coffea.constituents.layouts`` is this folder and, called, gives the layouts by name.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from functools import cache
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

import awkward as ak

from jepa_coffea.constituents.columns import Columns
from jepa_coffea.constituents.layout import Layout, register, registered
from jepa_coffea.constituents.record import LayoutError
from jepa_coffea.documents import did_you_mean

__all__ = ["find_layout", "known", "register"]

ENTRY_POINTS = "jepa_coffea.layouts"
"""Group of entry points under which other packages name the modules that register theirs."""

# Importing a file of this folder registers its layout.
for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


def known() -> dict[str, Layout]:
    """The known layouts: those of this folder, of installed packages, and what was registered since.

    Returns
    -------
    dict of Layout
        By name, in the order in which events are held against them.

    Raises
    ------
    LayoutError
        If the layout of an installed package cannot be imported.
    """
    _import_others()
    return registered()


@cache
def _import_others() -> None:
    for entry in entry_points(group=ENTRY_POINTS):
        try:
            entry.load()
        except Exception as error:
            msg = f"the layout {entry.name!r} of an installed package, {entry.value}, cannot be imported ({error})"
            raise LayoutError(msg) from error


def find_layout(events: ak.Array, layout: str | Layout | None = None) -> Layout:
    """The layout of some events.

    Parameters
    ----------
    events
        NanoEvents, or awkward records with the file's collections or branches as fields.
    layout
        A layout, or the name of one; default: the first that recognises the events.

    Returns
    -------
    Layout

    Raises
    ------
    LayoutError
        If the name is unknown or no layout recognises the events.
    """
    if isinstance(layout, Layout):
        return layout
    if layout is not None:
        return layout_named(layout)
    columns = Columns(events)
    for form in known().values():
        if form.recognise(columns):
            return form
    raise LayoutError(_unrecognised(columns))


def layout_named(name: str) -> Layout:
    """The layout of that name.

    Parameters
    ----------
    name
        Of a known layout.

    Returns
    -------
    Layout

    Raises
    ------
    LayoutError
        If there is none.
    """
    found = known()
    if name not in found:
        msg = f"unknown layout {name!r}; {did_you_mean(name, found)}"
        raise LayoutError(msg)
    return found[name]


def _unrecognised(columns: Columns) -> str:
    names: list[Any] = sorted(columns.events.fields)
    if columns.has("FatJet", "pt") or columns.has("Jet", "pt"):
        return (
            "these events have jets but no particle-flow candidates, so there are no constituents to read "
            "(NanoAOD before v15 stores none): use PFNano, or NanoAOD v15 and later with FatJetPFCand. "
            f"Known layouts: {[*known()]}"
        )
    return f"no layout recognises these events; known are {[*known()]}, fields are {names[:30]}"


class _Layouts(ModuleType):
    """Makes the folder callable, because a package has one attribute of a name: ``layouts()``, ``layouts.pfnano``."""

    def __call__(self) -> dict[str, Layout]:
        return known()


sys.modules[__name__].__class__ = _Layouts
