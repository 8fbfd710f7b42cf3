"""What an encoder is trained for: one objective per file, one interface for all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from training.models.encoder import Encoder, EncoderConfig
from training.models.encoders import AnyEncoderConfig, build_encoder
from training.models.subjets import SubjetConfig, SubjetEncoder
from training.objectives.base import Objective, ObjectiveError
from training.objectives.jjepa import JJEPA, JJEPAConfig
from training.objectives.pjepa import PJEPA, PJEPAConfig
from training.objectives.supervised import Supervised, SupervisedConfig

OBJECTIVES: dict[str, type[BaseModel]] = {"pjepa": PJEPAConfig, "jjepa": JJEPAConfig, "supervised": SupervisedConfig}
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
        Of the masks.

    Raises
    ------
    ObjectiveError
        If the name is unknown, or encoder or data do not suit the objective.
    pydantic.ValidationError
        If an option is unknown or impossible.
    """
    if name == "pjepa":
        if not isinstance(encoder, EncoderConfig):
            msg = "pjepa: needs an encoder of particles, got one of subjets; remove encoder.kind"
            raise ObjectiveError(msg)
        config = PJEPAConfig.model_validate(options)
        return PJEPA(Encoder(encoder), config, observables=observable_names, seed=seed)
    if name == "jjepa":
        if not isinstance(encoder, SubjetConfig):
            msg = "jjepa: needs an encoder of subjets; set encoder.kind to subjets"
            raise ObjectiveError(msg)
        return JJEPA(SubjetEncoder(encoder), JJEPAConfig.model_validate(options), seed=seed)
    if name == "supervised":
        return Supervised(build_encoder(encoder), SupervisedConfig.model_validate(options), class_names)
    msg = f"objective: unknown {name!r}; known: {', '.join(OBJECTIVES)}"
    raise ObjectiveError(msg)
