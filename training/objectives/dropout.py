"""What a model learns to do without: groups of fields, as not every format has them, and the scale of the jet."""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from training.models.encoder import EncoderConfig, Scale
from training.models.encoders import AnyEncoderConfig
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


def scales_of(config: DropoutConfig, encoder: AnyEncoderConfig) -> tuple[Scale, ...]:
    """Which scales an encoder trained with ``config`` can be used with, the default first.

    Parameters
    ----------
    config
        How often the scale is withheld in training.
    encoder
        Configuration of the encoder.

    Returns
    -------
    tuple of {'blind', 'seen'}
    """
    if not (isinstance(encoder, EncoderConfig) and encoder.scale_input):
        return ("blind",) if encoder.scale_to_jet_pt else ("seen",)
    if config.drop_scale in (0, 1):
        return ("blind",) if config.drop_scale else ("seen",)
    return ("blind", "seen")


class FieldDropout(nn.Module):
    """Sets groups of fields of whole jets to 0, as they are for a model whose events lack them.

    Parameters
    ----------
    config
        Probabilities.
    fields
        Of the encoder.

    Raises
    ------
    ObjectiveError
        If the encoder has no such fields.
    """

    probability: Tensor
    group: Tensor

    def __init__(self, config: DropoutConfig, fields: tuple[str, ...]) -> None:
        super().__init__()
        probabilities = {name: getattr(config, name) for name in GROUPS}
        for name, probability in probabilities.items():
            if probability and GROUPS[name][0] not in fields:
                msg = f"{name}: {probability}, but the encoder's fields have no {GROUPS[name][0]}; set it to 0"
                raise ObjectiveError(msg)
        self.optional_fields = tuple(field for name, group in GROUPS.items() if probabilities[name] for field in group)
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
