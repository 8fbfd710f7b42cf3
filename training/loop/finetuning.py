"""From a pretrained encoder to classifiers: one training a seed, with early stopping on validation jets."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from rich.console import Console

from jepa_coffea.errors import BadFileError
from training.config import RunConfig, check, override, read_sections
from training.data.batch import Batch
from training.data.loader import make_loader
from training.data.sources import Files, expand, named
from training.loop.batches import InMemory, Loading, labels_of, take
from training.loop.checkpoint import checkpoint_of, load_encoder, new_objective, read_checkpoint, value_of
from training.loop.distributed import Ranks, process_group
from training.loop.entry import run_folder, status_of
from training.loop.loop import train
from training.loop.numerics import make_deterministic, seed_everything
from training.loop.state import Extras, Validation
from training.objectives.base import Objective
from training.objectives.dropout import GROUPS
from training.objectives.supervised import Supervised

IN_MEMORY = 200_000
"""Up to this many labelled jets are kept in memory rather than read again each epoch."""


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
    content["finetune"] = content.get("finetune", {}) | {"encoder": str(args.encoder), "mode": args.mode}
    if args.mode != "scratch":
        content["finetune"]["pretraining"] = _history_of(args.encoder, pretrained)
    content["seed"] = seed
    config = check(override(content, args.set), str(args.config))
    if args.mode != "scratch":
        return config
    assert config.finetune is not None
    optimiser = config.optimiser.model_copy(update={"lr": config.finetune.scratch_lr})
    return config.model_copy(update={"optimiser": optimiser})


def _data_of(args: argparse.Namespace, pretrained: RunConfig) -> dict[str, Any]:
    """What a fine-tuning takes over of the data of its encoder.

    The files for validation and test of the pretraining hold out jets of the same data only, and only where they are:
    other jets, and those of an encoder from elsewhere, are split by the fractions.
    """
    data: dict[str, Any] = pretrained.data.model_dump(mode="json")
    missing = _missing(pretrained.data.files)
    if missing and not args.data:
        msg = f"{missing}; {args.encoder} was trained on these files: give labelled jets with --data"
        raise BadFileError(msg)
    own = data["files"] if isinstance(data["files"], list) else [data["files"]]
    for name in ("val_files", "test_files"):
        held_out = getattr(pretrained.data, name)
        if args.data and (list(args.data) != own or (held_out and _missing(held_out))):
            data[name] = None
    return data


def _missing(files: Files) -> str | None:
    """What is not on this machine of some files; None when all are."""
    try:
        for source in named(files).values():
            expand(source.files)
    except BadFileError as error:
        return str(error)
    return None


def _history_of(run: str | Path, config: RunConfig) -> dict[str, Any]:
    """What the card of a classifier says of its encoder's past: the run that trained it, and those before."""
    settings = config.model_dump(mode="json")
    past = {"name": config.name, "objective": settings["objective"], "files": settings["data"]["files"]}
    path = checkpoint_of(run)
    past["steps"] = value_of(read_checkpoint(path), "step", int, path)
    if config.finetune and config.finetune.pretraining:
        past["pretraining"] = config.finetune.pretraining
    return past


def _training_batches(config: RunConfig, ranks: Ranks) -> tuple[Loading, tuple[str, ...]]:
    """Labelled batches of this process, and the class names; a small set is read once and kept in memory."""
    loader = make_loader(config.data, rank=ranks.rank, world_size=ranks.world_size, seed=config.seed, labels=True)
    if loader.jets_per_epoch > IN_MEMORY or ranks.world_size > 1:
        return loader, loader.class_names
    jets = take(loader, loader.jets_per_epoch)
    return InMemory(jets.to(ranks.device), config.data.batch_size, seed=config.seed), loader.class_names


def _validation_jets(config: RunConfig, count: int) -> Batch:
    """Up to ``count`` labelled jets of the validation split, a fair sample of it."""
    mixed = config.data.model_copy(update={"bucketed": False})
    return take(make_loader(mixed, split="val", labels=True), count)


def _early_stopping(config: RunConfig, device: torch.device) -> Validation:
    """Cross-entropy and accuracy on validation jets."""
    assert config.finetune is not None
    jets = _validation_jets(config, config.finetune.val_jets).to(device)

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


def _finetune_one(args: argparse.Namespace, config: RunConfig, folder: Path, ranks: Ranks) -> int:
    """Train the classifier of one seed into ``folder``; gives the exit status."""
    with Console(stderr=True, quiet=not ranks.first).status("reading labelled jets"):
        batches, classes = _training_batches(config, ranks)
    config = config.model_copy(update={"class_names": classes})
    seed_everything(config.seed)
    objective = new_objective(config)
    encoder = objective.exported()
    if args.mode != "scratch":
        encoder.load_state_dict(load_encoder(args.encoder)[0].state_dict())
    encoder.requires_grad_(args.mode != "freeze")
    assert config.finetune is not None
    extras = Extras(
        validation=_early_stopping(config, ranks.device),
        slow=tuple(encoder.parameters()) if args.mode == "finetune" else (),
        slow_scale=1 / config.finetune.head_lr_factor,
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
