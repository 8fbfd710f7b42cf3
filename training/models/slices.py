"""On a CPU: a batch in slices of jets of like multiplicity, short enough for its caches and with little padding.

Results do not depend on it: jets never look at one another inside an encoder. On a GPU, and where what runs is compiled
for given shapes, a batch stays whole.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

TOKENS = 4096
"""Particles in a slice, about: fewer cost more in calls than they save, more spill the activations out of the cache."""


class Slice(NamedTuple):
    """Some jets of a batch, cut to the longest of them."""

    rows: Tensor
    """int64 [b], which jets."""
    length: int
    """Particles of the longest."""


def slices(mask: Tensor, tokens: int | None = None) -> list[Slice]:
    """The jets of a batch in slices of ascending multiplicity.

    Parameters
    ----------
    mask
        bool [B, N]; the real particles of a jet come first.
    tokens
        Real particles in a slice, about; by default ``TOKENS``.

    Returns
    -------
    list of Slice
    """
    counts = mask.sum(1)
    order = counts.argsort(stable=True)
    spent = counts[order].cumsum(0)
    total = int(spent[-1:].sum())
    number = max(1, min(len(order), total // (tokens or TOKENS)))
    parts = order.tensor_split(torch.searchsorted(spent, torch.arange(1, number) * total / number))
    return [Slice(rows, max(1, int(counts[rows[-1:]].sum()))) for rows in parts if len(rows)]
