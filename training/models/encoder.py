"""The jet encoder: ParticleTransformer (arXiv 2202.03772) from detector quantities to embeddings.

It differs from the published network in one point: there are no batch norms. A JEPA student sees subsets of jets and
its target whole jets; batches hold jets of similar multiplicity; ranks and micro-batches must not change a result. All
three make batch statistics wrong. Features are standardised by fixed constants instead, and the learned affine of the
input norm stays; the batch norms inside the pair network are what its next linear layer can express anyway.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Literal, NamedTuple, Self

import torch
import torch.nn.functional as F  # noqa: N812
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from training.models.attention import Block, ClassBlock, padding_bias
from training.models.norm import LayerNorm
from training.models.pairs import PairBias
from training.models.preprocess import DISPLACEMENT, FIELDS, IDENTITY, KINEMATICS, REFERENCE_PT, ParticleFeatures

Width = Annotated[int, Field(gt=0)]
Scale = Literal["blind", "seen"]


class EncoderConfig(BaseModel):
    """Size of the encoder and what it sees; the defaults are ParticleTransformer's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["particles"] = "particles"
    """A jet as a sequence of particles."""
    fields: tuple[str, ...] = FIELDS
    """Fields of a particle, in order: kinematics, then optionally identity and displacement."""
    max_particles: int = Field(default=128, gt=0)
    """The hardest particles of a jet that are used."""
    scale_to_jet_pt: bool = True
    """Scale each jet to pT = 500 GeV, so that the embedding does not know the scale of the event."""
    boost_to_jet: bool = False
    """Boost each jet along the beam to rapidity 0. Otherwise an embedding tells how far forward its jet is, and those
    of two jets tell much of the dijet mass."""
    scale_input: bool = False
    """The jet's pT as an input that can be withheld, so that one encoder serves with the scale seen (for tagging) and
    blind to it (for searches in a mass); see :attr:`Encoder.scale`. Needs ``scale_to_jet_pt``."""
    pooled: bool = False
    """The embedding is the class token and, beside it, the mean of the particles' embeddings, weighted by pT."""
    embed_dims: tuple[Width, ...] = Field(default=(128, 512, 128), min_length=1)
    """Widths of the particle embedding; the last is the width D of the encoder."""
    pair_dims: tuple[Width, ...] = (64, 64, 64)
    """Hidden widths of the pair network; empty: attention without pair bias."""
    heads: int = Field(default=8, gt=0)
    """Of each attention; a divisor of the width."""
    blocks: int = Field(default=8, gt=0)
    """In which particles attend to one another."""
    class_blocks: int = Field(default=2, gt=0)
    """In which the class token, the embedding of the jet, attends to the particles."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """In the particle blocks, as is usual in supervised training (0.1)."""
    recompute_pairs: bool = False
    """Recompute the pair network in the backward pass: less memory, a little more time."""

    @property
    def dim(self) -> int:
        """Width of the encoder and of the particles' embeddings.

        Returns
        -------
        int
        """
        return self.embed_dims[-1]

    @property
    def embedding_dim(self) -> int:
        """Size of a jet's embedding.

        Returns
        -------
        int
        """
        return 2 * self.dim if self.pooled else self.dim

    @model_validator(mode="after")
    def _possible(self) -> Self:
        groups = [KINEMATICS + i + d for i in ((), IDENTITY) for d in ((), DISPLACEMENT)]
        if self.fields not in groups:
            msg = f"fields: got {list(self.fields)}, expected one of {[list(group) for group in groups]}"
            raise ValueError(msg)
        if self.dim % self.heads:
            msg = f"heads: {self.heads} heads do not divide the width {self.dim} (last of embed_dims)"
            raise ValueError(msg)
        if self.scale_input and not self.scale_to_jet_pt:
            msg = "scale_input: needs scale_to_jet_pt, or momenta show the scale that the input withholds"
            raise ValueError(msg)
        return self


class Encoded(NamedTuple):
    """Outputs of an encoder."""

    jet: Tensor
    """[B, embedding_dim], one embedding per jet; the class token comes first."""
    tokens: Tensor
    """[B, N, D], one embedding per particle; arbitrary at padding."""
    mask: Tensor
    """bool [B, N], True at real tokens."""


class ParticleEmbedding(nn.Module):
    """Affine per feature, then [LN, Linear, GELU] for each width.

    Parameters
    ----------
    features
        Number F of features of a particle.
    dims
        Widths of the layers; the last is D.
    """

    def __init__(self, features: int, dims: tuple[int, ...]) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(features))
        self.shift = nn.Parameter(torch.zeros(features))
        widths = (features, *dims)
        self.norms = nn.ModuleList(LayerNorm(width) for width in widths[:-1])
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        """Embed particles, each on its own.

        Parameters
        ----------
        x
            [B, N, F].

        Returns
        -------
        Tensor
            [B, N, D].
        """
        x = x * self.scale + self.shift
        for norm, layer in zip(self.norms, self.layers, strict=True):
            x = F.gelu(layer(norm(x)))
        return x


class ScaleInput(nn.Module):
    """The jet's pT as a vector that is added to every token, or, where it is withheld, a learned vector instead.

    Parameters
    ----------
    dim
        Width D of the vectors.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(1, dim), nn.GELU(), nn.Linear(dim, dim))
        self.withheld = nn.Parameter(torch.zeros(dim))

    def forward(self, jets: Tensor, seen: Tensor) -> Tensor:
        """Vectors to add to the tokens.

        Parameters
        ----------
        jets
            f32 [B, 4], px py pz energy in GeV.
        seen
            bool [B] or [], where the pT may be known.

        Returns
        -------
        Tensor
            [B, D].
        """
        with torch.autocast(jets.device.type, enabled=False):
            pt = (jets[:, :1].float().square() + jets[:, 1:2].float().square()).clamp(min=1e-6).sqrt()
            log_pt = (pt / REFERENCE_PT).log().clamp(-4, 4)
        return torch.where(seen.unsqueeze(-1), self.layers(log_pt), self.withheld)


class Encoder(nn.Module):
    """Raw jets to an embedding of each jet and of each particle.

    Parameters
    ----------
    config
        Size of the encoder and what it sees.
    """

    scale: Scale
    """Whether it sees the scale of the jets. With ``scale_input`` this may be set, for calls that do not say."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.scale = "blind" if config.scale_to_jet_pt else "seen"
        dim, heads = config.dim, config.heads
        self.preprocess = ParticleFeatures(
            config.fields, scale_to_jet_pt=config.scale_to_jet_pt, boost_to_jet=config.boost_to_jet
        )
        self.embedding = ParticleEmbedding(len(self.preprocess.names), config.embed_dims)
        self.pairs = PairBias(config.pair_dims, heads, recompute=config.recompute_pairs) if config.pair_dims else None
        self.blocks = nn.ModuleList(Block(dim, heads, config.dropout) for _ in range(config.blocks))
        self.class_token = nn.Parameter(torch.empty(dim))
        self.class_blocks = nn.ModuleList(ClassBlock(dim, heads) for _ in range(config.class_blocks))
        self.norm = LayerNorm(dim)
        if config.scale_input:
            self.scale_input = ScaleInput(dim)
            initialise(self.scale_input)
        if config.pooled:
            self.pooled_norm = LayerNorm(dim)
        nn.init.trunc_normal_(self.class_token, std=0.02)
        initialise(self.embedding)
        for blocks in (self.blocks, self.class_blocks):
            initialise(blocks)
        damp_residuals(self.blocks)

    def forward(
        self, particles: Tensor, mask: Tensor, jets: Tensor, last: int = 1, seen: Tensor | None = None
    ) -> Encoded:
        """Encode jets; a subset of a jet's particles is encoded by passing just these (and their mask).

        Parameters
        ----------
        particles
            f32 [B, N, field], fields of the configuration in detector units.
        mask
            bool [B, N].
        jets
            f32 [B, 4], px py pz energy in GeV.
        last
            Above 1: the particle embeddings are the mean of the layer-normed outputs of this many last blocks.
        seen
            bool [B], which jets show their scale; by default all or none, as :attr:`scale` says.

        Returns
        -------
        Encoded
            An embedding of each jet, and one of each particle.
        """
        features, p4 = self.preprocess(particles, mask, jets)
        padding = padding_bias(mask)
        bias = padding if self.pairs is None else self.pairs(p4, mask)
        x, token = self.embedding(features), self.class_token
        if self.config.scale_input:
            scale = self.scale_input(jets, self._shows_scale(jets) if seen is None else seen).to(x.dtype)
            x, token = x + scale.unsqueeze(1), token + scale
        outputs = []
        for block in self.blocks:
            x = block(x, bias)
            outputs.append(x)
        jet = token.to(x.dtype).expand(x.shape[0], -1)
        for block in self.class_blocks:
            jet = block(jet, x, padding)
        tokens = x if last == 1 else torch.stack([F.layer_norm(y, y.shape[-1:]) for y in outputs[-last:]]).mean(0)
        return Encoded(self.embed_jet(jet, x, p4, mask), tokens, mask)

    def _shows_scale(self, jets: Tensor) -> Tensor:
        """bool [], whether calls that do not say show the scale."""
        return torch.tensor(self.scale == "seen", device=jets.device)

    def embed_jet(self, token: Tensor, x: Tensor, p4: Tensor, mask: Tensor) -> Tensor:
        """Embeddings of jets from class tokens and, for a pooled encoder, those of the particles.

        Parameters
        ----------
        token
            [B, D], class tokens.
        x
            [B, N, D], embeddings of the particles.
        p4
            f32 [B, N, 4], px py pz energy of the particles; their pT are the weights of the mean.
        mask
            bool [B, N].

        Returns
        -------
        Tensor
            [B, embedding_dim].
        """
        jet = self.norm(token)
        if not self.config.pooled:
            return jet
        return torch.cat([jet, self.pooled_norm(_weighted_mean(x, p4, mask))], dim=-1)


def _weighted_mean(x: Tensor, p4: Tensor, mask: Tensor) -> Tensor:
    """Mean [B, D] of ``x`` [B, N, D] over real particles, weighted by the pT of ``p4`` [B, N, 4]; 0 of none."""
    with torch.autocast(p4.device.type, enabled=False):
        weights = (p4[..., 0].square() + p4[..., 1].square()).sqrt() * mask
        # Products instead of sums: onnxruntime gives what is summed over an axis of an empty batch the wrong shape.
        total = torch.matmul(weights, weights.new_ones(weights.shape[1], 1))
        share = weights / total.clamp(min=1e-6)
    return torch.matmul(share.to(x.dtype).unsqueeze(1), x).squeeze(1)


def initialise(module: nn.Module) -> None:
    """Xavier-uniform weights, with q, k and v each on their own, and zero biases.

    Parameters
    ----------
    module
        Its linear layers are set in place.
    """
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Linear):
            parts = 3 if name.endswith("qkv") else 1
            for weight in layer.weight.data.chunk(parts):
                nn.init.xavier_uniform_(weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def damp_residuals(blocks: nn.ModuleList) -> None:
    """Divide what block number n adds to the residual stream by sqrt(2 n) (arXiv 2106.08254).

    Parameters
    ----------
    blocks
        Changed in place; the first has number 1.
    """
    for number, block in enumerate(blocks, start=1):
        assert isinstance(block, Block)
        block.out.weight.data.div_(math.sqrt(2 * number))
        block.feed_forward.fc2.weight.data.div_(math.sqrt(2 * number))
