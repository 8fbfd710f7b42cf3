"""From a pretrained encoder to classifiers: one training per seed.

With few labels the head learns first, then the encoder, the slower the nearer the particles; jets are rotated, smeared
and lose soft particles; the weights of the last part are averaged; and the number of steps is fixed, as validation jets
would be labels, too. The same holds from scratch, but for what only a pretrained encoder needs.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from rich.console import Console

from jepa_coffea.errors import BadFileError
from jepa_coffea.progress import counted
from training.config import RunConfig, check, override, read_sections
from training.data.batch import Batch
from training.data.config import DataConfig
from training.data.loader import make_loader
from training.data.sources import missing
from training.loop.batches import InMemory, Loading, labels_of, take
from training.loop.checkpoint import checkpoint_of, load_encoder, new_objective, read_checkpoint, value_of
from training.loop.distributed import Ranks, process_group
from training.loop.entry import run_folder, status_of
from training.loop.loop import train
from training.loop.numerics import make_deterministic, seed_everything
from training.loop.schedules import Rate, layer_rates
from training.loop.state import Extras, Validation
from training.models.subjets import SubjetConfig
from training.objectives.base import Objective
from training.objectives.dropout import GROUPS
from training.objectives.supervised import Supervised

IN_MEMORY = 200_000
"""Up to this many labelled jets are kept in memory rather than read again each epoch."""

VALIDATED = 10_000
"""Validation jets of a training on all labels, unless the configuration says otherwise."""

STANDARDISED = 20_000
"""At most so many jets of the training say how variables spread."""


def configure(args: argparse.Namespace, seed: int) -> RunConfig:
    """Configuration of a fine-tuning: the file, the encoder's architecture, the command line on top.

    Parameters
    ----------
    args
        Options of ``training/finetune.py``.
    seed
        Of the choice of labelled jets, the head, and the order of jets.

    Returns
    -------
    RunConfig

    Raises
    ------
    ConfigError, CheckpointError
        If the file or the encoder cannot be used.
    """
    _, pretrained = load_encoder(args.encoder)
    content: dict[str, Any] = read_sections(args.config)
    content["encoder"] = pretrained.encoder.model_dump(mode="json") | content.get("encoder", {})
    content["data"] = _data_of(args, pretrained) | content.get("data", {})
    if args.data:
        content["data"]["files"] = list(args.data)
    content["data"] |= {"labels_per_class": args.labels_per_class, "subset_seed": seed}
    # What the encoder learned to do without its classifier must do without too.
    dropped = {name: pretrained.objective[name] for name in GROUPS if name in pretrained.objective}
    content["objective"] = dropped | content.get("objective", {}) | {"name": "supervised", "head": args.head}
    content["objective"]["variables"] = args.variables
    if isinstance(pretrained.encoder, SubjetConfig) and content["objective"].get("augmentations"):
        content["objective"]["augmentations"]["drop"] = 0.0
    content["finetune"] = content.get("finetune", {}) | {"encoder": str(args.encoder), "mode": args.mode}
    if args.mode != "scratch":
        content["finetune"]["pretraining"] = _history_of(args.encoder, pretrained)
    content["seed"] = seed
    config = check(override(content, args.set), str(args.config))
    if args.mode == "finetune":
        return config
    # Of an encoder that is kept, or knows nothing yet, there is nothing to protect from its head.
    config = config.model_copy(update={"objective": config.objective | {"head_first": 0.0}})
    if args.mode == "freeze":
        return config
    assert config.finetune is not None
    optimiser = config.optimiser.model_copy(update={"lr": config.finetune.scratch_lr})
    return config.model_copy(update={"optimiser": optimiser})


def _data_of(args: argparse.Namespace, pretrained: RunConfig) -> dict[str, Any]:
    """What a fine-tuning takes over of the data of its encoder.

    The files for validation and test of the pretraining hold out jets of the same data only, and only where they are:
    other jets, and those of an encoder from elsewhere, are split by the usual fractions, whatever was held out of its
    own jets.
    """
    data: dict[str, Any] = pretrained.data.model_dump(mode="json")
    problem = missing(pretrained.data.files)
    if problem and not args.data:
        msg = f"{problem}; {args.encoder} was trained on these files: give labelled jets with --data"
        raise BadFileError(msg)
    own = data["files"] if isinstance(data["files"], list) else [data["files"]]
    other = args.data and list(args.data) != own
    for name in ("val_files", "test_files"):
        held_out = getattr(pretrained.data, name)
        if other or (args.data and held_out and missing(held_out)):
            data[name] = None
    if other:
        data |= {name: DataConfig.model_fields[name].default for name in ("val_fraction", "test_fraction")}
    return data


def _history_of(run: str | Path, config: RunConfig) -> dict[str, Any]:
    """What the card of a classifier says of its encoder's past: the run that trained it, and those before."""
    settings = config.model_dump(mode="json")
    past = {"name": config.name, "objective": settings["objective"], "files": settings["data"]["files"]}
    path = checkpoint_of(run)
    past["steps"] = value_of(read_checkpoint(path), "step", int, path)
    if config.finetune and config.finetune.pretraining:
        past["pretraining"] = config.finetune.pretraining
    return past


def _training_batches(config: RunConfig, ranks: Ranks) -> tuple[Loading, dict[str, tuple[str, ...]]]:
    """Labelled batches of this process, and the names of the data; a small set is read once and kept in memory."""
    loader = make_loader(config.data, rank=ranks.rank, world_size=ranks.world_size, seed=config.seed, labels=True)
    names = {"class_names": loader.class_names, "observable_names": loader.observable_names}
    if loader.jets_per_epoch > IN_MEMORY or ranks.world_size > 1:
        return loader, names
    total, console = loader.jets_per_epoch, Console(stderr=True, quiet=not ranks.first)
    jets = take(counted(loader, total, "reading labelled jets", console, size=len), total)
    return InMemory(jets.to(ranks.device), config.data.batch_size, seed=config.seed), names


def _validation_jets(config: RunConfig, count: int) -> Batch:
    """Up to ``count`` labelled jets of the validation split, a fair sample of it."""
    mixed = config.data.model_copy(update={"bucketed": False})
    return take(make_loader(mixed, split="val", labels=True), count)


def _early_stopping(config: RunConfig, device: torch.device) -> Validation | None:
    """Cross-entropy and accuracy on validation jets; None for a training of fixed length."""
    assert config.finetune is not None
    count = config.finetune.val_jets
    if count is None:
        count = VALIDATED if config.data.labels_per_class is None else 0
    if not count:
        return None
    jets = _validation_jets(config, count).to(device)

    def measure(objective: Objective) -> dict[str, float]:
        assert isinstance(objective, Supervised)
        logits, labels = [], []
        for batch in InMemory(jets, 512, seed=None):
            logits.append(objective.logits(batch))
            labels.append(labels_of(batch))
        scores, truth = torch.cat(logits), torch.cat(labels)
        accuracy = (scores.argmax(1) == truth).float().mean()
        return {"val_loss": float(F.cross_entropy(scores, truth)), "val_accuracy": float(accuracy)}

    return Validation(measure=measure, every=config.finetune.validate_every, patience=config.finetune.patience)


def _some(batches: Loading, jets: int) -> Batch:
    """Jets of a training, without moving on in it."""
    if isinstance(batches, InMemory):
        return batches.jets
    state = batches.state_dict()
    some = take(batches, jets)
    batches.load_state_dict(state)
    return some


def _rates(objective: Supervised, config: RunConfig) -> dict[str, Rate]:
    """How the parameters of a pretrained encoder learn beside those of its head."""
    assert config.finetune is not None
    top = 1 / config.finetune.head_lr_factor
    return layer_rates(objective.encoder, top, config.finetune.layer_decay, objective.config.head_first, "encoder.")


def _finetune_one(args: argparse.Namespace, config: RunConfig, folder: Path, ranks: Ranks) -> int:
    """Train the classifier of one seed into ``folder``; gives the exit status."""
    batches, names = _training_batches(config, ranks)
    config = config.model_copy(update=names)
    seed_everything(config.seed)
    objective = new_objective(config)
    assert isinstance(objective, Supervised)
    if args.mode != "scratch":
        objective.encoder.load_state_dict(load_encoder(args.encoder)[0].state_dict())
    objective.encoder.requires_grad_(args.mode != "freeze")
    if objective.variables:
        objective.variables.to(ranks.device).fit(_some(batches, STANDARDISED).to(ranks.device))
    assert config.finetune is not None
    extras = Extras(
        validation=_early_stopping(config, ranks.device),
        rates=_rates(objective, config) if args.mode == "finetune" else {},
        max_minutes=args.max_minutes,
    )
    if config.deterministic:
        make_deterministic()
    with run_folder(folder, args.resume, config, ranks) as resume:
        outcome = train(objective, batches, config, folder, ranks, resume=resume, extras=extras)
    return status_of(outcome, folder, ranks)


def finetune(args: argparse.Namespace) -> int:
    """Train a classifier for each seed.

    Parameters
    ----------
    args
        Options of ``training/finetune.py``.

    Returns
    -------
    int
        Exit status: that of the first training that did not end on its own, else 0.

    Raises
    ------
    ConfigError, BadFileError, CheckpointError, TrainingError
        If the configuration, the data, the run folder or the training is at fault.
    """
    with process_group(args.device) as ranks:
        for seed in args.seeds:
            folder = args.output / f"seed{seed}" if len(args.seeds) > 1 else args.output
            status = _finetune_one(args, configure(args, seed), folder, ranks)
            if status:
                return status
    return 0
