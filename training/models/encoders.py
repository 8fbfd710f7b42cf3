"""Both kinds of encoder, and which one a configuration describes."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Discriminator, Tag

from training.models.encoder import Encoder, EncoderConfig
from training.models.subjets import SubjetConfig, SubjetEncoder

AnyEncoder = Encoder | SubjetEncoder
KINDS: dict[str, type[BaseModel]] = {"particles": EncoderConfig, "subjets": SubjetConfig}
"""Values of the field ``kind`` of an encoder's configuration."""


def _kind(value: Any) -> Any:
    return value.get("kind", "particles") if isinstance(value, dict) else getattr(value, "kind", None)


AnyEncoderConfig = Annotated[
    Annotated[EncoderConfig, Tag("particles")] | Annotated[SubjetConfig, Tag("subjets")], Discriminator(_kind)
]


def build_encoder(config: AnyEncoderConfig) -> AnyEncoder:
    """A new encoder.

    Parameters
    ----------
    config
        Of either kind.

    Returns
    -------
    Encoder or SubjetEncoder
    """
    return SubjetEncoder(config) if isinstance(config, SubjetConfig) else Encoder(config)
