"""From a configuration to the objective it describes."""

from __future__ import annotations

from pydantic import ValidationError

from training.config import ConfigError, RunConfig, explain
from training.objectives import OBJECTIVES, build_objective
from training.objectives.base import Objective, ObjectiveError


def build(config: RunConfig) -> Objective:
    """The objective of ``config`` with a new encoder, initialised from the seed of the configuration's caller.

    Raises
    ------
    ConfigError
        If the objective is unknown, or an option of it is unknown or impossible.
    """
    options = dict(config.objective)
    name = options.pop("name", None)
    try:
        return build_objective(
            name,
            config.encoder,
            options,
            class_names=config.class_names,
            observable_names=config.observable_names,
            seed=config.seed,
        )
    except ValidationError as error:
        raise ConfigError(explain(error, OBJECTIVES[str(name)], f"{config.name}: objective {name}")) from None
    except ObjectiveError as error:
        msg = f"{config.name}: {error}"
        raise ConfigError(msg) from None
