"""What an encoder is trained for: one objective per file, one interface for all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.models.encoder import Encoder, EncoderConfig
from training.objectives.base import Objective, ObjectiveError
from training.objectives.pjepa import PJEPA, PJEPAConfig
from training.objectives.supervised import Supervised, SupervisedConfig

OBJECTIVES = ("pjepa", "supervised")


def build_objective(
    name: str,
    encoder: EncoderConfig,
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
        config = PJEPAConfig.model_validate(options)
        return PJEPA(Encoder(encoder), config, observables=observable_names, seed=seed)
    if name == "supervised":
        return Supervised(Encoder(encoder), SupervisedConfig.model_validate(options), class_names)
    msg = f"objective: unknown {name!r}; known: {', '.join(OBJECTIVES)}"
    raise ObjectiveError(msg)
