"""What a model learns to do without: groups of fields, as not every format has them, and the scale of the jet."""

from __future__ import annotations

from typing import NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from training.models.encoder import EncoderConfig, Scale
from training.models.encoders import AnyEncoder, AnyEncoderConfig
from training.models.preprocess import DISPLACEMENT, IDENTITY
from training.objectives.base import ObjectiveError

GROUPS = {"drop_identity": IDENTITY, "drop_displacement": DISPLACEMENT}
"""Option to the fields that it drops together."""


class DropoutConfig(BaseModel):
    """Options of every objective whose inputs may be dropped."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    drop_identity: float = Field(default=0.0, ge=0, lt=1)
    """Probability that a jet in training has no identity and charge; the card then calls these fields optional."""
    drop_displacement: float = Field(default=0.0, ge=0, lt=1)
    """The same for the impact parameters."""
    drop_scale: float = Field(default=0.5, ge=0, le=1)
    """Probability that an encoder with ``scale_input`` is not shown the pT of a jet. At 0 it can only be used with the
    scale seen, at 1 only blind to it, in between either way."""


class Dropped(NamedTuple):
    """What an encoder learned to do without."""

    scales: tuple[Scale, ...]
    """Whether it may be blind to the scale of the jets, see it, or either; the default first."""
    fields: tuple[str, ...]
    """Fields of a particle that events may lack."""


def dropped(config: DropoutConfig | None, encoder: AnyEncoderConfig) -> Dropped:
    """What an encoder learns to do without.

    Parameters
    ----------
    config
        What is dropped in training; None for an objective that drops nothing.
    encoder
        Configuration of the encoder.

    Returns
    -------
    Dropped
    """
    fields: tuple[str, ...] = ()
    if config is not None:
        fields = tuple(field for name, group in GROUPS.items() if getattr(config, name) for field in group)
    if config is None or not (isinstance(encoder, EncoderConfig) and encoder.scale_input):
        return Dropped(("blind",) if encoder.scale_to_jet_pt else ("seen",), fields)
    if config.drop_scale in (0, 1):
        return Dropped(("blind",) if config.drop_scale else ("seen",), fields)
    return Dropped(("blind", "seen"), fields)


class FieldDropout(nn.Module):
    """Sets groups of fields of whole jets to 0, as they are for a model whose events lack them.

    Parameters
    ----------
    config
        Probabilities.
    encoder
        In training; its scale becomes the default of those that it learns.

    Raises
    ------
    ObjectiveError
        If the encoder has no such fields.
    """

    probability: Tensor
    group: Tensor

    def __init__(self, config: DropoutConfig, encoder: AnyEncoder) -> None:
        super().__init__()
        fields = encoder.config.fields
        probabilities = {name: getattr(config, name) for name in GROUPS}
        for name, probability in probabilities.items():
            if probability and GROUPS[name][0] not in fields:
                msg = f"{name}: {probability}, but the encoder's fields have no {GROUPS[name][0]}; set it to 0"
                raise ObjectiveError(msg)
        self.scales, self.optional_fields = dropped(config, encoder.config)
        encoder.scale = self.scales[0]
        self.drop_scale = config.drop_scale
        self.register_buffer("probability", torch.tensor([*probabilities.values()]), persistent=False)
        membership = [[float(field in group) for field in fields] for group in GROUPS.values()]
        self.register_buffer("group", torch.tensor(membership), persistent=False)

    def kept(self, numbers: Tensor) -> Tensor:
        """Which jets keep which group of fields.

        Parameters
        ----------
        numbers
            f32 [B, 2], in [0, 1).

        Returns
        -------
        Tensor
            bool [B, 2].
        """
        return numbers >= self.probability

    def forward(self, particles: Tensor, kept: Tensor) -> Tensor:
        """Particles without the fields that their jets do not keep.

        Parameters
        ----------
        particles
            [B, N, field].
        kept
            bool [B, 2], as from :meth:`kept`.

        Returns
        -------
        Tensor
            [B, N, field].
        """
        if not self.optional_fields:
            return particles
        dropped = (~kept).to(particles.dtype) @ self.group.to(particles.dtype)
        return particles * (1 - dropped).unsqueeze(1)

    def shown(self, numbers: Tensor) -> Tensor:
        """Which jets show their scale.

        Parameters
        ----------
        numbers
            f32 [B], in [0, 1).

        Returns
        -------
        Tensor
            bool [B].
        """
        return numbers >= self.drop_scale
