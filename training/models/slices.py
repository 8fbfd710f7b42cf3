"""On a CPU: a batch in slices of jets of like multiplicity, short enough for its caches and with little padding.

Results do not depend on it: jets never look at one another inside an encoder. On a GPU, and where what runs is compiled
for given shapes, a batch stays whole.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from training.models.encoder import Encoded, Encoder

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


def encode(
    encoder: Encoder,
    particles: Tensor,
    mask: Tensor,
    jets: Tensor,
    *,
    whole: bool,
    last: int = 1,
    seen: Tensor | None = None,
) -> Encoded:
    """Encode jets, in slices or all at once.

    Parameters
    ----------
    encoder
        Of particles.
    particles, mask, jets
        As of :meth:`training.models.encoder.Encoder.forward`.
    whole
        Whether all at once.
    last, seen
        As of the encoder.

    Returns
    -------
    Encoded
        In the order of the jets; of padding the embeddings are arbitrary.
    """
    if whole:
        return encoder(particles, mask, jets, last, seen)
    parts, n = slices(mask), mask.shape[1]
    found, tokens = [], []
    for rows, length in parts:
        inputs = particles[rows, :length], mask[rows, :length], jets[rows]
        encoded = encoder(*inputs, last, None if seen is None else seen[rows])
        found.append(encoded.jet)
        tokens.append(F.pad(encoded.tokens, (0, 0, 0, n - length)))
    order = torch.cat([rows for rows, _ in parts]).argsort()
    return Encoded(torch.cat(found).index_select(0, order), torch.cat(tokens).index_select(0, order), mask)
