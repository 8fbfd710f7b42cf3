"""What an encoder is trained for: one objective per file, one interface for all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from training.models.encoder import Encoder, EncoderConfig
from training.models.encoders import AnyEncoderConfig, build_encoder
from training.models.subjets import SubjetConfig, SubjetEncoder
from training.objectives.base import Objective, ObjectiveError
from training.objectives.dropout import DropoutConfig, Dropped, dropped
from training.objectives.jetclr import JetCLR, JetCLRConfig
from training.objectives.jjepa import JJEPA, JJEPAConfig
from training.objectives.mpm import MPM, MPMConfig
from training.objectives.pjepa import PJEPA, PJEPAConfig
from training.objectives.supervised import Supervised, SupervisedConfig

OBJECTIVES: dict[str, type[BaseModel]] = {
    "pjepa": PJEPAConfig,
    "jjepa": JJEPAConfig,
    "supervised": SupervisedConfig,
    "mpm": MPMConfig,
    "jetclr": JetCLRConfig,
}
"""Names of the objectives, and what their options are."""


def build_objective(
    name: str,
    encoder: AnyEncoderConfig,
    options: Mapping[str, Any],
    *,
    class_names: tuple[str, ...] = (),
    observable_names: tuple[str, ...] = (),
    seed: int = 0,
) -> Objective:
    """The objective ``name`` with a new encoder.

    Parameters
    ----------
    options
        Fields of the objective's configuration.
    class_names
        Names of the labels of the data.
    observable_names
        Names of the columns of ``Batch.observables``.
    seed
        Of masks and copies.

    Raises
    ------
    ObjectiveError
        If the name is unknown, or encoder or data do not suit the objective.
    pydantic.ValidationError
        If an option is unknown or impossible.
    """
    if name in ("pjepa", "mpm", "jetclr"):
        if not isinstance(encoder, EncoderConfig):
            msg = f"{name}: needs an encoder of particles, got one of subjets; remove encoder.kind"
            raise ObjectiveError(msg)
        if name == "mpm":
            return MPM(Encoder(encoder), MPMConfig.model_validate(options), seed=seed)
        if name == "jetclr":
            return JetCLR(Encoder(encoder), JetCLRConfig.model_validate(options), seed=seed)
        config = PJEPAConfig.model_validate(options)
        return PJEPA(Encoder(encoder), config, observables=observable_names, seed=seed)
    if name == "jjepa":
        if not isinstance(encoder, SubjetConfig):
            msg = "jjepa: needs an encoder of subjets; set encoder.kind to subjets"
            raise ObjectiveError(msg)
        return JJEPA(SubjetEncoder(encoder), JJEPAConfig.model_validate(options), seed=seed)
    if name == "supervised":
        supervised = SupervisedConfig.model_validate(options)
        return Supervised(build_encoder(encoder), supervised, class_names, observable_names)
    msg = f"objective: unknown {name!r}; known: {', '.join(OBJECTIVES)}"
    raise ObjectiveError(msg)


def dropped_by(objective: Mapping[str, Any], encoder: AnyEncoderConfig) -> Dropped:
    """What an objective made its encoder learn to do without, from the configuration of the run alone.

    Parameters
    ----------
    objective
        ``name`` and options; those that do not drop anything are not looked at.
    encoder
        Of the run.

    Returns
    -------
    Dropped
    """
    kind = OBJECTIVES.get(str(objective.get("name")), DropoutConfig)
    if not issubclass(kind, DropoutConfig):
        return dropped(None, encoder)
    defaults = {name: kind.model_fields[name].default for name in DropoutConfig.model_fields}
    options = {name: objective.get(name, default) for name, default in defaults.items()}
    return dropped(DropoutConfig(**options), encoder)
