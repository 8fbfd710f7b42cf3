"""Pythia 8 events as flat numpy columns, a batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import awkward as ak
import numpy as np
import pythia8mc
from numpy.typing import NDArray

from examples.simulation.containment import ContainmentFilter
from jepa_coffea.errors import JepaCoffeaError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BATCH_MIN, BATCH_MAX = 50, 500
GIVE_UP = 20_000
"""Events after which a selection that has accepted none is taken to be impossible."""

BASE_SETTINGS = (
    "Print:quiet = on",
    "Beams:idA = 2212",
    "Beams:idB = 2212",
    "Beams:eCM = 13000.",
    "Random:setSeed = on",
)


class GenerationError(JepaCoffeaError, RuntimeError):
    """Pythia refused its settings or cannot make events with them."""


@dataclass(frozen=True, kw_only=True)
class EventRecord:
    """The event records of a batch, one after the other: event ``i`` holds rows ``offsets[i]:offsets[i + 1]``.

    Momenta are in GeV, production vertices in mm from the primary vertex. ``mother``, ``first_daughter`` and
    ``last_daughter`` are rows of this record (not of the event), -1 where there are none.
    """

    offsets: Ints
    event: Ints
    pdg_id: Ints
    status: Ints
    """Pythia's status code without its sign."""
    final: NDArray[np.bool_]
    mother: Ints
    first_daughter: Ints
    last_daughter: Ints
    px: Floats
    py: Floats
    pz: Floats
    energy: Floats
    vx: Floats
    vy: Floats
    vz: Floats
    weight: Floats
    """One number per event, 1 unless the phase-space sampling is biased."""

    def __len__(self) -> int:
        return len(self.offsets) - 1


class Generator:
    """A configured Pythia 8.

    Parameters
    ----------
    settings
        Pythia settings of the process, in addition to 13 TeV proton-proton beams.
    seed
        1 to 900 000 000; the same seed gives the same events.
    veto
        drops hard processes before they are showered.

    Raises
    ------
    GenerationError
        a setting that Pythia does not know, or a process it cannot set up.
    """

    def __init__(self, settings: Sequence[str], *, seed: int, veto: ContainmentFilter | None = None) -> None:
        self._pythia = pythia8mc.Pythia("", False)
        self._veto = veto
        if veto is not None:
            self._pythia.setUserHooksPtr(veto)
        self._showered = 0
        for line in (*BASE_SETTINGS, *settings, f"Random:seed = {seed}"):
            if not self._pythia.readString(line):
                msg = f"Pythia does not accept the setting {line!r}"
                raise GenerationError(msg)
        if not self._pythia.init():
            msg = f"Pythia could not be set up with {'; '.join(settings)}"
            raise GenerationError(msg)

    def next(self, n: int) -> EventRecord:
        """Generate events.

        Parameters
        ----------
        n
            How many.

        Returns
        -------
        EventRecord
            Fewer where Pythia gave some up.

        Raises
        ------
        GenerationError
            If it gave up on all of them.
        """
        batch = self._pythia.nextBatch(n)
        if len(batch) == 0:
            msg = f"Pythia gave up on all of {n} events; are the phase-space limits possible?"
            raise GenerationError(msg)
        self._showered += len(batch)
        return _flatten(batch)

    @property
    def generated(self) -> int:
        """Events generated so far, vetoed ones included.

        Returns
        -------
        int
        """
        return self._showered if self._veto is None else self._veto.trials


def batch_size(missing: int) -> int:
    """How many events to generate at once: many, as array calls cost much alone.

    Parameters
    ----------
    missing
        Events still to be accepted.

    Returns
    -------
    int
    """
    return min(max(2 * missing, BATCH_MIN), BATCH_MAX)


def _flatten(batch: ak.Array) -> EventRecord:
    particles = batch.prt
    counts = ak.to_numpy(ak.num(particles.id, axis=1)).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    event = np.repeat(np.arange(len(counts)), counts)
    flat = ak.flatten(particles, axis=1)

    def ints(array: ak.Array) -> Ints:
        return np.ascontiguousarray(ak.to_numpy(array), dtype=np.int64)

    def floats(array: ak.Array) -> Floats:
        return np.ascontiguousarray(ak.to_numpy(array), dtype=np.float64)

    first, last = ints(flat.daughter1), ints(flat.daughter2)
    last = np.where(last < first, first, last)  # a lone daughter is stored as (d, 0), a copy as (d, d)
    first, last = (np.where(first > 0, offsets[event] + d, -1) for d in (first, last))
    mother = ints(flat.mother1)
    status = ints(flat.status)
    # Particles made at the primary vertex have no stored vertex.
    vertex = [floats(ak.fill_none(flat.vProd[axis], 0.0)) for axis in ("px", "py", "pz")]
    return EventRecord(
        offsets=offsets,
        event=event,
        pdg_id=ints(flat.id),
        status=np.abs(status),
        final=status > 0,
        mother=np.where(mother > 0, offsets[event] + mother, -1),
        first_daughter=first,
        last_daughter=last,
        px=floats(flat.p.px),
        py=floats(flat.p.py),
        pz=floats(flat.p.pz),
        energy=floats(flat.p.e),
        vx=vertex[0],
        vy=vertex[1],
        vz=vertex[2],
        weight=floats(ak.firsts(batch.info.weights, axis=1)),
    )
