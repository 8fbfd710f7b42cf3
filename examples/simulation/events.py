"""A shard of simulated events: generate, detect, cluster and select until there are enough."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from examples.simulation import pfnano
from examples.simulation.clustering import Jets, cluster
from examples.simulation.detector import detect
from examples.simulation.generate import GIVE_UP, GenerationError, Generator, batch_size
from examples.simulation.observables import substructure
from examples.simulation.parallel import Accepted, run
from examples.simulation.processes import EVENT_PROCESSES, event_settings
from examples.simulation.seeds import shard_seed
from examples.simulation.truth import match

Report = Callable[[int, int], None]
"""Called with the newly accepted and newly generated numbers."""


@dataclass(frozen=True, kw_only=True)
class EventsConfig:
    """What events to make."""

    process: str
    """Key of :data:`EVENT_PROCESSES`."""
    events: int
    """Events to write."""
    seed: int
    events_per_shard: int = 500
    pt_hat_min: float | None = None
    """Smallest pT of the hard partons in GeV; None for the default of the process."""
    mjj_min: float | None = None
    """Smallest mass of the two leading jets in GeV; given, only events within |eta| < 2.5 with two jets are kept."""
    mjj_max: float | None = None
    mpi: bool = True
    """Multi-parton interactions; off makes events lighter and two to four times faster."""


def write_events(config: EventsConfig, path: Path, *, workers: int) -> dict[str, float]:
    """Make a sample in parallel and write it to one file.

    Parameters
    ----------
    config
        What to make.
    path
        ROOT file.
    workers
        Number of processes.

    Returns
    -------
    dict
        What was accepted and generated, in how many seconds of one core.
    """
    shards = range(-(-config.events // config.events_per_shard))
    tasks = [(config, shard) for shard in shards]
    costs: list[tuple[int, float]] = []

    def _shards_of_events(bar: Accepted) -> Iterator[dict[str, ak.Array]]:
        for _, (events, generated, seconds) in run(make_shard, tasks, workers=workers, bar=bar):
            costs.append((generated, seconds))
            yield events

    with Accepted(config.process, config.events, "events") as bar:
        pfnano.write(path, _shards_of_events(bar))
    generated, seconds = (sum(column) for column in zip(*costs, strict=True))
    return {"files": 1, "kept": 0, "accepted": config.events, "generated": generated, "seconds": seconds}


def make_shard(task: tuple[EventsConfig, int], report: Report) -> tuple[dict[str, ak.Array], int, float]:
    """Make one shard of a sample.

    The shard depends on the configuration and its own number only, never on which process makes it.

    Parameters
    ----------
    task
        Configuration of the sample, and number of the shard.
    report
        Called with newly accepted and generated events.

    Returns
    -------
    tuple
        Columns of the events, how many were generated for them, and seconds of one core.

    Raises
    ------
    GenerationError
        If none of very many events passes the selection.
    """
    started = time.process_time()
    config, shard = task
    process = EVENT_PROCESSES[config.process]
    seed = shard_seed(config.seed, f"events {config.process}", shard)
    settings = event_settings(
        config.process,
        pt_hat_min=config.pt_hat_min,
        mjj_min=config.mjj_min,
        mjj_max=config.mjj_max,
        mpi=config.mpi,
    )
    generator = Generator(settings, seed=seed.pythia)
    rng = np.random.default_rng(seed.detector)
    wanted = min(config.events_per_shard, config.events - shard * config.events_per_shard)
    parts: list[dict[str, ak.Array]] = []
    accepted = generated = 0
    while accepted < wanted:
        record = generator.next(batch_size(wanted - accepted))
        candidates = detect(record, rng)
        jets = cluster(candidates)
        keep = selected(jets, mjj_min=config.mjj_min, mjj_max=config.mjj_max)
        rows = np.flatnonzero(keep)[: wanted - accepted]
        used = len(record) if accepted + len(rows) < wanted else int(rows[-1]) + 1
        keep[used:] = False
        jets = jets.select(keep[jets.event])
        columns = pfnano.columns(record, jets, substructure(jets), match(record, jets))
        parts.append({name: column[keep] for name, column in columns.items()})
        accepted += len(rows)
        generated += used
        report(len(rows), used)
        if accepted == 0 and generated > GIVE_UP:
            msg = f"none of {generated} events of {config.process} passes the selection"
            raise GenerationError(msg)
    columns = {name: ak.concatenate([part[name] for part in parts]) for name in parts[0]}
    columns |= pfnano.identity(process, seed=config.seed, shard=shard, events=wanted)
    return columns, generated, time.process_time() - started


def selected(jets: Jets, *, mjj_min: float | None, mjj_max: float | None) -> NDArray[np.bool_]:
    """Events of the dijet selection: two leading jets with a mass in range; every event when there is no range.

    Parameters
    ----------
    jets
        Jets of the events.
    mjj_min
        Smallest mass, GeV.
    mjj_max
        Largest mass, GeV.

    Returns
    -------
    ndarray
        bool [event].
    """
    if mjj_min is None and mjj_max is None:
        return np.ones(len(jets.counts), dtype=np.bool_)
    mass = dijet_mass(jets)
    low = 0.0 if mjj_min is None else mjj_min
    high = np.inf if mjj_max is None else mjj_max
    return (mass > low) & (mass < high)


def dijet_mass(jets: Jets) -> NDArray[np.float64]:
    """Mass of the two leading jets of each event.

    Parameters
    ----------
    jets
        Jets of the events.

    Returns
    -------
    ndarray
        float64 [event] in GeV; NaN for events with fewer than two.
    """
    two = jets.counts >= 2
    first = (np.cumsum(jets.counts) - jets.counts)[two]

    def _pair(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return values[first] + values[first + 1]

    px, py, pz = jets.pt * np.cos(jets.phi), jets.pt * np.sin(jets.phi), jets.pt * np.sinh(jets.eta)
    mass = np.full(len(jets.counts), np.nan)
    mass[two] = np.sqrt(np.maximum(_pair(jets.energy) ** 2 - _pair(px) ** 2 - _pair(py) ** 2 - _pair(pz) ** 2, 0.0))
    return mass
