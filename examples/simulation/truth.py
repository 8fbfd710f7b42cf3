"""Generator truth: which resonance a jet holds, found on the flat event record without a loop over particles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from examples.simulation.clustering import RADIUS, Jets
from examples.simulation.generate import EventRecord
from examples.simulation.particles import NEUTRINOS

Ints = NDArray[np.int64]

RESONANCES = (6, 23, 24, 25, 35)
"""Top, Z, W, Higgs, and the scalar phi (35): what a single AK8 jet may hold."""
HEAVY = (*RESONANCES, 34)
LEAVES = 4
"""Most decay products of one resonance that are followed: phi -> W W -> q q q q."""

CLASSES = ("QCD", "Hbb", "Hcc", "Hgg", "H4q", "Hqql", "Zqq", "Wqq", "Tbqq", "Tbl")
"""The ten classes of JetClass; a jet's truth label is its position here."""
OTHER = -1
"""Label of a jet that holds a resonance decay of no class, or only part of one."""


@dataclass(frozen=True, kw_only=True)
class Decays:
    """Resonances of a batch of events after radiation, with the partons they decay to (rows of the event record)."""

    event: Ints
    row: Ints
    leaves: Ints
    """``resonances * 4`` rows, -1 beyond the last decay product."""
    label: Ints
    """Class of the decay, -1 when it is of none."""


@dataclass(frozen=True, kw_only=True)
class Truth:
    """One row a jet."""

    label: Ints
    """Position in :data:`CLASSES`; -1 for a jet with only a part of a resonance, or a decay of no class."""
    row: Ints
    """Row of the matched resonance in the event record, -1 for none."""
    matched: Ints
    """How many of the resonance's visible decay products are in the jet."""

    def select(self, keep: NDArray[np.bool_]) -> Truth:
        """The jets where ``keep`` is true."""
        return Truth(label=self.label[keep], row=self.row[keep], matched=self.matched[keep])


def last_copies(record: EventRecord, rows: Ints) -> Ints:
    """Follow particles through their recoils to the copy that decays; -1 stays -1."""
    rows = rows.copy()
    while True:
        first = np.where(rows >= 0, record.first_daughter[rows], -1)
        moves = (first >= 0) & (record.pdg_id[first] == record.pdg_id[rows])
        if not moves.any():
            return rows
        rows[moves] = first[moves]


def decays(record: EventRecord) -> Decays:
    """All decays of :data:`RESONANCES` in the hard process."""
    is_resonance = np.isin(np.abs(record.pdg_id), RESONANCES)
    rows = np.flatnonzero(is_resonance & ~record.final)
    first = record.first_daughter[rows]
    rows = rows[(first >= 0) & (record.pdg_id[first] != record.pdg_id[rows])]
    leaves = np.full((len(rows), LEAVES), -1, dtype=np.int64)
    leaves[:, 0] = record.first_daughter[rows]
    leaves[:, 1] = record.last_daughter[rows]
    for _ in range(2):  # at most phi -> W W and W -> q q, or t -> b W and W -> q q
        leaves = _open_resonances(record, leaves)
    return Decays(event=record.event[rows], row=rows, leaves=leaves, label=_classify(record, rows, leaves))


def _open_resonances(record: EventRecord, leaves: Ints) -> Ints:
    """Replace each resonance among the leaves by its two daughters; places beyond the fourth never fill up."""
    heavy = (leaves >= 0) & np.isin(np.abs(record.pdg_id[leaves]), HEAVY)
    decaying = last_copies(record, np.where(heavy, leaves, -1))
    first = np.where(heavy, record.first_daughter[decaying], leaves)
    second = np.where(heavy, record.last_daughter[decaying], -1)
    both = np.concatenate([first, second], axis=1)
    order = np.argsort(both < 0, axis=1, kind="stable")  # empty places to the end
    return np.take_along_axis(both, order, axis=1)[:, :LEAVES]


def _classify(record: EventRecord, rows: Ints, leaves: Ints) -> Ints:
    kind = np.abs(record.pdg_id[rows])
    leaf = np.where(leaves >= 0, np.abs(record.pdg_id[leaves]), 0)

    def count(*ids: int) -> Ints:
        return np.isin(leaf, ids).sum(axis=1)

    quarks, leptons = count(1, 2, 3, 4, 5), count(11, 13)
    higgs, two = kind == 25, (leaf > 0).sum(axis=1) == 2
    conditions = {
        "Hbb": higgs & (count(5) == 2) & two,
        "Hcc": higgs & (count(4) == 2) & two,
        "Hgg": higgs & (count(21) == 2),
        "H4q": np.isin(kind, (25, 35)) & (quarks == 4),
        "Hqql": higgs & (quarks == 2) & (leptons == 1),
        "Zqq": (kind == 23) & (quarks == 2),
        "Wqq": (kind == 24) & (quarks == 2),
        "Tbqq": (kind == 6) & (quarks == 3),
        "Tbl": (kind == 6) & (quarks == 1) & (leptons == 1),
    }
    label = np.full(len(rows), OTHER)
    for name, condition in conditions.items():
        label[condition] = CLASSES.index(name)
    return label


def match(record: EventRecord, jets: Jets) -> Truth:
    """The resonance that each jet holds.

    A jet holds a resonance when all its quarks, gluons and charged leptons are within R = 0.8 of the jet axis; of
    several, the one with most decay products counts (a top rather than its W). A jet with no decay product within
    R = 0.8 is QCD; anything between has label -1.
    """
    found = decays(record)
    # Every jet beside every resonance of its event.
    order = np.argsort(found.event, kind="stable")
    per_event = np.bincount(found.event, minlength=len(record))
    start = (np.cumsum(per_event) - per_event)[jets.event]
    n = per_event[jets.event]
    jet = np.repeat(np.arange(len(jets)), n)
    pair = order[np.arange(len(jet)) - np.repeat(np.cumsum(n) - n, n) + np.repeat(start, n)]

    leaves = found.leaves[pair]
    visible = (leaves >= 0) & ~np.isin(np.abs(record.pdg_id[leaves]), NEUTRINOS)
    px, py, pz = record.px[leaves], record.py[leaves], record.pz[leaves]
    d_eta = np.arcsinh(pz / np.maximum(np.hypot(px, py), 1e-9)) - jets.eta[jet][:, None]
    d_phi = np.remainder(np.arctan2(py, px) - jets.phi[jet][:, None] + np.pi, 2 * np.pi) - np.pi
    inside = visible & (np.hypot(d_eta, d_phi) < RADIUS)
    contained = inside.sum(axis=1)
    complete = (contained > 0) & (contained == visible.sum(axis=1))

    touched = np.bincount(jet, weights=contained, minlength=len(jets)) > 0
    label = np.where(touched, OTHER, CLASSES.index("QCD"))
    row, matched = np.full(len(jets), -1), np.zeros(len(jets), dtype=np.int64)
    best = np.flatnonzero(complete)
    best = best[np.argsort(contained[best], kind="stable")]  # the last assignment wins: most decay products
    label[jet[best]] = found.label[pair[best]]
    row[jet[best]] = found.row[pair[best]]
    matched[jet[best]] = contained[best]
    return Truth(label=label, row=row, matched=matched)
