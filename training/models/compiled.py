"""torch.compile of the parts of a model that repeat."""

from __future__ import annotations

import torch
from torch import nn

from training.models.attention import Block, ClassBlock
from training.models.encoder import ParticleEmbedding
from training.models.pairs import PairBias
from training.models.preprocess import ParticleFeatures

REGIONS = (Block, ClassBlock, ParticleEmbedding, PairBias, ParticleFeatures)

SHAPES = 128
"""Graphs kept of one region: padded lengths of whole jets and of contexts, with and without gradients."""


def compile_regions(model: nn.Module, backend: str = "inductor") -> None:
    """Compile the repeated parts of a model in place, one graph for each length that batches are padded to.

    All blocks share one compilation, which takes seconds where compiling the whole model of 16 blocks takes minutes
    for each of the lengths, and is as fast: what is left outside is small.

    Parameters
    ----------
    model
        What to compile.
    backend
        Of ``torch.compile``.
    """
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, SHAPES)
    torch._dynamo.config.accumulated_recompile_limit = max(torch._dynamo.config.accumulated_recompile_limit, 8 * SHAPES)
    for module in model.modules():
        if isinstance(module, REGIONS):
            setattr(module, "forward", torch.compile(module.forward, backend=backend, dynamic=False))  # noqa: B010
