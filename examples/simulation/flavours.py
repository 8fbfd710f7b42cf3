"""Truth of jets of any resonance or none, in the 188 classes of JetClass-II (arXiv 2405.12972).

A jet of a resonance is named after the decay products in it: ``X_bb`` of two, ``X_YY_bcs`` of three, ``X_YY_bbgg`` of
four; q is a down or up quark, v a neutrino, tauhtaue a pair of tau leptons of which one decays to hadrons and one to an
electron. Of four one may be outside the jet, which is then one of three. A QCD jet is named after the b, c and s quarks
in it, two of each at most.
"""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from examples.simulation.clustering import Jets
from examples.simulation.generate import EventRecord
from examples.simulation.particles import NEUTRINOS
from examples.simulation.truth import OTHER, Ints, Truth, beside, distance, last_copies, match_decays
from training.data.classes import JETCLASS2

TOKENS = ("q", "s", "c", "b", "g", "e", "m", "taue", "taum", "tauh", "v")
"""What the name of a class is made of; a decay product's code is its position here, plus one."""
TOKEN_OF = {1: "q", 2: "q", 3: "s", 4: "c", 5: "b", 21: "g", 11: "e", 13: "m", **dict.fromkeys(NEUTRINOS, "v")}
"""Absolute PDG number to token; a tau (15) depends on its decay."""
QCD_PT_MIN = 10.0
"""GeV; softer quarks do not name a QCD jet."""

Bools = NDArray[np.bool_]


def _codes_of(name: str) -> list[int]:
    return [TOKENS.index(token) + 1 for token in re.findall("taue|taum|tauh|[qscbgemv]", name.rsplit("_", 1)[1])]


def _keys(codes: Ints) -> Ints:
    """One number for each row of ``codes`` [n, 4], whatever the order in it."""
    return (np.sort(codes, axis=1) * 16 ** np.arange(codes.shape[1])).sum(axis=1)


_RESONANT = [name for name in JETCLASS2 if not name.startswith("QCD_")]
_CLASS_OF_KEY = dict(
    zip(
        _keys(np.array([(_codes_of(name) + 4 * [0])[:4] for name in _RESONANT])).tolist(),
        (JETCLASS2.index(name) for name in _RESONANT),
        strict=True,
    )
)


def classify(codes: Ints) -> Ints:
    """Classes of resonances by their decay products.

    Parameters
    ----------
    codes
        int64 [n, 4], codes of the decay products, 0 where there is none.

    Returns
    -------
    ndarray
        int64 [n], -1 for what has no class.
    """
    keys, rows = np.unique(_keys(codes), return_inverse=True)
    return np.array([_CLASS_OF_KEY.get(key, OTHER) for key in keys.tolist()], dtype=np.int64)[rows]


def product_codes(record: EventRecord, leaves: Ints) -> Ints:
    """Codes of decay products.

    Parameters
    ----------
    record
        What was generated.
    leaves
        int64 [n, 4], their rows in the record; -1 for none.

    Returns
    -------
    ndarray
        int64 [n, 4], 0 for none and for what has no token.
    """
    kind = np.where(leaves >= 0, np.abs(record.pdg_id[leaves]), 0)
    table = np.zeros(26, dtype=np.int64)
    for pdg_id, token in TOKEN_OF.items():
        table[pdg_id] = TOKENS.index(token) + 1
    codes = table[np.minimum(kind, 25)]
    is_tau = kind == 15
    taus = last_copies(record, leaves[is_tau])
    first, last = record.first_daughter[taus], record.last_daughter[taus]

    def _decays_to(pdg_id: int) -> Bools:
        before = np.concatenate([[0], np.cumsum(np.abs(record.pdg_id) == pdg_id)])
        return before[last + 1] > before[first]

    names = np.select(
        [_decays_to(11), _decays_to(13)], [TOKENS.index("taue"), TOKENS.index("taum")], TOKENS.index("tauh")
    )
    codes[is_tau] = names + 1
    return codes


def resonance_jets(record: EventRecord, jets: Jets) -> Truth:
    """Jets that hold a resonance: all of its visible decay products, or three of its four, within R = 0.8.

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
    codes = product_codes(record, found.leaves)
    neutrino = codes == TOKENS.index("v") + 1
    named = classify(np.where(found.inside | neutrino, codes, 0))
    contained = found.inside.sum(axis=1)
    good = (found.complete | (contained >= 3)) & (named >= 0)
    return found.best(good, named, len(jets), default=OTHER)


def qcd_jets(record: EventRecord, jets: Jets) -> Truth:
    """QCD jets by the b, c and s quarks within R = 0.8, from the partons that hadronise, above 10 GeV.

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
    kind = np.abs(record.pdg_id)
    hadronise = (record.status >= 71) & (record.status <= 79) & np.isin(kind, (3, 4, 5))
    quarks = np.flatnonzero(hadronise & (np.hypot(record.px, record.py) > QCD_PT_MIN))
    jet, quark = beside(record.event[quarks], jets)
    inside = distance(record, quarks[quark], jets, jet) < 0.8
    flavour = kind[quarks[quark[inside]]]
    counts = [np.bincount(jet[inside][flavour == pdg_id], minlength=len(jets)) for pdg_id in (5, 4, 3)]
    classes = np.zeros((3, 3, 3), dtype=np.int64)
    for name in JETCLASS2:
        if name.startswith("QCD_"):
            number = Counter(name.removeprefix("QCD_") if name != "QCD_light" else "")
            classes[number["b"], number["c"], number["s"]] = JETCLASS2.index(name)
    none = np.full(len(jets), -1)
    label = classes[tuple(np.minimum(count, 2) for count in counts)]
    return Truth(label=label, row=none, matched=np.zeros(len(jets), dtype=np.int64))
