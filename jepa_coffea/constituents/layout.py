"""What a layout is, and the registry of those that are known."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import awkward as ak

from jepa_coffea.constituents.columns import Columns, flat
from jepa_coffea.constituents.kinematics import cartesian
from jepa_coffea.constituents.nesting import nest_like
from jepa_coffea.constituents.record import FIELDS, LayoutError

ReadParticles = Callable[[Columns, str, Collection[str]], ak.Array]
ReadJets = Callable[[Columns, str], ak.Array]


def jets_from_pt_eta_phi_mass(columns: Columns, collection: str) -> ak.Array:
    """Jets as ``px py pz energy`` from the four fields that NanoAOD-like collections have."""
    pt, eta, phi, mass = (columns.get(collection, name) for name in ("pt", "eta", "phi", "mass"))
    return nest_like(cartesian(flat(pt), flat(eta), flat(phi), flat(mass)), pt)


@dataclass(frozen=True)
class Layout:
    """How one kind of file holds the constituents of its jets."""

    name: str
    fields: tuple[str, ...]
    """What it can give of a particle; see ``record.FIELDS``."""
    recognise: Callable[[Columns], bool]
    """Whether events look like this layout, from their field names alone."""
    particles: ReadParticles
    """``(columns, collection, fields)`` to ``events * jets * particles`` with (at least) these fields, in any order."""
    jets: ReadJets = jets_from_pt_eta_phi_mass
    """``(columns, collection)`` to ``events * jets`` with ``px py pz energy``."""
    depth: int = 3
    """Dimensions of what ``particles`` gives: 3, or 2 for files with one jet an entry."""
    description: str = ""


_LAYOUTS: dict[str, Layout] = {}


def register(
    name: str,
    *,
    recognise: Callable[[Columns], bool],
    fields: Collection[str] = FIELDS,
    jets: ReadJets = jets_from_pt_eta_phi_mass,
    depth: int = 3,
) -> Callable[[ReadParticles], ReadParticles]:
    """Make a function a layout: the one step to add a file format.

    >>> @register("mine", recognise=lambda columns: columns.has("MyCands", "jet"), fields=("px", "py", "pz", "energy"))
    ... def mine(columns, collection, fields):
    ...     return columns.events[collection].cands          # events * jets * particles

    A later registration of the same name replaces the earlier one; layouts are tried newest first.
    """

    def decorate(particles: ReadParticles) -> ReadParticles:
        _LAYOUTS.pop(name, None)
        summary = (particles.__doc__ or "").strip().split("\n")[0]
        _LAYOUTS[name] = Layout(name, tuple(fields), recognise, particles, jets, depth, summary)
        return particles

    return decorate


def layouts() -> dict[str, Layout]:
    """The known layouts by name, in the order in which events are held against them."""
    return dict(reversed(_LAYOUTS.items()))


def find_layout(events: ak.Array, layout: str | Layout | None = None) -> Layout:
    """The layout that was named, or else the first that recognises the events.

    Raises
    ------
    LayoutError
        If the name is unknown or no layout recognises the events.
    """
    if isinstance(layout, Layout):
        return layout
    if layout is not None:
        if layout not in _LAYOUTS:
            msg = f"unknown layout {layout!r}; known are {[*layouts()]}"
            raise LayoutError(msg)
        return _LAYOUTS[layout]
    columns = Columns(events)
    for known in layouts().values():
        if known.recognise(columns):
            return known
    raise LayoutError(_unrecognised(columns))


def _unrecognised(columns: Columns) -> str:
    names: list[Any] = sorted(columns.events.fields)
    if columns.has("FatJet", "pt") or columns.has("Jet", "pt"):
        return (
            "these events have jets but no particle-flow candidates, so there are no constituents to read "
            "(NanoAOD before v15 stores none): use PFNano, or NanoAOD v15 and later with FatJetPFCand. "
            f"Known layouts: {[*layouts()]}"
        )
    return f"no layout recognises these events; known are {[*layouts()]}, fields are {names[:30]}"
