"""Events to canonical constituents and jets, whatever the layout.

What a layout reads is held against what it promised, and against the jets: particles must point to their jet, and add
up to its transverse momentum.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection
from dataclasses import replace

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from jepa_coffea.constituents.layout import Layout, find_layout
from jepa_coffea.constituents.matching import ETA, PHI, Directions, SelectedJets, match
from jepa_coffea.constituents.ragged import (
    EventColumns,
    Index,
    Nesting,
    Ragged,
    Table,
    counts_of,
    flat,
    particles_of,
    record,
)
from jepa_coffea.constituents.record import FIELDS, KINEMATICS, SUBJET, LayoutError

Floats = NDArray[np.float64]

FAR = 1.0
"""Distance in (eta, phi) between a jet and the sum of its particles beyond which they cannot belong together."""

NEAR = 0.05
"""Within this distance no other jet can be meant: no two jets of a collection are as close."""

CLOSURE = 0.05
"""Relative difference of pT between a jet and its particles that only other weights explain; good files reach .005."""

MANY = 0.05
"""Fraction of jets beyond CLOSURE from which on a chunk is warned of; a few jets lack candidates in good files."""


class ClosureWarning(UserWarning):
    """Jets whose particles do not add up to their pT."""


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
        (``jets * particles`` for files with one jet per entry), without option types. Jets without particles stay, as
        empty lists. With ``jets`` the outer dimensions are those of the selection, None where a mask left a gap.

    Raises
    ------
    LayoutError
        If no layout fits, a field cannot be given or is missing, or jets and particles do not belong together.

    Examples
    --------
    One event with a jet of two particles, as NanoAOD v15 holds it:

    >>> import awkward as ak
    >>> from jepa_coffea.constituents import constituents_of
    >>> events = ak.Array([{
    ...     "FatJet": [{"pt": 300.0, "eta": 0.0, "phi": 0.0, "mass": 10.0}],
    ...     "FatJetPFCand": [{"jetIdx": 0, "pfCandIdx": 0}, {"jetIdx": 0, "pfCandIdx": 1}],
    ...     "PFCand": [
    ...         {"pt": 100.0, "eta": 0.0, "phi": 0.0, "mass": 0.0, "pdgId": 22},
    ...         {"pt": 200.0, "eta": 0.0, "phi": 0.0, "mass": 0.0, "pdgId": 211},
    ...     ],
    ... }])
    >>> found = constituents_of(events, "FatJet")
    >>> found.px.to_list(), found.charge.to_list()
    ([[[200.0, 100.0]]], [[[1.0, 0.0]]])
    """
    table = ragged_of(events, collection, jets=jets, layout=layout, fields=fields)
    return as_given(table.nest(list(table.particles)), events)


def jets_of(
    events: ak.Array,
    collection: str = "FatJet",
    *,
    jets: ak.Array | None = None,
    layout: str | Layout | None = None,
) -> ak.Array:
    """Four-momenta of jets.

    Parameters
    ----------
    events, collection, jets, layout
        As for :func:`constituents_of`.

    Returns
    -------
    ak.Array
        ``events * jets`` of float32 records ``px py pz energy`` in GeV, as the file has them. With ``jets`` those of
        the selection, with the pT and mass that the selection carries, in its structure.

    Raises
    ------
    LayoutError
        If no layout fits, or the events have no such jets.
    """
    form = find_layout(events, layout)
    columns = EventColumns(events, form.name) if jets is None else _selected(jets, events, form)
    found = form.momenta(columns, collection)
    if isinstance(columns, SelectedJets):
        nesting = columns.nesting
    elif form.single:
        nesting = Nesting.one_each(len(found["px"]))
    else:
        nesting = Nesting(counts_of(columns.get(collection, *form.spellings("eta"))))
    return as_given(nesting.nest(record(found)), events)


def ragged_of(
    events: ak.Array,
    collection: str = "FatJet",
    *,
    jets: ak.Array | None = None,
    layout: str | Layout | None = None,
    fields: Collection[str] | None = None,
) -> Ragged:
    """Jets and their constituents as flat columns: what :func:`constituents_of` and :func:`jets_of` nest.

    Parameters
    ----------
    events, collection, jets, layout, fields
        As for :func:`constituents_of`. Typetracers give no jets, and are told what was touched.

    Returns
    -------
    Ragged
        Particles in descending pT with ``fields`` in the order of ``record.FIELDS``, and four-momenta of the jets;
        all float32. The four-momenta are those of the file, with which the particles belong, also where ``jets``
        carries corrected or varied ones.

    Raises
    ------
    LayoutError
        As :func:`constituents_of`.
    """
    form = find_layout(events, layout)
    names = _wanted(form, collection, fields)
    columns = EventColumns(events, form.name)
    selected = None if jets is None else _selected(jets, events, form)
    table = _particles(columns, form, collection, {*names, *KINEMATICS})
    momenta = _float32(form.momenta(columns, collection))
    check_directions(table, momenta, f"layout {form.name!r}", collection)
    raw_pt = form.raw_pt(columns, collection)
    if raw_pt is not None:
        check_closure(table, raw_pt, f"layout {form.name!r}", collection)
    if selected is not None:
        stored = _directions(columns, collection, table.nesting.event)
        rows = match(_directions(selected, collection, selected.nesting.event), stored, collection)
        table = table.take(rows, selected.nesting)
        momenta = {name: values[rows] for name, values in momenta.items()}
    table = table.hardest_first()
    given = {name: table.particles[name] for name in names}
    if fields is not None and SUBJET in fields:
        given[SUBJET] = _subjets(table)
    return replace(table, particles=given, jets={name: momenta[name] for name in KINEMATICS})


def as_given(result: ak.Array, events: ak.Array) -> ak.Array:
    """The result as a typetracer when the events are one.

    Parameters
    ----------
    result
        Any array; of no events when ``events`` is a typetracer.
    events
        The events that it was made from.

    Returns
    -------
    ak.Array
    """
    if ak.backend(events) != "typetracer":
        return result
    return ak.Array(result.layout.to_typetracer(forget_length=True))


def _wanted(form: Layout, collection: str, fields: Collection[str] | None) -> list[str]:
    asked = form.fields if fields is None else fields
    lacking = [name for name in asked if name not in (*form.fields, SUBJET)]
    if lacking:
        msg = f"layout {form.name!r} cannot give {lacking} for {collection}; it gives {[*form.fields]}"
        raise LayoutError(msg)
    return [name for name in FIELDS if name in asked]


def _selected(jets: ak.Array, events: ak.Array, form: Layout) -> SelectedJets:
    if form.single:
        msg = f"jets=: layout {form.name!r} has one jet per entry; select entries instead, events[mask]"
        raise LayoutError(msg)
    return SelectedJets(jets, events, form.name)


def _particles(columns: EventColumns, form: Layout, collection: str, names: Collection[str]) -> Ragged:
    """What the layout gives, held against what it promised."""
    table = form.particles(columns, collection, names)
    what = f"layout {form.name!r}, {collection}"
    if not isinstance(table, Ragged):
        msg = f"{what}: expected a Ragged from its function, got {type(table).__name__}; nested columns: Ragged.of(...)"
        raise LayoutError(msg)
    lacking = [name for name in names if name not in table.particles]
    if lacking:
        msg = f"layout {form.name!r} promised {lacking} for {collection} and gave only {[*table.particles]}"
        raise LayoutError(msg)
    if table.nesting.single != form.single:
        expected, got = ("one jet per entry", "lists of jets")[:: 1 if form.single else -1]
        msg = f"{what}: expected {expected}, got {got}"
        raise LayoutError(msg)
    lengths = {name: len(table.particles[name]) for name in names}
    if set(lengths.values()) != {int(table.counts.sum())} or len(table.counts) != int(table.nesting.per_event.sum()):
        msg = (
            f"{what}: its counts are of {int(table.counts.sum())} particles and {len(table.counts)} jets, its columns "
            f"hold {lengths} particles, its events {int(table.nesting.per_event.sum())} jets"
        )
        raise LayoutError(msg)
    return replace(table, particles=_float32({name: table.particles[name] for name in names}))


def _float32(table: Table) -> Table:
    return {name: np.asarray(values, dtype=np.float32) for name, values in table.items()}


def _subjets(table: Ragged) -> NDArray[np.float32]:
    from jepa_coffea.constituents.subjets import subjet_index

    bad = ~np.all([np.isfinite(table.particles[name]) for name in KINEMATICS], axis=0)
    # A momentum that is not finite would stop the clustering; the embedding of such a jet is NaN anyway.
    usable = (np.bincount(table.jet, bad, minlength=len(table.counts)) == 0)[table.jet]
    px, py, pz, energy = (np.where(usable, table.particles[name], np.float32(1)) for name in KINEMATICS)
    return subjet_index(px, py, pz, energy, table.counts).astype(np.float32)


def _directions(columns: EventColumns, collection: str, event: Index) -> Directions:
    return Directions(event, flat(columns.get(collection, *ETA)), flat(columns.get(collection, *PHI)))


def check_directions(table: Ragged, jets: Table, where: str, collection: str) -> None:
    """Raise unless the particles of each jet point to it, and to no other jet of the event.

    Parameters
    ----------
    table
        All jets of the collection with their particles.
    jets
        ``px py pz`` of the jets, GeV.
    where
        The layout, for errors.
    collection
        Its name, for errors.

    Raises
    ------
    LayoutError
        If the collection was cut or reordered.
    """
    if len(jets["px"]) != len(table.counts):
        msg = f"{where}: {len(jets['px'])} jets in {collection}, constituents of {len(table.counts)}"
        raise LayoutError(msg)
    total = _sums(table)
    there = np.flatnonzero(np.hypot(total["px"], total["py"]) > 0)
    eta, phi = _angles({name: values[there] for name, values in total.items()})
    axis_eta, axis_phi = _angles({name: jets[name].astype(np.float64) for name in ("px", "py", "pz")})
    distance = _distance(eta - axis_eta[there], phi - axis_phi[there])
    wrong = distance > FAR
    doubtful = np.flatnonzero((distance > NEAR) & ~wrong)
    if len(doubtful):
        # All jets of the events of these.
        event = table.nesting.event[there[doubtful]]
        others, sizes = particles_of(event, table.nesting.per_event)
        of = np.repeat(doubtful, sizes)
        apart = _distance(eta[of] - axis_eta[others], phi[of] - axis_phi[others])
        first = np.cumsum(sizes) - sizes
        wrong[doubtful] = np.minimum.reduceat(apart, first) < distance[doubtful] if len(apart) else False
    if wrong.any():
        msg = (
            f"{where}: constituents of {int(wrong.sum())} of {len(table.counts)} jets in {collection} point "
            f"{distance[wrong].max():.1f} away from their jet in (eta, phi), or nearer to another one. Was the "
            f"collection cut or reordered? Leave events.{collection} as it is in the file and pass jets=selection."
        )
        raise LayoutError(msg)


def check_closure(table: Ragged, pt: NDArray[np.floating], where: str, collection: str) -> None:
    """Warn of jets whose particles do not add up to their pT, as with PUPPI weights of an older reconstruction.

    Parameters
    ----------
    table
        All jets of the collection with their particles, momenta weighted as the jets were clustered.
    pt
        Transverse momenta of the jets before energy corrections, GeV.
    where
        The layout, for the message.
    collection
        Its name, for the message.
    """
    total = _sums(table)
    there = (table.counts > 0) & (pt > 0)
    closure = np.hypot(total["px"], total["py"])[there] / pt[there]
    with np.errstate(invalid="ignore"):
        off = np.abs(closure - 1) > CLOSURE
    if off.sum() > MANY * len(off):
        msg = (
            f"{where}: the candidates of {collection} do not add up to the raw pT of their jets (median ratio "
            f"{np.median(closure):.2f}, {off.mean():.0%} of the jets off by more than {CLOSURE:.0%}); were the PUPPI "
            "weights in the file recomputed after clustering, or corrected jets put into the events (expected as "
            "jets=)? Embeddings of such jets are not those of the training"
        )
        warnings.warn(msg, ClosureWarning, stacklevel=2)


def _sums(table: Ragged) -> dict[str, Floats]:
    """Momentum of all particles of each jet."""
    jet, number = table.jet, len(table.counts)
    return {
        name: np.bincount(jet, table.particles[name].astype(np.float64), minlength=number).astype(np.float64)
        for name in ("px", "py", "pz")
    }


def _angles(momentum: Table) -> tuple[Floats, Floats]:
    pt = np.hypot(momentum["px"], momentum["py"])
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.arcsinh(momentum["pz"] / pt), np.arctan2(momentum["py"], momentum["px"])


def _distance(eta: Floats, phi: Floats) -> Floats:
    return np.hypot(eta, (phi + np.pi) % (2 * np.pi) - np.pi)
