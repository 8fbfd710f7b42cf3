"""Checkpoints: complete, written whole, checked when read, loadable without running code, kept to a limit."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import ValidationError
from torch import nn

from jepa_coffea.errors import JepaCoffeaError, closest
from jepa_coffea.files import PARTIAL, replacing
from training.config import ConfigError, RunConfig, check, explain
from training.models.encoders import AnyEncoder, build_encoder
from training.objectives import OBJECTIVES, build_objective, dropped_by
from training.objectives.base import Objective, ObjectiveError

log = logging.getLogger(__name__)

FORMAT = 1
"""Version of the layout of a checkpoint file."""

PRETRAINED = Path(__file__).parents[1] / "pretrained"
"""Runs that come with a checkout."""

BEST = "best.pt"
"""Where a run that validates keeps the weights that did best; what users of the run then load."""

EXPORTED = ("target.", "averaged.encoder.", "encoder.")
"""Where an objective keeps the encoder that is exported; of several the first: averages go before what they are of."""

GONE = ("agreement.covariance.", "jet_covariance.", "token_covariance.")
"""What objectives of older checkpoints kept and no newer one has; not looked at."""

T = TypeVar("T")


class CheckpointError(JepaCoffeaError, ValueError):
    """A checkpoint that is missing, damaged, or of another architecture."""


def save_checkpoint(content: dict[str, Any], path: Path) -> None:
    """Write a checkpoint so that the file at any moment, killed or not, is either the old one or the whole new one.

    Parameters
    ----------
    content
        Tensors and plain Python values.
    path
        The file.

    Raises
    ------
    StorageError
        If the disk is full or the folder cannot be written to.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        try:
            torch.save({"format": FORMAT, **content}, file)
        except RuntimeError as error:
            # torch's writer hides a full disk behind an error of its own.
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


class Checkpoints:
    """The numbered checkpoints of one run folder, ``checkpoint-<step>.pt``.

    Parameters
    ----------
    folder
        The run folder.
    keep
        At most so many checkpoints stay.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self.keep = folder, keep

    def all(self) -> list[Path]:
        """Complete checkpoints.

        Returns
        -------
        list of Path
            Oldest first.
        """
        return sorted(self.folder.glob("checkpoint-*.pt"))

    def save(self, step: int, content: dict[str, Any]) -> Path:
        """Write a checkpoint, then remove the oldest beyond the limit and what killed runs left.

        Parameters
        ----------
        step
            Optimiser steps that are done.
        content
            Tensors and plain Python values.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        StorageError
            If it cannot be written.
        """
        path = self.folder / f"checkpoint-{step:09d}.pt"
        save_checkpoint({"step": step, **content}, path)
        for old in [*self.all()[: -self.keep], *self.folder.glob(f".*.pt.*{PARTIAL}")]:
            old.unlink(missing_ok=True)
        return path


def checkpoint_of(run: str | Path) -> Path:
    """The file to load from a run.

    Parameters
    ----------
    run
        Run folder, or a checkpoint file, which is itself.

    Returns
    -------
    Path
        ``best.pt``, else the newest checkpoint.

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
        meant = closest(run.name, [folder.name for folder in PRETRAINED.glob("*")])
        hint = f"; did you mean {PRETRAINED / meant}?" if meant else ""
        msg = f"{run}: expected a run folder with checkpoints, or a checkpoint file; found neither{hint}"
        raise CheckpointError(msg)
    return numbered[-1]


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Content of a checkpoint file, on the CPU; nothing in the file can run code.

    Parameters
    ----------
    path
        The file. Its checksums (CRC-32, a part of the format) are compared with its content: torch does not.

    Returns
    -------
    dict
        See :func:`value_of`.

    Raises
    ------
    CheckpointError
        If the file is damaged, not a checkpoint of this project, or of a newer format.
    """
    try:
        with zipfile.ZipFile(path) as parts:
            damaged = parts.testzip()
        if damaged:
            msg = f"{path}: damaged: the checksum of {damaged} in it is wrong; use another checkpoint of the run"
            raise CheckpointError(msg)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except CheckpointError:
        raise
    except Exception as error:  # noqa: BLE001  torch raises whatever its unpickler and zip reader do
        reason = str(error).split("\n", 1)[0]
        msg = f"{path}: not a readable checkpoint ({type(error).__name__}: {reason})"
        raise CheckpointError(msg) from None
    if not isinstance(content, dict) or "format" not in content:
        msg = f"{path}: not a checkpoint of this project: no 'format' in it"
        raise CheckpointError(msg)
    version = value_of(content, "format", int, path)
    if version > FORMAT:
        msg = f"{path}: checkpoint format {version}, this code reads up to {FORMAT}"
        raise CheckpointError(msg)
    return content


def value_of(content: dict[str, Any], name: str, kind: type[T], path: str | Path) -> T:
    """A field of a checkpoint.

    Parameters
    ----------
    content
        What :func:`read_checkpoint` gave.
    name
        Name of the field.
    kind
        Its type.
    path
        The file, for the message.

    Returns
    -------
    T

    Raises
    ------
    CheckpointError
        If there is no such field, or it is of another type.
    """
    if name not in content:
        msg = f"{path}: has no {name!r}"
        if "objective" in content:
            msg += "; it holds weights to start from, not a state to resume: give it to --encoder"
        raise CheckpointError(msg)
    value = content[name]
    if not isinstance(value, kind):
        msg = f"{path}: {name} is of type {type(value).__name__}, expected {kind.__name__}"
        raise CheckpointError(msg)
    return value


def config_of(content: dict[str, Any], path: str | Path) -> RunConfig:
    """Configuration of the run that wrote a checkpoint.

    Parameters
    ----------
    content
        What :func:`read_checkpoint` gave.
    path
        The file, for the message.

    Returns
    -------
    RunConfig

    Raises
    ------
    CheckpointError
        If this version does not know the configuration.
    """
    try:
        return check(value_of(content, "config", dict, path), str(path))
    except ConfigError as error:
        msg = f"{path}: was written with a configuration that this version does not know:\n{error}"
        raise CheckpointError(msg) from None


def require_same(saved: dict[str, Any], config: RunConfig, path: str | Path) -> None:
    """Refuse to go on with weights of another encoder or objective.

    Parameters
    ----------
    saved
        Configuration in the checkpoint.
    config
        Configuration of the run that wants to go on.
    path
        The file, for the message.

    Raises
    ------
    CheckpointError
        Naming the fields that differ.
    """
    wanted = config.model_dump(mode="json")
    found = [
        line
        for section in ("encoder", "objective", "class_names", "observable_names")
        for line in _differences(saved.get(section), wanted[section], section)
    ]
    if found:
        msg = f"{path}: a checkpoint of another architecture: {'; '.join(found)}"
        raise CheckpointError(msg)


def _differences(saved: Any, wanted: Any, field: str) -> list[str]:
    """Leaves in which two configurations differ, as ``field: saved -> wanted``."""
    if isinstance(saved, dict) and isinstance(wanted, dict):
        keys = sorted({*saved, *wanted})
        return [line for key in keys for line in _differences(saved.get(key), wanted.get(key), f"{field}.{key}")]
    return [] if saved == wanted else [f"{field} is {saved!r} in the checkpoint and {wanted!r} here"]


def restore(module: nn.Module, weights: dict[str, Any], path: str | Path) -> None:
    """Load weights into a module, every name and shape matching but for what is ``GONE``.

    Parameters
    ----------
    module
        Gets the weights.
    weights
        Tensors by name.
    path
        Where they are from, for the message.

    Raises
    ------
    CheckpointError
        Naming the first weights that do not fit.
    """
    own, weights = module.state_dict(), {name: x for name, x in weights.items() if not name.startswith(GONE)}
    problems = [f"no {name} in it" for name in own if name not in weights]
    problems += [f"{name} is unknown here" for name in weights if name not in own]
    problems += [
        f"{name} is {_shape(weights[name])}, expected {_shape(own[name])}"
        for name in own
        if name in weights and _shape(weights[name]) != _shape(own[name])
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        msg = f"{path}: a checkpoint of another architecture: {'; '.join(problems[:3])}{more}"
        raise CheckpointError(msg)
    module.load_state_dict(weights)


def _shape(value: Any) -> tuple[int, ...] | str:
    """Shape of a tensor; the type of anything else."""
    return tuple(value.shape) if isinstance(value, torch.Tensor) else f"of type {type(value).__name__}"


def new_objective(config: RunConfig) -> Objective:
    """The objective that a configuration describes, with a new encoder.

    Parameters
    ----------
    config
        Of a run; the weights are drawn from torch's generator, which the caller seeds.

    Returns
    -------
    Objective

    Raises
    ------
    ConfigError
        If the objective is unknown, or an option of it is unknown or impossible.
    """
    options = dict(config.objective)
    name = options.pop("name", None)
    names = {"class_names": config.class_names, "observable_names": config.observable_names}
    try:
        return build_objective(name, config.encoder, options, **names, seed=config.seed)
    except ValidationError as error:
        raise ConfigError(explain(error, OBJECTIVES[str(name)].options, f"{config.name}: objective {name}")) from None
    except ObjectiveError as error:
        msg = f"{config.name}: {error}"
        raise ConfigError(msg) from None


def start_from(run: str | Path, objective: Objective, config: RunConfig) -> None:
    """Give a new objective the weights of another run, without the state of the optimiser.

    All weights when objective, classes and observables are the same. Else, or where the other run kept no more, those
    of the encoder as it would be exported: heads then start anew.

    Parameters
    ----------
    run
        Run folder (its best, else its newest weights are taken) or checkpoint file.
    objective
        Gets the weights.
    config
        Of the new run. Its options may differ from the other run's as long as the weights have the same shapes.

    Raises
    ------
    CheckpointError
        If there is no such run, it cannot be read, or its weights have other shapes.
    """
    path = checkpoint_of(run)
    content = read_checkpoint(path)
    saved, weights = config_of(content, path), value_of(content, "objective", dict, path)
    if _learns(saved) == _learns(config) and not all(str(name).startswith(EXPORTED) for name in weights):
        restore(objective, weights, path)
        return
    encoder, _ = load_encoder(path)
    for place in EXPORTED:
        if any(name.startswith(place) for name in objective.state_dict()):
            restore(objective.get_submodule(place.rstrip(".")), encoder.state_dict(), path)
    log.warning(
        "%s: of another objective or other data, or no more than an encoder: only that is taken, the heads start anew",
        path,
    )


def _learns(config: RunConfig) -> tuple[object, ...]:
    """What the heads of a run are about."""
    return config.objective["name"], config.class_names, config.observable_names


def load_objective(run: str | Path) -> tuple[Objective, RunConfig]:
    """What a run trained, and the configuration of the run.

    Parameters
    ----------
    run
        Run folder (its best, else its newest weights are taken) or a checkpoint file.

    Returns
    -------
    tuple
        The objective, on the CPU and in evaluation mode, and the configuration.

    Raises
    ------
    CheckpointError
        If there is no such run, or it cannot be read.
    """
    path = checkpoint_of(run)
    content = read_checkpoint(path)
    config = config_of(content, path)
    objective = new_objective(config)
    restore(objective, value_of(content, "objective", dict, path), path)
    return objective.eval(), config


def exported_part(weights: Iterable[str]) -> str:
    """Which part of an objective's weights is the encoder that would be exported.

    Parameters
    ----------
    weights
        Names of the weights.

    Returns
    -------
    str
        What the names of that part begin with, of ``EXPORTED``.
    """
    names = [*map(str, weights)]
    return next((part for part in EXPORTED if any(name.startswith(part) for name in names)), EXPORTED[-1])


def load_encoder(run: str | Path) -> tuple[AnyEncoder, RunConfig]:
    """The encoder of a run, as it would be exported.

    Nothing else that the run trained is read (predictors, averages), nor need this version have the same of it: an
    encoder outlives its objective.

    Parameters
    ----------
    run
        Run folder or checkpoint file.

    Returns
    -------
    tuple
        The encoder, on the CPU and in evaluation mode, and the configuration.

    Raises
    ------
    CheckpointError
        If there is no such run, or it cannot be read.
    """
    path = checkpoint_of(run)
    content = read_checkpoint(path)
    config = config_of(content, path)
    weights = value_of(content, "objective", dict, path)
    part = exported_part(weights)
    encoder = build_encoder(config.encoder)
    restore(encoder, {name.removeprefix(part): weights[name] for name in weights if name.startswith(part)}, path)
    encoder.scale = dropped_by(config.objective, config.encoder).scales[0]
    return encoder.eval(), config
