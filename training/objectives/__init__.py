"""What an encoder is trained for: one objective per file, one interface for all."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any

from jepa_coffea.errors import did_you_mean
from training.models.encoders import AnyEncoderConfig, build_encoder
from training.objectives.base import OBJECTIVES, Objective, ObjectiveError, register
from training.objectives.dropout import DropoutConfig, Dropped, dropped

__all__ = ["OBJECTIVES", "build_objective", "dropped_by", "register"]

# Importing a file of this folder registers its objective.
for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


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
    name
        Of the objective.
    encoder
        Of the new encoder.
    options
        Fields of the objective's configuration.
    class_names
        Names of the labels of the data.
    observable_names
        Names of the columns of ``Batch.observables``.
    seed
        Of masks and copies.

    Returns
    -------
    Objective

    Raises
    ------
    ObjectiveError
        If the name is unknown, or encoder or data do not suit the objective.
    pydantic.ValidationError
        If an option is unknown or impossible.
    """
    if name not in OBJECTIVES:
        msg = f"objective: unknown {name!r}; {did_you_mean(str(name), OBJECTIVES)}"
        raise ObjectiveError(msg)
    objective = OBJECTIVES[name]
    if objective.takes not in (None, encoder.kind):
        msg = (
            f"{name}: expected an encoder of {objective.takes}, got one of {encoder.kind}; "
            f"set encoder.kind to {objective.takes}"
        )
        raise ObjectiveError(msg)
    config = objective.options.model_validate(options)
    names = {"class_names": class_names, "observable_names": observable_names}
    return objective.make(build_encoder(encoder), config, **names, seed=seed)


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
    known = OBJECTIVES.get(str(objective.get("name")))
    kind = DropoutConfig if known is None else known.options
    if not issubclass(kind, DropoutConfig):
        return dropped(None, encoder)
    defaults = {name: kind.model_fields[name].default for name in DropoutConfig.model_fields}
    options = {name: objective.get(name, default) for name, default in defaults.items()}
    return dropped(DropoutConfig(**options), encoder)
