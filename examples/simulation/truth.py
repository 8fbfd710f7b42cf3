"""Generator truth: which resonance a jet holds, found on the flat event record without a loop over particles."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from examples.simulation.clustering import RADIUS, Jets
from examples.simulation.generate import EventRecord
from examples.simulation.particles import NEUTRINOS

Ints = NDArray[np.int64]

NEUTRALINO = 1000022
RESONANCES = (6, 23, 24, 25, 35, 36, 37, NEUTRALINO)
"""Top, Z, W, Higgs, the scalar phi (35), A and H+ (36, 37), a neutralino: what a single AK8 jet may hold."""
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
    """One row per jet."""

    label: Ints
    """Position in :data:`CLASSES`; -1 for a jet with only a part of a resonance, or a decay of no class."""
    row: Ints
    """Row of the matched resonance in the event record, -1 for none."""
    matched: Ints
    """How many of the resonance's visible decay products are in the jet."""

    def select(self, keep: NDArray[np.bool_]) -> Truth:
        """Some of the jets.

        Parameters
        ----------
        keep
            bool [jet].

        Returns
        -------
        Truth
        """
        return Truth(label=self.label[keep], row=self.row[keep], matched=self.matched[keep])

    def only(self, label: int) -> Truth:
        """The same jets, of which those of other labels count as unmatched.

        Parameters
        ----------
        label
            Position in :data:`CLASSES`.

        Returns
        -------
        Truth
        """
        return replace(self, label=np.where(self.label == label, self.label, OTHER))


def last_copies(record: EventRecord, rows: Ints) -> Ints:
    """Follow particles through their recoils to the copy that decays; -1 stays -1.

    Parameters
    ----------
    record
        What was generated.
    rows
        Rows of the record.

    Returns
    -------
    ndarray
        Of the shape of ``rows``.
    """
    rows = rows.copy()
    while True:
        first = np.where(rows >= 0, record.first_daughter[rows], -1)
        moves = (first >= 0) & (record.pdg_id[first] == record.pdg_id[rows])
        if not moves.any():
            return rows
        rows[moves] = first[moves]


def decays(record: EventRecord) -> Decays:
    """All decays of :data:`RESONANCES` in the hard process.

    Parameters
    ----------
    record
        What was generated.

    Returns
    -------
    Decays
    """
    is_resonance = np.isin(np.abs(record.pdg_id), RESONANCES)
    rows = np.flatnonzero(is_resonance & ~record.final)
    first = record.first_daughter[rows]
    rows = rows[(first >= 0) & (record.pdg_id[first] != record.pdg_id[rows])]
    leaves = np.full((len(rows), LEAVES), -1, dtype=np.int64)
    leaves[:, 0] = record.first_daughter[rows]
    leaves[:, 1] = record.last_daughter[rows]
    three = np.abs(record.pdg_id[rows]) == NEUTRALINO  # the only one with three daughters at once
    leaves[three, 2] = record.first_daughter[rows[three]] + 1
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


@dataclass(frozen=True, kw_only=True)
class Matches:
    """Every jet beside every resonance decay of its event, one row a pair."""

    jet: Ints
    row: Ints
    """Of the resonance in the event record."""
    leaves: Ints
    """``pairs * 4`` rows of the decay products, -1 for none."""
    label: Ints
    """Class of the decay, see :class:`Decays`."""
    inside: NDArray[np.bool_]
    """``pairs * 4``, visible decay products within R = 0.8 of the jet axis."""
    complete: NDArray[np.bool_]
    """Whether all the visible ones are, and there are some."""

    def best(self, good: NDArray[np.bool_], labels: Ints, jets: int, *, default: int | Ints) -> Truth:
        """The decay that names each jet: of its good pairs the one with most decay products inside.

        Parameters
        ----------
        good
            bool [pair], which pairs count.
        labels
            int64 [pair], the label that each would give.
        jets
            Number of jets.
        default
            Label of jets without a good pair; one for all, or one each.

        Returns
        -------
        Truth
        """
        label = np.broadcast_to(default, jets).copy()
        row, matched = np.full(jets, -1), np.zeros(jets, dtype=np.int64)
        contained = self.inside.sum(axis=1)
        chosen = np.flatnonzero(good)
        chosen = chosen[np.argsort(contained[chosen], kind="stable")]  # the last assignment wins: most decay products
        label[self.jet[chosen]] = labels[chosen]
        row[self.jet[chosen]] = self.row[chosen]
        matched[self.jet[chosen]] = contained[chosen]
        return Truth(label=label, row=row, matched=matched)


def beside(event: Ints, jets: Jets) -> tuple[Ints, Ints]:
    """Every jet with every object of its event.

    Parameters
    ----------
    event
        int64 [object], events of the objects.
    jets
        Jets of these events.

    Returns
    -------
    tuple of ndarray
        Positions of the jets and of the objects, int64 [pair] each.
    """
    order = np.argsort(event, kind="stable")
    per_event = np.bincount(event, minlength=len(jets.counts))
    start = (np.cumsum(per_event) - per_event)[jets.event]
    n = per_event[jets.event]
    jet = np.repeat(np.arange(len(jets)), n)
    return jet, order[np.arange(len(jet)) - np.repeat(np.cumsum(n) - n, n) + np.repeat(start, n)]


def distance(record: EventRecord, rows: Ints, jets: Jets, jet: Ints) -> NDArray[np.float64]:
    """Delta R between particles of the record and jets, element by element.

    Parameters
    ----------
    record
        What was generated.
    rows
        Rows of the particles.
    jets
        Jets of these events.
    jet
        Positions of the jets; of a shape that broadcasts with ``rows``.

    Returns
    -------
    ndarray
        Of that shape.
    """
    px, py, pz = record.px[rows], record.py[rows], record.pz[rows]
    d_eta = np.arcsinh(pz / np.maximum(np.hypot(px, py), 1e-9)) - jets.eta[jet]
    d_phi = np.remainder(np.arctan2(py, px) - jets.phi[jet] + np.pi, 2 * np.pi) - np.pi
    return np.hypot(d_eta, d_phi)


def match_decays(record: EventRecord, jets: Jets) -> Matches:
    """Which decay products of which resonances are in which jets.

    Parameters
    ----------
    record
        What was generated.
    jets
        Jets of these events.

    Returns
    -------
    Matches
    """
    found = decays(record)
    jet, pair = beside(found.event, jets)
    leaves = found.leaves[pair]
    visible = (leaves >= 0) & ~np.isin(np.abs(record.pdg_id[leaves]), NEUTRINOS)
    inside = visible & (distance(record, leaves, jets, jet[:, None]) < RADIUS)
    contained = inside.sum(axis=1)
    return Matches(
        jet=jet,
        row=found.row[pair],
        leaves=leaves,
        label=found.label[pair],
        inside=inside,
        complete=(contained > 0) & (contained == visible.sum(axis=1)),
    )


def match(record: EventRecord, jets: Jets) -> Truth:
    """The resonance that each jet holds.

    A jet holds a resonance when all its quarks, gluons and charged leptons are within R = 0.8 of the jet axis; of
    several, the one with most decay products counts (a top rather than its W). A jet with no decay product within
    R = 0.8 is QCD; anything between has label -1.

    Parameters
    ----------
    record
        What was generated.
    jets
        Jets of these events.

    Returns
    -------
    Truth
    """
    found = match_decays(record, jets)
    touched = np.bincount(found.jet, weights=found.inside.sum(axis=1), minlength=len(jets)) > 0
    default = np.where(touched, OTHER, CLASSES.index("QCD"))
    return found.best(found.complete, found.label, len(jets), default=default)
