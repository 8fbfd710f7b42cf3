"""The configuration of a run: YAML, checked field by field, with overrides from the command line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from jepa_coffea.errors import JepaCoffeaError, did_you_mean
from jepa_coffea.files import write_text
from jepa_coffea.files.yaml import read_yaml
from training.data.config import DataConfig
from training.models.encoders import KINDS, AnyEncoderConfig
from training.objectives.dropout import GROUPS


class ConfigError(JepaCoffeaError, ValueError):
    """A configuration that cannot be run; the message names the field."""


class Part(BaseModel):
    """A section of a configuration: unknown keys are errors, values do not change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class OptimiserConfig(Part):
    """AdamW and its schedules; "fraction" of the learning rate is of its peak."""

    lr: float = Field(default=1e-3, gt=0)
    """Peak learning rate."""
    warmup: float = Field(default=0.05, ge=0, lt=1)
    """Part of the training in which the rate rises linearly."""
    decay: float | None = Field(default=None, gt=0, le=1)
    """Part of the training, at its end, in which the rate falls; None: from the end of the warm-up on."""
    lr_start_fraction: float = Field(default=0.1, ge=0, le=1)
    """Where the warm-up begins."""
    lr_final_fraction: float = Field(default=1e-3, ge=0, le=1)
    """Where the rate ends."""
    weight_decay: float = Field(default=0.05, ge=0)
    """Of matrices; biases and norms have none."""
    weight_decay_final: float | None = Field(default=None, ge=0)
    """Reached along a cosine; constant weight decay when None."""
    betas: tuple[float, float] = (0.9, 0.98)
    """How slowly AdamW forgets gradients, and their squares."""
    eps: float = Field(default=1e-8, gt=0)
    """Added to the root of the squares in AdamW."""
    clip: float = Field(default=1.0, gt=0)
    """Largest norm of the gradient; longer ones are scaled down to it."""

    @model_validator(mode="after")
    def _betas_below_one(self) -> Self:
        if not all(0 <= beta < 1 for beta in self.betas):
            msg = f"betas must lie in [0, 1), got {self.betas}"
            raise ValueError(msg)
        return self


class FinetuneConfig(Part):
    """How a classifier starts from a pretrained encoder, and when it stops."""

    encoder: str
    """Run folder or checkpoint that the encoder comes from; in scratch mode only its architecture does."""
    mode: Literal["finetune", "freeze", "scratch"] = "finetune"
    """Train the encoder on, keep it as it is, or start from random weights."""
    pretraining: dict[str, Any] = {}
    """How the encoder was trained before: objective, files, steps; filled in, and kept in the exported card."""
    head_lr_factor: float = Field(default=50.0, gt=0)
    """The head learns this much faster than a pretrained encoder: ``optimiser.lr`` is the head's rate."""
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    """Factor on the rate of a pretrained encoder from one block to the one below it, which is nearer the particles."""
    scratch_lr: float = Field(default=1e-3, gt=0)
    """Rate of head and encoder alike in scratch mode, instead of ``optimiser.lr``."""
    validate_every: int = Field(default=50, gt=0)
    """Steps between validations."""
    patience: int = Field(default=10, gt=0)
    """Validations without a lower loss after which training stops."""
    val_jets: int | None = Field(default=None, ge=0)
    """At most this many labelled jets of the validation split decide when to stop. They are labels, too: by default
    10 000 when all labels are trained on, and none with ``data.labels_per_class``; the steps are then fixed."""


class RunConfig(Part):
    """Everything that makes a run what it is; kept beside its checkpoints and in the exported card."""

    name: str = "encoder"
    """Of the model; stands in the card of the exported file."""
    start_from: str | None = None
    """Run folder or checkpoint of a pretraining whose weights this one starts from, with schedules of its own: to go on
    for longer, or with your own jets. Encoder and objective need the same shapes; other options may differ."""
    objective: dict[str, Any]
    """``name`` (``pjepa``, ``jjepa``, ``supervised``, ...) and the options of that objective."""
    encoder: AnyEncoderConfig
    data: DataConfig
    optimiser: OptimiserConfig = OptimiserConfig()
    steps: int = Field(gt=0)
    """Optimiser steps of the whole training."""
    accumulate: int = Field(default=1, gt=0)
    """Batches of the loader whose gradients are averaged into one step."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """bf16 is autocast: weights and optimiser stay in fp32. auto: bf16 where the hardware has it."""
    compile: bool = False
    """Compile the network with ``torch.compile``."""
    keep_in_memory: bool = False
    """Read the training jets once and keep them on the device, 7 kB per jet of 128 particles; one process only."""
    deterministic: bool = False
    """Refuse operations without a deterministic implementation; the same run then gives the same bits."""
    seed: int = Field(default=0, ge=0)
    """Of weights, masks and the order of jets."""
    log_every: int = Field(default=20, gt=0)
    """Steps between lines of ``metrics.jsonl``."""
    monitor_every: int = Field(default=200, gt=0)
    """Steps between the costly numbers: RankMe, spread, agreement of teacher and student."""
    probe_every: int | None = Field(default=None, gt=0)
    """Steps between probes of the frozen encoder; needs labels in the data."""
    checkpoint_every: int = Field(default=500, gt=0)
    """Steps between checkpoints."""
    keep_checkpoints: int = Field(default=3, gt=0)
    """The newest ones that are kept."""
    finetune: FinetuneConfig | None = None
    class_names: tuple[str, ...] = ()
    """Classes that labels index; read from the data when empty."""
    observable_names: tuple[str, ...] = ()
    """Jet observables that come with the data; read from the data when empty."""

    @model_validator(mode="after")
    def _objective_is_named(self) -> Self:
        if "name" not in self.objective:
            msg = "objective: has no name; expected one, as in {name: pjepa}"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _starts_once(self) -> Self:
        if self.start_from and self.finetune:
            msg = "start_from: it is for pretrainings; a fine-tuning starts from finetune.encoder (--encoder)"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _batches_hold_what_the_encoder_sees(self) -> Self:
        wanted, given = self.encoder.fields, self.data.fields
        if given != wanted and "fields" in self.data.model_fields_set:
            msg = f"data.fields {list(given)} are not encoder.fields {list(wanted)}; leave data.fields out"
            raise ValueError(msg)
        dropped = [*self.data.optional_fields]
        for option, group in GROUPS.items():
            dropped += group if self.objective.get(option) else ()
        optional = tuple(name for name in wanted if name in dropped)
        object.__setattr__(self, "data", self.data.model_copy(update={"fields": wanted, "optional_fields": optional}))
        return self


def explain(error: ValidationError, model: type[BaseModel], where: str) -> str:
    """Say what is wrong with a configuration.

    Parameters
    ----------
    error
        What pydantic found.
    model
        What it checked against.
    where
        Where the configuration is from.

    Returns
    -------
    str
        A line for each problem: the dotted field, what was wrong, what was given, and the nearest name for a typo.
    """
    lines = []
    for problem in error.errors():
        # The kind of encoder that pydantic chose is no field.
        field = ".".join(str(part) for part in problem["loc"] if part not in KINDS) or "(whole)"
        if problem["type"] == "extra_forbidden":
            known = _known_fields(model, problem["loc"][:-1])
            hint = f"; {did_you_mean(str(problem['loc'][-1]), known)}" if known else ""
            lines.append(f"{where}: unknown field {field}{hint}")
        elif problem["type"] == "missing":
            lines.append(f"{where}: field {field} is missing")
        else:
            message = problem["msg"].removeprefix("Value error, ")
            lines.append(f"{where}: field {field}: {message} (got {problem['input']!r})")
    return "\n".join(lines)


def _known_fields(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    for part in path:
        if part in KINDS:
            model = KINDS[str(part)]
            continue
        field = model.model_fields.get(str(part))
        if field is None:
            return []
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            model = field.annotation
    return list(model.model_fields)


def override(content: dict[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """Change fields of a configuration.

    Parameters
    ----------
    content
        Sections and fields; they stay as they are.
    assignments
        As in ``optimiser.lr=1e-3``; values are YAML.

    Returns
    -------
    dict
        The changed configuration.

    Raises
    ------
    ConfigError
        If an assignment has no ``=``, goes through something that is not a section, or its value is no YAML.
    """
    content = yaml.safe_load(yaml.safe_dump(content))
    for assignment in assignments:
        path, equals, value = assignment.partition("=")
        if not equals:
            msg = f"--set {assignment}: expected field=value, as in optimiser.lr=1e-3"
            raise ConfigError(msg)
        section = content
        *parents, key = path.split(".")
        for parent in parents:
            section = section.setdefault(parent, {})
            if not isinstance(section, dict):
                msg = f"--set {assignment}: {parent} is a value, not a section"
                raise ConfigError(msg)
        try:
            section[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            msg = f"--set {assignment}: the value is no YAML ({' '.join(str(error).split())})"
            raise ConfigError(msg) from None
    return content


def check(content: Mapping[str, Any], where: str) -> RunConfig:
    """Check a configuration.

    Parameters
    ----------
    content
        Sections and fields.
    where
        Where they are from, for errors.

    Returns
    -------
    RunConfig

    Raises
    ------
    ConfigError
        Naming every field that is unknown, missing or impossible.
    """
    try:
        return RunConfig.model_validate(content)
    except ValidationError as error:
        raise ConfigError(explain(error, RunConfig, where)) from None


def read_sections(path: str | Path) -> dict[str, Any]:
    """What a YAML file says, unchecked.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    dict
        Sections and fields.

    Raises
    ------
    ConfigError
        If the file is missing, or is not YAML with sections.
    """
    content = read_yaml(Path(path), ConfigError)
    if not isinstance(content, dict):
        msg = f"{path}: expected sections with fields, got {type(content).__name__}"
        raise ConfigError(msg)
    return content


def read_config(path: str | Path, assignments: Iterable[str] = (), *, data: Sequence[str] | None = None) -> RunConfig:
    """Configuration of a run, from a YAML file and the command line.

    Parameters
    ----------
    path
        The file.
    assignments
        Changes to it, as in ``optimiser.lr=1e-3``.
    data
        Globs of the files to train on, instead of those in the file.

    Returns
    -------
    RunConfig

    Raises
    ------
    ConfigError
        If the file is missing, is not YAML with sections, or holds something that cannot be run.
    """
    content = read_sections(path)
    if data:
        section = content.get("data") or {}
        if not isinstance(section, dict):
            msg = f"{path}: data: expected a section with fields, got {type(section).__name__}"
            raise ConfigError(msg)
        content["data"] = section | {"files": list(data)}
    return check(override(content, assignments), str(path))


def write_config(config: RunConfig, path: str | Path) -> None:
    """Write a configuration as YAML that :func:`read_config` reads back.

    Parameters
    ----------
    config
        Of a run.
    path
        The file.
    """
    write_text(Path(path), yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
