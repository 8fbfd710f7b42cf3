"""Events to canonical constituents and jets, whatever the layout."""

from __future__ import annotations

from collections.abc import Collection

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from jepa_coffea.constituents.columns import Columns, counts_of, flat
from jepa_coffea.constituents.layout import Layout, find_layout
from jepa_coffea.constituents.nesting import nest
from jepa_coffea.constituents.ordering import hardest_first, particles_of
from jepa_coffea.constituents.record import FIELDS, KINEMATICS, SUBJET, LayoutError
from jepa_coffea.constituents.selection import ETA, PHI, Directions, SelectedJets, match

FAR = 1.0
"""Distance in (eta, phi) between a jet and the sum of its particles beyond which they cannot belong together."""


def constituents_of(
    events: ak.Array,
    collection: str = "FatJet",
    *,
    jets: ak.Array | None = None,
    layout: str | Layout | None = None,
    fields: Collection[str] | None = None,
) -> ak.Array:
    """Constituents of jets as canonical records, in descending pT.

    Parameters
    ----------
    events
        NanoEvents (eager or virtual), or plain awkward records with the file's collections or branches as fields.
    collection
        Name of the jet collection; without meaning for files of jets.
    jets
        Any selection of the jets of ``collection``: ``events.FatJet[mask]``, ``events.FatJet.mask[mask]``,
        ``ak.firsts(...)``; pT and order may have changed since, eta and phi may not. Default: all jets.
    layout
        Name of a layout, or a ``Layout``; default: the first that recognises the events.
    fields
        Which of ``record.FIELDS`` to read; default: all that the layout can give. ``subjet`` is clustered when asked.

    Returns
    -------
    ak.Array
        ``events * jets * particles`` of float32 records with ``fields`` in the order of ``record.FIELDS``
        (``jets * particles`` for files with one jet an entry), without option types. Jets without particles stay, as
        empty lists. With ``jets`` the outer dimensions are those of the selection, None where a mask left a gap.

    Raises
    ------
    LayoutError
        If no layout fits, a field cannot be given or is missing, or jets and particles do not belong together.
    """
    form = find_layout(events, layout)
    names = _wanted(form, collection, fields)
    columns = Columns(events, form.name)
    selected = None if jets is None else _selected(jets, events, form)
    particles = form.particles(columns, collection, {*names, *KINEMATICS})
    per_event, counts, table = _flatten(particles, form, collection, {*names, *KINEMATICS})
    _check_axes(table, counts, form.jets(columns, collection), form, collection)
    if selected is not None:
        stored = _directions(columns, collection, np.repeat(np.arange(len(per_event)), per_event))
        rows = match(_directions(selected, collection, selected.structure.event), stored, collection)
        index, counts = particles_of(rows, counts)
        table = {name: values[index] for name, values in table.items()}
    jet = np.repeat(np.arange(len(counts)), counts)
    order = hardest_first(jet, np.hypot(table["px"], table["py"]))
    given = {name: table[name][order] for name in names}
    if fields is not None and SUBJET in fields:
        given[SUBJET] = _subjets({name: table[name][order] for name in KINEMATICS}, counts)
    result = nest(given, counts)
    if selected is not None:
        result = selected.structure.restore(result)
    elif form.depth == 3:
        result = ak.unflatten(result, per_event)
    return _as_given(result, events)


def jets_of(
    events: ak.Array,
    collection: str = "FatJet",
    *,
    jets: ak.Array | None = None,
    layout: str | Layout | None = None,
) -> ak.Array:
    """Four-momenta of jets, ``events * jets`` of float32 records ``px py pz energy`` in GeV, as the file has them.

    With ``jets`` those of the selection, with the pT and mass that the selection carries, in its structure.
    Parameters and errors as for :func:`constituents_of`.
    """
    form = find_layout(events, layout)
    if jets is None:
        return _as_given(form.jets(Columns(events, form.name), collection), events)
    selected = _selected(jets, events, form)
    return _as_given(selected.structure.restore(form.jets(selected, collection)), events)


def _wanted(form: Layout, collection: str, fields: Collection[str] | None) -> list[str]:
    asked = form.fields if fields is None else fields
    lacking = [name for name in asked if name not in (*form.fields, SUBJET)]
    if lacking:
        msg = f"layout {form.name!r} cannot give {lacking} for {collection}; it gives {[*form.fields]}"
        raise LayoutError(msg)
    return [name for name in FIELDS if name in asked]


def _selected(jets: ak.Array, events: ak.Array, form: Layout) -> SelectedJets:
    if form.depth == 2:
        msg = f"jets=: layout {form.name!r} has one jet an entry; select entries instead, events[mask]"
        raise LayoutError(msg)
    return SelectedJets(jets, events, form.name)


def _flatten(
    particles: ak.Array, form: Layout, collection: str, names: Collection[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64], dict[str, NDArray[np.float32]]]:
    """Jets per event, particles per jet, and the columns of all particles one after the other."""
    lacking = [name for name in names if name not in particles.fields]
    if lacking:
        msg = f"layout {form.name!r} promised {lacking} for {collection} and gave only {particles.fields}"
        raise LayoutError(msg)
    if particles.ndim != form.depth:
        msg = f"layout {form.name!r}, {collection}: expected {form.depth} dimensions, got {ak.type(particles)}"
        raise LayoutError(msg)
    kept = Columns(particles, form.name)
    like = kept.top("px")
    per_event = counts_of(like)
    counts = per_event if form.depth == 2 else counts_of(ak.flatten(like, axis=1))
    return per_event, counts, {name: flat(kept.top(name)).astype(np.float32) for name in names}


def _subjets(momenta: dict[str, NDArray[np.float32]], counts: NDArray[np.int64]) -> NDArray[np.float32]:
    from jepa_coffea.constituents.subjets import subjet_index

    jet = np.repeat(np.arange(len(counts)), counts)
    bad = np.zeros(len(jet), dtype=bool)
    for values in momenta.values():
        bad |= ~np.isfinite(values)
    # A momentum that is not finite would stop the clustering; the embedding of such a jet is NaN anyway.
    usable = (np.bincount(jet, bad, minlength=len(counts)) == 0)[jet]
    px, py, pz, energy = (np.where(usable, values, np.float32(1)) for values in momenta.values())
    return subjet_index(px, py, pz, energy, counts).astype(np.float32)


def _directions(columns: Columns, collection: str, event: NDArray[np.int64]) -> Directions:
    return Directions(event, flat(columns.get(collection, *ETA)), flat(columns.get(collection, *PHI)))


def _check_axes(
    table: dict[str, NDArray[np.float32]],
    counts: NDArray[np.int64],
    jets: ak.Array,
    form: Layout,
    collection: str,
) -> None:
    """Particles must add up to something that points where their jet points: catches a cut or reordered collection."""
    jet = np.repeat(np.arange(len(counts)), counts)
    total = {
        name: np.bincount(jet, table[name].astype(np.float64), minlength=len(counts)).astype(np.float64)
        for name in ("px", "py", "pz")
    }
    axes = {name: flat(jets[name]).astype(np.float64) for name in ("px", "py", "pz")}
    if len(axes["px"]) != len(counts):
        msg = f"layout {form.name!r}: {len(axes['px'])} jets in {collection}, constituents of {len(counts)}"
        raise LayoutError(msg)
    there = np.hypot(total["px"], total["py"]) > 0
    eta, phi = _angles({name: values[there] for name, values in total.items()})
    axis_eta, axis_phi = _angles({name: values[there] for name, values in axes.items()})
    distance = np.hypot(eta - axis_eta, (phi - axis_phi + np.pi) % (2 * np.pi) - np.pi)
    far = distance > FAR
    if far.any():
        msg = (
            f"layout {form.name!r}: constituents of {int(far.sum())} of {len(counts)} jets in {collection} point "
            f"{distance[far].max():.1f} away from their jet in (eta, phi). Was the collection cut or reordered? "
            f"Leave events.{collection} as it is in the file and pass jets=selection."
        )
        raise LayoutError(msg)


def _angles(momentum: dict[str, NDArray[np.float64]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    pt = np.hypot(momentum["px"], momentum["py"])
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.arcsinh(momentum["pz"] / pt), np.arctan2(momentum["py"], momentum["px"])


def _as_given(result: ak.Array, events: ak.Array) -> ak.Array:
    """Typetracers for typetracers."""
    if ak.backend(events) != "typetracer":
        return result
    return ak.Array(result.layout.to_typetracer(forget_length=True))
