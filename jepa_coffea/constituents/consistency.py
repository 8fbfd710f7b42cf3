"""Whether the particles of a layout belong to its jets: by their directions, and by their transverse momenta."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from jepa_coffea.constituents.ragged import Ragged, Table, particles_of
from jepa_coffea.constituents.record import LayoutError

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
            "weights in the file recomputed after clustering? Embeddings of such jets are not those of the training"
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
