"""The J-JEPA encoder: a jet as a sequence of subjets (Katel et al., arXiv 2412.05333).

Particles come with the index of their Cambridge/Aachen R = 0.2 subjet. Each of the (at most 20) subjets becomes one
token, by an MLP on the flattened constituents or by attention among them and a class token; a transformer without pair
bias works on the tokens. Inputs, outputs and the exported file are those of every other encoder; the token embeddings
are those of subjets, and a particle's embedding is that of its subjet.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from training.models.attention import Block, ClassBlock, padding_bias
from training.models.elementary import asinh
from training.models.encoder import Encoded, Scale, damp_residuals, initialise
from training.models.preprocess import FIELDS, SUBJET, ParticleFeatures
from training.models.slices import slices

CONSTITUENTS = 512
"""Constituents in a slice of subjets, about."""


class SubjetConfig(BaseModel):
    """Size of the subjet encoder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["subjets"] = "subjets"
    """A jet as a sequence of subjets."""
    embedding: Literal["flatten", "attention"] = "attention"
    """How constituents become a token: an MLP on all of them side by side, or attention and class attention."""
    max_particles: int = Field(default=128, gt=0)
    """The hardest particles of a jet that are used."""
    max_subjets: int = Field(default=20, gt=0)
    """Softer subjets are left out."""
    max_constituents: int = Field(default=32, gt=0)
    """The hardest constituents of a subjet that are used."""
    scale_to_jet_pt: bool = True
    """Scale each jet to pT = 500 GeV, so that the embedding does not know the scale of the event."""
    dim: int = Field(default=128, gt=0)
    """Width of the encoder."""
    heads: int = Field(default=8, gt=0)
    """Of each attention; a divisor of the width."""
    blocks: int = Field(default=8, gt=0)
    """In which subjets attend to one another."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """In the blocks."""

    @property
    def fields(self) -> tuple[str, ...]:
        """Fields of a particle, in order.

        Returns
        -------
        tuple of str
        """
        return (*FIELDS, SUBJET)

    @property
    def embedding_dim(self) -> int:
        """Size of a jet's embedding.

        Returns
        -------
        int
        """
        return self.dim

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.dim % self.heads:
            msg = f"heads: {self.heads} heads do not divide the width {self.dim}"
            raise ValueError(msg)
        return self


class Subjets(NamedTuple):
    """Constituents sorted into subjets."""

    features: Tensor
    """f32 [B, S, C, F], 0 where there is no constituent."""
    mask: Tensor
    """bool [B, S, C]."""
    directions: Tensor
    """f32 [B, S, 4], sin and cos of eta, sin and cos of phi of the subjets' momenta."""
    position: Tensor
    """int64 [B, N], slot of each particle in the flattened S x C, S x C for one that has none."""

    @property
    def real(self) -> Tensor:
        """Where there are subjets: those with constituents, whose first slot is the first to be filled.

        Returns
        -------
        Tensor
            bool [B, S].
        """
        return self.mask[..., 0]


class FlattenedEmbedding(nn.Module):
    """Subjet token from an MLP on all its constituents' features side by side, in descending pT.

    Parameters
    ----------
    features
        Number F of features of a constituent.
    config
        Size of the encoder.
    """

    def __init__(self, features: int, config: SubjetConfig) -> None:
        super().__init__()
        width = features * config.max_constituents
        hidden = 2 * config.dim
        self.layers = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, config.dim))

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:  # noqa: ARG002  padding is 0, as it was in training
        """Embed subjets, each on its own.

        Parameters
        ----------
        features
            f32 [R, C, F], 0 where there is no constituent.
        mask
            bool [R, C]; not used, as padding is 0.

        Returns
        -------
        Tensor
            [R, D].
        """
        return self.layers(features.flatten(1))


class AttentionEmbedding(nn.Module):
    """Subjet token from self-attention among its constituents, then class attention.

    Parameters
    ----------
    features
        Number F of features of a constituent.
    config
        Size of the encoder.
    """

    def __init__(self, features: int, config: SubjetConfig) -> None:
        super().__init__()
        self.layer = nn.Linear(features, config.dim)
        self.block = Block(config.dim, config.heads)
        self.class_token = nn.Parameter(torch.empty(config.dim))
        self.class_block = ClassBlock(config.dim, config.heads)
        nn.init.trunc_normal_(self.class_token, std=0.02)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Embed subjets, each on its own.

        Parameters
        ----------
        features
            f32 [R, C, F].
        mask
            bool [R, C].

        Returns
        -------
        Tensor
            [R, D].
        """
        bias = padding_bias(mask)
        x = self.block(self.layer(features), bias)
        return self.class_block(self.class_token.to(x.dtype).expand(x.shape[0], -1), x, bias)


class SubjetEncoder(nn.Module):
    """Raw jets, with the field ``subjet``, to one embedding per jet and per particle (that of its subjet).

    Parameters
    ----------
    config
        Size of the encoder.
    """

    def __init__(self, config: SubjetConfig) -> None:
        super().__init__()
        self.config = config
        self.scale: Scale = "blind" if config.scale_to_jet_pt else "seen"
        """Whether it sees the scale of the jets."""
        self.sliced = True
        """Set to False for layers that are compiled for the shapes of whole batches."""
        self.preprocess = ParticleFeatures(FIELDS, scale_to_jet_pt=config.scale_to_jet_pt)
        features = len(self.preprocess.names)
        kind = FlattenedEmbedding if config.embedding == "flatten" else AttentionEmbedding
        self.embedding = kind(features, config)
        self.blocks = nn.ModuleList(Block(config.dim, config.heads, config.dropout) for _ in range(config.blocks))
        initialise(self)
        damp_residuals(self.blocks)

    def group(self, particles: Tensor, mask: Tensor, jets: Tensor) -> Subjets:
        """Sort constituents into subjets, in which they keep the input's order of pT.

        Parameters
        ----------
        particles
            f32 [B, N, field], fields of the configuration in detector units; a subjet index below 0 is none.
        mask
            bool [B, N].
        jets
            f32 [B, 4], px py pz energy in GeV.

        Returns
        -------
        Subjets

        Raises
        ------
        ValueError
            If the number of fields is not that of the configuration.
        """
        if particles.shape[-1] != len(self.config.fields):
            msg = f"particles have {particles.shape[-1]} fields, expected {len(self.config.fields)}, subjet the last"
            raise ValueError(msg)
        subjets, slots = self.config.max_subjets, self.config.max_constituents
        features, p4 = self.preprocess(particles[..., :-1], mask, jets)
        index = particles[..., -1]
        member = ((index.unsqueeze(-1) == torch.arange(subjets, device=index.device)) & mask.unsqueeze(-1)).float()
        # Number of earlier particles in the same subjet. A matmul with ones, as everywhere here: onnxruntime gives what
        # is reduced over an axis of an empty batch the wrong shape.
        rank = torch.matmul(member * (member.cumsum(1) - 1), member.new_ones(subjets, 1)).squeeze(-1)
        fits = mask & (index >= 0) & (index < subjets) & (rank < slots)
        spare = subjets * slots
        position = torch.where(fits, index * slots + rank, spare).long()
        spread = position.unsqueeze(-1).expand(-1, -1, features.shape[-1])
        b, width = features.shape[0], features.shape[-1]
        # Expanded zeros, not new ones: the exporter would freeze the batch size of those.
        empty = torch.zeros_like(features[:, :1]).expand(-1, spare + 1, -1)
        sorted_features = empty.scatter(1, spread, features)
        filled = empty[..., 0].scatter(1, position, fits.float())
        px, py, pz, _ = torch.matmul(member.mT, p4).unbind(-1)
        pt = (px.square() + py.square()).clamp(min=1e-16).sqrt()
        eta = asinh(pz / pt)
        return Subjets(
            features=sorted_features[:, :spare].reshape(b, subjets, slots, width),
            mask=filled[:, :spare].reshape(b, subjets, slots) > 0,
            directions=torch.stack([eta.sin(), eta.cos(), py / pt, px / pt], dim=-1),
            position=position,
        )

    def embed(self, features: Tensor, mask: Tensor) -> Tensor:
        """Embed subjets, each on its own.

        Parameters
        ----------
        features
            f32 [B, S, C, F].
        mask
            bool [B, S, C].

        Returns
        -------
        Tensor
            [B, S, D].
        """
        b, s = features.shape[:2]
        features, mask = features.flatten(0, 1), mask.flatten(0, 1)
        if not self.in_slices(mask):
            return self.embedding(features, mask).reshape(b, s, self.config.dim)
        parts = slices(mask, CONSTITUENTS)
        tokens = torch.cat([self.embedding(features[rows, :n], mask[rows, :n]) for rows, n in parts])
        order = torch.cat([rows for rows, _ in parts])
        return tokens.index_select(0, order.argsort()).reshape(b, s, self.config.dim)

    def in_slices(self, mask: Tensor) -> bool:
        """Whether subjets are embedded in slices of like size: most slots for constituents are empty.

        Parameters
        ----------
        mask
            bool [R, ...], of which only the device and the number of rows count.

        Returns
        -------
        bool
        """
        whole = mask.is_cuda or torch.compiler.is_exporting() or not len(mask)
        return self.sliced and not whole and self.config.embedding == "attention"

    def contextualise(self, x: Tensor, mask: Tensor, last: int = 1) -> Encoded:
        """Subjet tokens that know of one another; the jet embedding is their layer-normed mean.

        Parameters
        ----------
        x
            [B, S, D], tokens.
        mask
            bool [B, S].
        last
            Above 1: the tokens are the mean of the layer-normed outputs of this many last blocks.

        Returns
        -------
        Encoded
            With one token a subjet.
        """
        bias = padding_bias(mask)
        outputs = []
        for block in self.blocks:
            x = block(x, bias)
            outputs.append(x)
        tokens = (
            x
            if last == 1
            else torch.stack([nn.functional.layer_norm(y, y.shape[-1:]) for y in outputs[-last:]]).mean(0)
        )
        weights = mask.to(x.dtype)
        total = torch.matmul(weights.unsqueeze(1), x).squeeze(1)
        count = torch.matmul(weights, weights.new_ones(mask.shape[1], 1))
        jet = nn.functional.layer_norm(total / count.clamp(min=1), total.shape[-1:])
        return Encoded(jet, tokens, mask)

    def forward(self, particles: Tensor, mask: Tensor, jets: Tensor, last: int = 1) -> Encoded:
        """Encode jets; arguments as of every encoder, with ``subjet`` as the last field of ``particles``.

        Parameters
        ----------
        particles
            f32 [B, N, field], fields of the configuration in detector units.
        mask
            bool [B, N].
        jets
            f32 [B, 4], px py pz energy in GeV.
        last
            Above 1: the tokens are the mean of the layer-normed outputs of this many last blocks.

        Returns
        -------
        Encoded
            An embedding of each jet, and one of each particle: that of its subjet, 0 for a particle that has none.

        Raises
        ------
        ValueError
            If the number of fields is not that of the configuration.
        """
        subjets = self.group(particles, mask, jets)
        encoded = self.contextualise(self.embed(subjets.features, subjets.mask), subjets.real, last)
        b, s, dim = encoded.tokens.shape
        # Tokens back to the particles; those without a subjet get zeros.
        padded = torch.cat([encoded.tokens, encoded.tokens.new_zeros(b, 1, dim)], dim=1)
        index = (subjets.position // self.config.max_constituents).unsqueeze(-1).expand(-1, -1, dim)
        known = mask & (subjets.position < s * self.config.max_constituents)
        return Encoded(encoded.jet, padded.gather(1, index), known)
