"""All layouts of the package, registered, and the names that the package shows."""

# Importing a layout registers it.
from jepa_coffea.constituents.layout import Layout, layouts, register
from jepa_coffea.constituents.layouts import delphes, jetclass, nanoaod, pfnano  # noqa: F401
from jepa_coffea.constituents.read import constituents_of, jets_of
from jepa_coffea.constituents.record import FIELDS, JET_FIELDS, LayoutError

__all__ = ["FIELDS", "JET_FIELDS", "Layout", "LayoutError", "constituents_of", "jets_of", "layouts", "register"]
