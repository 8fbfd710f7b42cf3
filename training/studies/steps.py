"""The same processor time for every training of a study on a CPU, as a number of steps each.

Wall-clock time is no measure of work on a machine that does something else as well, and a run that time ends cannot be
repeated. So the processor time of a step is measured, once, and the runs then end by steps.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from rich.console import Console

from jepa_coffea.files import write_text
from training import finetune, pretrain
from training.config import RunConfig, read_config
from training.data.batch import Batch
from training.data.loader import make_loader
from training.loop.batches import InMemory, take
from training.loop.checkpoint import new_objective
from training.loop.distributed import Ranks
from training.loop.finetuning import configure
from training.loop.loop import train
from training.studies.jobs import Job, Runner, StudyError

WARMUP, MEASURED = 5, 30
"""Steps before, and in, a measurement."""


class _Clocked(InMemory):
    """Batches in memory; ``seconds`` of processor time were used when each was asked for."""

    seconds: list[float]

    def __iter__(self) -> Iterator[Batch]:
        for batch in super().__iter__():
            self.seconds.append(time.process_time())
            yield batch


def processor_seconds(config: RunConfig, *, warmup: int = WARMUP, steps: int = MEASURED) -> float:
    """Processor time of a training step.

    Parameters
    ----------
    config
        What is trained.
    warmup, steps
        Steps before, and in, the measurement.

    Returns
    -------
    float
        Seconds, over all threads.

    Raises
    ------
    StudyError
        If a signal stops it.
    """
    needed = (warmup + steps + 1) * config.accumulate * config.data.batch_size
    loader = make_loader(config.data, seed=config.seed, labels=config.objective["name"] == "supervised")
    names = {"class_names": loader.class_names, "observable_names": loader.observable_names}
    length = {"steps": warmup + steps + 1, "monitor_every": 10**9}
    jets = _Clocked(take(loader, needed), config.data.batch_size, seed=0, bucketed=config.data.bucketed)
    jets.seconds = []
    config = config.model_copy(update=names | length)
    with tempfile.TemporaryDirectory() as folder:
        alone = Ranks(0, 1, torch.device("cpu"))
        outcome = train(new_objective(config), jets, config, Path(folder), alone, console=Console(quiet=True))
    if outcome.interrupted:
        msg = f"{outcome.interrupted} while the processor time of a step was measured; the same command goes on"
        raise StudyError(msg)
    asked = jets.seconds[:: config.accumulate]
    return (asked[warmup + steps] - asked[warmup]) / steps


def configuration(job: Job) -> RunConfig:
    """What a script would train.

    Parameters
    ----------
    job
        Call of the script.

    Returns
    -------
    RunConfig
    """
    if job.script == "pretrain":
        args = pretrain.parser().parse_args(job.words)
        return read_config(args.config, args.set, data=args.data)
    args = finetune.parser().parse_args(job.words)
    return configure(args, args.seeds[0])


def steps_of(study: Runner, jobs: dict[str, Job], minutes: float) -> dict[str, int]:
    """Steps of several trainings that fit the same processor time.

    What a step takes is measured once and kept in ``cost.json``, so that a study that goes on makes the same trainings.

    Parameters
    ----------
    study
        What is compared; it says how many processors a training has.
    jobs
        The trainings, by name.
    minutes
        Length of each training, on its processors.

    Returns
    -------
    dict
        Steps by name.
    """
    path = study.output / "cost.json"
    known: dict[str, float] = json.loads(path.read_text()) if path.is_file() else {}
    missing = {name: configuration(job) for name, job in jobs.items() if name not in known}
    if missing:
        threads = torch.get_num_threads()
        torch.set_num_threads(study.threads)
        # In turns, and the better of two: what else the machine does then disturbs all alike, and little.
        rounds = [{name: processor_seconds(config) for name, config in missing.items()} for _ in range(2)]
        torch.set_num_threads(threads)
        known |= {name: min(found[name] for found in rounds) for name in missing}
        write_text(path, json.dumps(known, indent=1) + "\n")
    return {name: max(1, round(60 * minutes * study.threads / known[name])) for name in jobs}
