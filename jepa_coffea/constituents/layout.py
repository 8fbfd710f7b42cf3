"""Layouts: all that the project knows of a format of event files, and how the layout of events is found."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from typing import Any

import awkward as ak
from numpy.typing import NDArray

from jepa_coffea.constituents.ragged import EventColumns, Ragged, Table, flat
from jepa_coffea.constituents.record import FIELDS, LayoutError, cartesian
from jepa_coffea.errors import did_you_mean

ReadParticles = Callable[[EventColumns, str, Collection[str]], Ragged]
ReadJets = Callable[[EventColumns, str], Table]
Recognise = Callable[[EventColumns], bool]


def _no_raw_pt(columns: EventColumns, collection: str) -> None:  # noqa: ARG001  the signature of those that know
    return None


JET_SPELLING = {"pt": "pt", "eta": "eta", "phi": "phi", "mass": "mass"}


@dataclass(frozen=True)
class Layout:
    """How one kind of file holds its jets and their constituents; made by :func:`register`."""

    name: str
    fields: tuple[str, ...]
    """What it can give of a particle; see ``record.FIELDS``."""
    recognise: Recognise
    """Whether events look like this layout, from their field names alone."""
    particles: ReadParticles
    """``(columns, collection, fields)`` to all particles of all jets, with (at least) these fields, in any order."""
    jets: ReadJets | None = None
    """``(columns, collection)`` to ``px py pz energy`` of all jets in GeV, [jet]; None: from pT, eta, phi, mass."""
    single: bool = False
    """One jet per entry, instead of a list of jets per event."""
    tree: str = "Events"
    """Name of the tree in ROOT files."""
    schema: str = "coffea.nanoevents:NanoAODSchema"
    """coffea's schema for the files, ``module:name``; it is imported when it is used."""
    jet_spelling: Mapping[str, str] = field(default_factory=lambda: dict(JET_SPELLING))
    """Name of ``pt``, ``eta``, ``phi`` and ``mass`` of a jet in these files."""
    raw_pt: Callable[[EventColumns, str], NDArray[Any] | None] = _no_raw_pt
    """``(columns, collection)`` to the pT of all jets before energy corrections, GeV, which the particles must add up
    to; or None where the file does not say."""
    branches: str = ".*"
    """Regular expression for the branches that hold jets and particles: files have a thousand others."""
    description: str = ""

    def spellings(self, name: str) -> tuple[str, str]:
        """Field names to look for, the file's own first.

        Parameters
        ----------
        name
            ``pt``, ``eta``, ``phi`` or ``mass`` of a jet.

        Returns
        -------
        tuple of str
        """
        return self.jet_spelling[name], name

    def momenta(self, columns: EventColumns, collection: str) -> Table:
        """Four-momenta of all jets.

        Parameters
        ----------
        columns
            The events.
        collection
            Name of the jet collection.

        Returns
        -------
        dict of numpy.ndarray
            ``px py pz energy`` in GeV, [jet].
        """
        if self.jets is not None:
            return self.jets(columns, collection)
        pt, eta, phi, mass = (flat(columns.get(collection, *self.spellings(name))) for name in JET_SPELLING)
        return cartesian(pt, eta, phi, mass)

    def schema_class(self) -> Any:
        """coffea's schema for such files, without a warning for each cross-reference that reduced files lack.

        Returns
        -------
        type

        Raises
        ------
        LayoutError
            If there is no such class.
        """
        module, _, name = self.schema.partition(":")
        try:
            return _quiet(getattr(importlib.import_module(module), name))
        except (ImportError, AttributeError, ValueError) as error:
            msg = f"layout {self.name!r}: its schema {self.schema!r} is no class ({error}); expected 'module:Name'"
            raise LayoutError(msg) from None


@cache
def _quiet(schema: type) -> type:
    if not hasattr(schema, "warn_missing_crossrefs"):
        return schema
    return type(f"Quiet{schema.__name__}", (schema,), {"warn_missing_crossrefs": False, "__doc__": schema.__doc__})


_LAYOUTS: dict[str, Layout] = {}

ENTRY_POINTS = "jepa_coffea.layouts"
"""Group of entry points under which other packages name the modules that register theirs."""


def register(name: str, *, recognise: Recognise, fields: Collection[str] = FIELDS, **more: Any) -> Any:
    """Make a function a layout: the one step to add a file format.

    The function takes ``(columns, collection, fields)`` and gives a :class:`~jepa_coffea.constituents.Ragged` with the
    particles of all jets of the collection, with at least these fields, in GeV, mm and e, in any order. A later
    registration of the same name replaces the earlier one; layouts are tried newest first.

    A layout in an installed package is found without an import, by documents too, when the package names the module
    in the entry points ``jepa_coffea.layouts``.

    Parameters
    ----------
    name
        Of the layout.
    recognise
        Whether events look like it; reads field names only, ``columns.has(collection, field)``.
    fields
        What it can give of a particle.
    **more
        ``jets``, ``single``, ``tree``, ``schema``, ``jet_spelling``, ``raw_pt``, ``branches`` of the :class:`Layout`.

    Returns
    -------
    callable
        A decorator that leaves the function as it is.

    Examples
    --------
    >>> import awkward as ak
    >>> from jepa_coffea.constituents import Ragged, constituents_of, register
    >>> def is_mine(columns):
    ...     return columns.has("Deposits", "x")
    >>> @register("mine", recognise=is_mine, fields=("px", "py", "pz", "energy"), tree="events")
    ... def mine(columns, collection, fields):
    ...     '''Energy deposits along x, nested in their jets.'''
    ...     x = columns.get("Deposits", "x")
    ...     return Ragged.of({"px": x, "py": 0 * x, "pz": 0 * x, "energy": x})
    >>> events = ak.Array([{"Jet": [{"pt": 5.0, "eta": 0.0, "phi": 0.0, "mass": 0.0}], "Deposits": [[{"x": 5.0}]]}])
    >>> constituents_of(events, "Jet").px.to_list()
    [[[5.0]]]
    """

    def _decorate(particles: ReadParticles) -> ReadParticles:
        _LAYOUTS.pop(name, None)
        summary = (particles.__doc__ or "").strip().split("\n")[0]
        _LAYOUTS[name] = Layout(name, tuple(fields), recognise, particles, description=summary, **more)
        return particles

    return _decorate


def known() -> dict[str, Layout]:
    """The known layouts: those of the folder ``layouts``, of installed packages, and what was registered since.

    Returns
    -------
    dict of Layout
        By name, in the order in which events are held against them.

    Raises
    ------
    LayoutError
        If the layout of an installed package cannot be imported.

    Examples
    --------
    >>> from jepa_coffea.constituents import layouts
    >>> layouts()["pfnano"].tree
    'Events'
    """
    _import_all()
    return dict(reversed(_LAYOUTS.items()))


@cache
def _import_all() -> None:
    importlib.import_module("jepa_coffea.constituents.layouts")  # its files register theirs
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
    columns = EventColumns(events)
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


def _unrecognised(columns: EventColumns) -> str:
    names: list[Any] = sorted(columns.events.fields)
    if columns.has("FatJet", "pt") or columns.has("Jet", "pt"):
        return (
            "these events have jets but no particle-flow candidates, so there are no constituents to read "
            "(NanoAOD before v15 stores none): use PFNano, or NanoAOD v15 and later with FatJetPFCand. "
            f"Known layouts: {[*known()]}"
        )
    return f"no layout recognises these events; known are {[*known()]}, fields are {names[:30]}"
