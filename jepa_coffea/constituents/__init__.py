"""Events of any format to canonical constituents: one file per layout, one record for all of them."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jepa_coffea.constituents.public import (
        FIELDS,
        JET_FIELDS,
        Layout,
        LayoutError,
        constituents_of,
        jets_of,
        layouts,
        register,
    )

__all__ = ["FIELDS", "JET_FIELDS", "Layout", "LayoutError", "constituents_of", "jets_of", "layouts", "register"]


def __getattr__(name: str) -> Any:
    # The record alone needs no awkward array: machines that only train or run models import it without.
    if name in __all__:
        from jepa_coffea.constituents import public

        return getattr(public, name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
