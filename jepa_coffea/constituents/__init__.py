"""Events of any format to canonical constituents: one file per layout, one record for all of them."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jepa_coffea.constituents.layout import Layout
    from jepa_coffea.constituents.layouts import known as layouts
    from jepa_coffea.constituents.layouts import register
    from jepa_coffea.constituents.ragged import Ragged
    from jepa_coffea.constituents.read import constituents_of, jets_of, ragged_of
    from jepa_coffea.constituents.record import FIELDS, JET_FIELDS, LayoutError

__all__ = [
    "FIELDS",
    "JET_FIELDS",
    "Layout",
    "LayoutError",
    "Ragged",
    "constituents_of",
    "jets_of",
    "layouts",
    "ragged_of",
    "register",
]

_HOMES = {
    "FIELDS": "record",
    "JET_FIELDS": "record",
    "Layout": "layout",
    "LayoutError": "record",
    "Ragged": "ragged",
    "constituents_of": "read",
    "jets_of": "read",
    "ragged_of": "read",
    "register": "layouts",
}


def __getattr__(name: str) -> Any:
    # The record alone needs no awkward array: machines that only train or run models import it without.
    if name == "layouts":
        return importlib.import_module(f"{__name__}.layouts")
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
