"""Multiply-accumulates of the encoder, counted from its configuration: for MFU and for the card."""

from __future__ import annotations

from itertools import pairwise

from training.models.encoders import AnyEncoderConfig
from training.models.pairs import PAIR_FEATURES
from training.models.preprocess import FIELDS, feature_names
from training.models.subjets import SubjetConfig


def _dense(widths: tuple[int, ...]) -> int:
    """MACs of a chain of linear layers for one row."""
    return sum(a * b for a, b in pairwise(widths))


def block_macs(n: float, dim: int) -> float:
    """Multiply-accumulates of one self-attention block: 12 D^2 a token in linear layers, 2 N D in attention.

    Parameters
    ----------
    n
        Tokens.
    dim
        Size D of a token.

    Returns
    -------
    float
    """
    return n * (12 * dim**2 + 2 * n * dim)


def class_block_macs(n: float, dim: int, heads: int) -> float:
    """Multiply-accumulates of one class-attention block.

    One token per jet: q, out and feed-forward (10 D^2), k and v of H vectors (2 H D^2), scores and sums over tokens.

    Parameters
    ----------
    n
        Tokens that the class token attends to.
    dim
        Size D of a token.
    heads
        Attention heads H.

    Returns
    -------
    float
    """
    return 10 * dim**2 + 2 * heads * dim**2 + 2 * (n + 1) * heads * dim


def encoder_macs(config: AnyEncoderConfig, n: float) -> float:
    """Multiply-accumulates of a forward pass for one jet without padding.

    Matrix products only, as is usual; a pair is counted once. Multiply by 2 for FLOPs, by 3 for forward and backward.

    Parameters
    ----------
    config
        Of the encoder.
    n
        Particles of the jet.

    Returns
    -------
    float
    """
    if isinstance(config, SubjetConfig):
        return subjet_macs(config, config.max_subjets)
    dim, heads = config.dim, config.heads
    embedding = n * _dense((len(feature_names(config.fields)), *config.embed_dims))
    pairs = n * (n + 1) / 2 * _dense((len(PAIR_FEATURES), *config.pair_dims, heads)) if config.pair_dims else 0.0
    class_blocks = config.class_blocks * class_block_macs(n, dim, heads)
    return embedding + pairs + config.blocks * block_macs(n, dim) + class_blocks


def subjet_macs(config: SubjetConfig, subjets: float, constituents: float | None = None) -> float:
    """Multiply-accumulates of a forward pass of the subjet encoder for one jet.

    Parameters
    ----------
    config
        Of the encoder.
    subjets
        Subjets of the jet.
    constituents
        Particles of each; by default as many as there are slots for.

    Returns
    -------
    float
    """
    dim, heads = config.dim, config.heads
    constituents = config.max_constituents if constituents is None else constituents
    features = len(feature_names(FIELDS))
    if config.embedding == "flatten":
        each = float(_dense((features * config.max_constituents, 2 * dim, dim)))
    else:
        each = (
            constituents * features * dim + block_macs(constituents, dim) + class_block_macs(constituents, dim, heads)
        )
    return subjets * each + config.blocks * block_macs(subjets, dim)
