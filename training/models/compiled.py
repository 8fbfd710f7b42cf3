"""torch.compile of the parts of a model that repeat."""

from __future__ import annotations

import torch
from torch import nn

from training.models.attention import Block, ClassBlock
from training.models.encoder import ParticleEmbedding
from training.models.pairs import PairBias
from training.models.preprocess import ParticleFeatures

REGIONS = (Block, ClassBlock, ParticleEmbedding, PairBias, ParticleFeatures)

GRAPHS = 32
"""Kept of one region: those of other widths and kinds of bias, with and without gradients."""


def compile_regions(model: nn.Module, backend: str = "inductor") -> None:
    """Compile the repeated parts of a model in place, for batches of any size and length.

    All blocks share one compilation, where the whole model of 16 blocks would be compiled for minutes; what is left
    outside is small. Sizes and lengths are symbols: a pretraining with its contexts of
    many lengths has 17 graphs, where one for each length made 80 to 120.

    Parameters
    ----------
    model
        What to compile.
    backend
        Of ``torch.compile``.
    """
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, GRAPHS)
    torch._dynamo.config.accumulated_recompile_limit = max(torch._dynamo.config.accumulated_recompile_limit, 8 * GRAPHS)
    for module in model.modules():
        if isinstance(module, REGIONS):
            setattr(module, "forward", torch.compile(module.forward, backend=backend, dynamic=True))  # noqa: B010
