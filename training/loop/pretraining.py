"""Pretraining from the command line to a finished run folder."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from training.config import ConfigError, RunConfig, read_config
from training.data.loader import Loader, make_loader
from training.loop.batches import InMemory, Loading, take
from training.loop.checkpoint import new_objective, start_from
from training.loop.distributed import Ranks, process_group
from training.loop.entry import run_folder, status_of
from training.loop.loop import train
from training.loop.numerics import make_deterministic, seed_everything
from training.loop.state import Extras
from training.objectives.base import Objective

PROBE_LABELS = 200
PROBE_TEST_JETS = 4000
"""Jets per class that the probe during pretraining is fitted to, and jets it is judged on."""


def pretrain(args: argparse.Namespace) -> int:
    """Pretrain an encoder.

    Parameters
    ----------
    args
        Options of ``training/pretrain.py``.

    Returns
    -------
    int
        Exit status.

    Raises
    ------
    ConfigError, BadFileError, CheckpointError, TrainingError
        If the configuration, the data, the run folder or the training is at fault.
    """
    with process_group(args.device) as ranks:
        config = read_config(args.config, args.set, data=args.data)
        if config.deterministic:
            make_deterministic()
        loader = make_loader(
            config.data,
            rank=ranks.rank,
            world_size=ranks.world_size,
            seed=config.seed,
            labels=config.objective["name"] == "supervised",
        )
        config = _named(config, loader)
        seed_everything(config.seed)
        objective = new_objective(config)
        with run_folder(args.output, args.resume, config, ranks) as resume:
            if config.start_from and resume is None:
                start_from(config.start_from, objective, config)
            extras = Extras(
                probe=_probe_of(config, ranks) if config.probe_every else None,
                max_minutes=args.max_minutes,
                stop_on_collapse=args.stop_on_collapse,
                other_data=args.other_data,
            )
            batches = _in_memory(loader, config, ranks) if config.keep_in_memory else loader
            outcome = train(objective, batches, config, args.output, ranks, resume=resume, extras=extras)
        return status_of(outcome, args.output, ranks)


def _in_memory(loader: Loader, config: RunConfig, ranks: Ranks) -> Loading:
    """The jets of ``loader`` on the device.

    Raises
    ------
    ConfigError
        In a training of several processes, or with a budget of tokens instead of jets.
    """
    if ranks.world_size > 1 or config.data.tokens is not None:
        msg = "keep_in_memory: only for one process and batches of data.batch_size jets"
        raise ConfigError(msg)
    jets = take(loader, loader.jets_per_epoch).to(ranks.device)
    return InMemory(jets, config.data.batch_size, seed=config.seed, bucketed=config.data.bucketed)


def _named(config: RunConfig, loader: Loader) -> RunConfig:
    """``config`` with the names of classes and observables that the data have."""
    names = {"class_names": loader.class_names, "observable_names": loader.observable_names}
    return config.model_copy(update=names)


def _probe_of(config: RunConfig, ranks: Ranks) -> Callable[[Objective], dict[str, float]] | None:
    """The probe of a run: labelled jets of its training files to fit to, of its validation split to judge on."""
    if not ranks.first:
        return None
    # scikit-learn takes as long to import as torch, and only a run that probes needs it.
    from training.loop.probe import Probe, flat

    few = config.data.model_copy(update={"labels_per_class": PROBE_LABELS, "bucketed": False})
    train_loader = make_loader(few, labels=True, seed=config.seed)
    probe = Probe(
        take(train_loader, train_loader.jets_per_epoch),
        take(make_loader(few, split="val", labels=True), PROBE_TEST_JETS),
        train_loader.observable_names,
        ranks.device,
    )
    baselines: dict[str, float] = {}

    def measure(objective: Objective) -> dict[str, float]:
        encoder = objective.exported()
        if not baselines:
            baselines.update(flat(probe.random_encoder(encoder), "probe_random"))
            boosting = probe.boosting()
            baselines.update(flat({"boosting": boosting}, "probe") if boosting else {})
        return flat(probe.encoder(encoder), "probe") | baselines

    return measure
