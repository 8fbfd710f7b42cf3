"""The layouts: one file for each family of formats, with all that the project knows of it.

``jepa_coffea.constituents.layouts`` is this folder and, called, gives the layouts by name.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from types import ModuleType

from jepa_coffea.constituents.layout import Layout, known, register

__all__ = ["known", "register"]

# Importing a file of this folder registers its layout.
for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


class _Layouts(ModuleType):
    """Makes the folder callable, because a package has one attribute of a name: ``layouts()``, ``layouts.pfnano``."""

    def __call__(self) -> dict[str, Layout]:
        return known()


sys.modules[__name__].__class__ = _Layouts
