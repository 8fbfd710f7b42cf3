"""Checkpoints: complete, written atomically, loadable without running code, kept to a limit."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import nn

from jepa_coffea.errors import JepaCoffeaError
from training.config import ConfigError, RunConfig, check
from training.loop.build import build
from training.models.encoders import AnyEncoder
from training.objectives.base import Objective

FORMAT = 1
"""Version of the layout of a checkpoint file."""

BEST = "best.pt"
"""Where a run that validates keeps the weights that did best; what users of the run then load."""


class CheckpointError(JepaCoffeaError, ValueError):
    """A checkpoint that is missing, unreadable, or of another architecture."""


def save_atomically(content: dict[str, Any], path: Path) -> None:
    """Write ``content`` so that ``path`` at any moment, killed or not, is either the old file or the whole new one."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class Checkpoints:
    """The numbered checkpoints of one run folder, ``checkpoint-<step>.pt``, at most ``keep`` of them."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self.keep = folder, keep

    def all(self) -> list[Path]:
        """Complete checkpoints, oldest first."""
        return sorted(self.folder.glob("checkpoint-*.pt"))

    def save(self, step: int, content: dict[str, Any]) -> Path:
        """Write the checkpoint of ``step``, then remove the oldest beyond the limit and what killed runs left."""
        path = self.folder / f"checkpoint-{step:09d}.pt"
        save_atomically({"format": FORMAT, "step": step, **content}, path)
        for old in [*self.all()[: -self.keep], *self.folder.glob("checkpoint-*.pt.tmp")]:
            old.unlink(missing_ok=True)
        return path


def checkpoint_of(run: str | Path) -> Path:
    """The file to load from a run folder (``best.pt``, else the newest checkpoint); a file is itself.

    Raises
    ------
    CheckpointError
        If there is none.
    """
    run = Path(run)
    if run.is_file():
        return run
    best, numbered = run / BEST, Checkpoints(run, 1).all()
    if best.is_file():
        return best
    if not numbered:
        msg = f"{run}: expected a run folder with checkpoints, or a checkpoint file; found neither"
        raise CheckpointError(msg)
    return numbered[-1]


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Content of a checkpoint file, on the CPU; nothing in the file can run code.

    Raises
    ------
    CheckpointError
        If the file is not a checkpoint of this project, or of a newer format.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001  torch raises whatever its unpickler and zip reader do
        reason = str(error).split("\n", 1)[0]
        msg = f"{path}: not a readable checkpoint ({type(error).__name__}: {reason})"
        raise CheckpointError(msg) from None
    if not isinstance(content, dict) or "format" not in content:
        msg = f"{path}: not a checkpoint of this project: no 'format' in it"
        raise CheckpointError(msg)
    if content["format"] > FORMAT:
        msg = f"{path}: checkpoint format {content['format']}, this code reads up to {FORMAT}"
        raise CheckpointError(msg)
    return content


def config_of(content: dict[str, Any], path: str | Path) -> RunConfig:
    """Configuration of the run that wrote a checkpoint."""
    try:
        return check(content["config"], str(path))
    except ConfigError as error:
        msg = f"{path}: was written with a configuration that this version does not know:\n{error}"
        raise CheckpointError(msg) from None


def require_same(saved: dict[str, Any], config: RunConfig, path: str | Path) -> None:
    """Refuse to go on with weights of another encoder or objective.

    Raises
    ------
    CheckpointError
        Naming the fields that differ.
    """
    wanted = config.model_dump(mode="json")
    found = [
        line
        for section in ("encoder", "objective", "class_names", "observable_names")
        for line in differences(saved.get(section), wanted[section], section)
    ]
    if found:
        msg = f"{path}: a checkpoint of another architecture: {'; '.join(found)}"
        raise CheckpointError(msg)


def differences(saved: Any, wanted: Any, field: str) -> list[str]:
    """Leaves in which two configurations differ, as ``field: saved -> wanted``."""
    if isinstance(saved, dict) and isinstance(wanted, dict):
        keys = sorted({*saved, *wanted})
        return [line for key in keys for line in differences(saved.get(key), wanted.get(key), f"{field}.{key}")]
    return [] if saved == wanted else [f"{field} is {saved!r} in the checkpoint and {wanted!r} here"]


def restore(module: nn.Module, weights: dict[str, Any], path: str | Path) -> None:
    """Load ``weights`` into ``module``, every name and shape matching.

    Raises
    ------
    CheckpointError
        Naming the first weights that do not fit.
    """
    own = module.state_dict()
    problems = [f"no {name} in it" for name in own if name not in weights]
    problems += [f"{name} is unknown here" for name in weights if name not in own]
    problems += [
        f"{name} is {tuple(weights[name].shape)}, expected {tuple(own[name].shape)}"
        for name in own
        if name in weights and weights[name].shape != own[name].shape
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        msg = f"{path}: a checkpoint of another architecture: {'; '.join(problems[:3])}{more}"
        raise CheckpointError(msg)
    module.load_state_dict(weights)


def load_objective(run: str | Path) -> tuple[Objective, RunConfig]:
    """What a run trained, on the CPU and in evaluation mode, and the configuration of the run.

    ``run`` is a run folder (its best, else its newest weights are taken) or a checkpoint file.

    Raises
    ------
    CheckpointError
        If there is no such run, or it cannot be read.
    """
    path = checkpoint_of(run)
    content = read_checkpoint(path)
    config = config_of(content, path)
    objective = build(config)
    restore(objective, content["objective"], path)
    return objective.eval(), config


def load_encoder(run: str | Path) -> tuple[AnyEncoder, RunConfig]:
    """The encoder of a run, as it would be exported; otherwise like :func:`load_objective`."""
    objective, config = load_objective(run)
    return objective.exported(), config
