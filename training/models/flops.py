"""Multiply-accumulates of the encoder, counted from its configuration: for MFU and for the card."""

from __future__ import annotations

from itertools import pairwise

from training.models.encoder import EncoderConfig
from training.models.pairs import PAIR_FEATURES
from training.models.preprocess import feature_names


def dense(widths: tuple[int, ...]) -> int:
    """MACs of a chain of linear layers for one row."""
    return sum(a * b for a, b in pairwise(widths))


def block_macs(n: float, dim: int) -> float:
    """MACs of one self-attention block for ``n`` tokens: 12 D^2 a token in linear layers, 2 N D in attention."""
    return n * (12 * dim**2 + 2 * n * dim)


def encoder_macs(config: EncoderConfig, n: float) -> float:
    """MACs of a forward pass for one jet of ``n`` particles without padding.

    Matrix products only, as is usual; a pair is counted once. Multiply by 2 for FLOPs, by 3 for forward and backward.
    """
    dim, heads = config.dim, config.heads
    embedding = n * dense((len(feature_names(config.fields)), *config.embed_dims))
    pairs = n * (n + 1) / 2 * dense((len(PAIR_FEATURES), *config.pair_dims, heads)) if config.pair_dims else 0.0
    # One token a jet: q, out and feed-forward (10 D^2), k and v of H vectors (2 H D^2), scores and sums over particles.
    class_block = 10 * dim**2 + 2 * heads * dim**2 + 2 * (n + 1) * heads * dim
    return embedding + pairs + config.blocks * block_macs(n, dim) + config.class_blocks * class_block
