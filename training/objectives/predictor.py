"""The predictor of a JEPA: from the context's tokens and hints on the hidden ones to the hidden ones' embeddings."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from training.models.attention import Block, padding_bias
from training.models.encoder import damp_residuals, initialise
from training.models.flops import block_macs
from training.models.norm import LayerNorm


class PredictorConfig(BaseModel):
    """Size of the predictor; the defaults are those published for P-JEPA."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dim: int = Field(default=192, gt=0)
    """Its width."""
    heads: int = Field(default=6, gt=0)
    """Of each attention; a divisor of the width."""
    blocks: int = Field(default=4, gt=0)
    """Its depth."""

    @model_validator(mode="after")
    def _possible(self) -> PredictorConfig:
        if self.dim % self.heads:
            msg = f"heads: {self.heads} heads do not divide the predictor's width {self.dim}"
            raise ValueError(msg)
        return self


class Predictor(nn.Module):
    """Transformer without pair bias over [context tokens, mask tokens].

    Parameters
    ----------
    config
        Its size.
    width
        Size D of the encoder's tokens.
    hint
        Number of features that a mask token is told of its particle.
    """

    def __init__(self, config: PredictorConfig, width: int, hint: int) -> None:
        super().__init__()
        dim = config.dim
        self.context = nn.Sequential(LayerNorm(width), nn.Linear(width, dim))
        self.hint = nn.Sequential(nn.Linear(hint, dim), nn.GELU(), nn.Linear(dim, dim))
        self.mask_token = nn.Parameter(torch.empty(dim))
        self.blocks = nn.ModuleList(Block(dim, config.heads) for _ in range(config.blocks))
        self.norm = LayerNorm(dim)
        self.embedding = nn.Linear(dim, width)
        nn.init.trunc_normal_(self.mask_token, std=0.02)
        initialise(self)
        damp_residuals(self.blocks)

    def forward(self, context: Tensor, context_mask: Tensor, hints: Tensor, target_mask: Tensor) -> Tensor:
        """Hidden states of the targets, which :attr:`embedding` turns into predicted embeddings [B, M, D].

        Parameters
        ----------
        context
            Tokens that are seen, [B, K, D].
        context_mask
            bool [B, K].
        hints
            What is told of the hidden ones, [B, M, F].
        target_mask
            bool [B, M].

        Returns
        -------
        Tensor
            [B, M, d].
        """
        known = self.context(context)
        asked = (self.hint(hints) + self.mask_token).to(known.dtype)
        x = torch.cat([known, asked], dim=1)
        bias = padding_bias(torch.cat([context_mask, target_mask], dim=1))
        for block in self.blocks:
            x = block(x, bias)
        return self.norm(x[:, context.shape[1] :])

    def macs(self, visible: float, hidden: float) -> float:
        """Multiply-accumulates of a forward pass for one jet, :attr:`embedding` included.

        Parameters
        ----------
        visible, hidden
            Tokens that are seen, and that are asked for.

        Returns
        -------
        float
        """
        seen, asked, given = (_macs_a_token(part) for part in (self.context, self.hint, self.embedding))
        ends = visible * seen + hidden * (asked + given)
        return ends + len(self.blocks) * block_macs(visible + hidden, len(self.mask_token))


class JetPredictor(nn.Module):
    """MLP from the jet embedding of the context to numbers about the whole jet.

    Parameters
    ----------
    width
        Size D of the embedding.
    outputs
        How many numbers.
    """

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, outputs))
        initialise(self)

    def forward(self, jet: Tensor) -> Tensor:
        """Predict.

        Parameters
        ----------
        jet
            [B, D].

        Returns
        -------
        Tensor
            [B, outputs].
        """
        return self.layers(jet)


def _macs_a_token(layers: nn.Module) -> int:
    linear = (layer for layer in layers.modules() if isinstance(layer, nn.Linear))
    return sum(layer.in_features * layer.out_features for layer in linear)


def normalise(x: Tensor) -> Tensor:
    """Layer norm over the last axis without affine, in fp32.

    Parameters
    ----------
    x
        [..., D].

    Returns
    -------
    Tensor
        float32 [..., D].
    """
    with torch.autocast(x.device.type, enabled=False):
        return F.layer_norm(x.float(), x.shape[-1:])
