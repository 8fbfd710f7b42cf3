"""From a window of jets to the rows of its batches: mixing, buckets of equal multiplicity, sizes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

BUCKET = 16
"""Batches are padded to a multiple of this many particles."""


def padded(counts: NDArray[np.int64], max_particles: int) -> NDArray[np.int64]:
    """Length to which jets are padded: the next multiple of ``BUCKET``.

    Parameters
    ----------
    counts
        Particles of each jet.
    max_particles
        Most that are kept of a jet, rounded up likewise.

    Returns
    -------
    ndarray
        int64, of the shape of ``counts``.
    """
    return -(-np.clip(counts, 1, max_particles) // BUCKET) * BUCKET


@dataclass(frozen=True)
class Cut:
    """What becomes of the jets of a window."""

    batches: list[NDArray[np.int64]]
    """Rows of each batch, in the order in which the batches come."""
    lengths: list[int]
    """Padded length of each batch."""
    carried: NDArray[np.int64]
    """Rows left to the next window, so that batches are of one size."""


def carried_rows(own: int, carried: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Which jets of a window wait for the next: a random choice.

    Parameters
    ----------
    own
        Jets of the window.
    carried
        How many of them wait.
    rng
        Of this window.

    Returns
    -------
    ndarray
        Rows, int64 [carried].
    """
    return rng.permutation(own)[own - carried :]


def cut_window(
    counts: NDArray[np.int64],
    waiting: int,
    seed: tuple[int, ...],
    *,
    batch_size: int,
    tokens: int | None,
    bucketed: bool,
    max_particles: int,
    last: bool,
) -> Cut:
    """Cut a window into batches.

    With a fixed size every batch has exactly ``batch_size`` jets, but for the last window of an epoch (or one smaller
    than a batch), which is cut evenly. With a token budget the batches of a window are as even as the budget allows.

    Parameters
    ----------
    counts
        Particles of each jet.
    waiting
        How many jets, the first ones, come from the window before.
    seed
        Of this window.
    batch_size
        Jets of a batch.
    tokens
        Padded particles of a batch instead, when given.
    bucketed
        Whether jets of like multiplicity share a batch.
    max_particles
        Most that are kept of a jet.
    last
        Whether nothing may wait any longer.

    Returns
    -------
    Cut
    """
    own = len(counts) - waiting
    rng = np.random.default_rng(seed)
    keep = len(counts) % batch_size if tokens is None and not last and own >= batch_size else 0
    carried = waiting + carried_rows(own, keep, rng)
    chosen = rng.permutation(np.setdiff1d(np.arange(len(counts)), carried))
    length = padded(counts, max_particles)
    if bucketed:
        chosen = chosen[np.argsort(-length[chosen], kind="stable")]
    if tokens is None:
        edges = _even_edges(len(chosen), batch_size)
    else:
        edges = _budget_edges(length[chosen] if bucketed else np.full(len(chosen), length.max(initial=BUCKET)), tokens)
    parts = [chosen[a:b] for a, b in pairwise(edges)]
    order = rng.permutation(len(parts))
    # Within a batch the order is random again, so that slices r::W for W processes are alike.
    batches = [rng.permutation(parts[k]) for k in order]
    return Cut(batches, [int(length[rows].max()) for rows in batches], carried)


def _even_edges(jets: int, size: int) -> list[int]:
    """Edges of the fewest, most even stretches of at most ``size`` jets; all of ``size`` if that divides."""
    number = -(-jets // size)
    return [jets * k // number for k in range(number + 1)] if number else [0]


def _budget_edges(length: NDArray[np.int64], tokens: int) -> list[int]:
    """Edges of stretches of jets, longest jets first, each at most ``tokens`` when padded to its longest."""
    edges = _greedy_edges(length, tokens)
    # Bisect for the smallest budget that needs no more batches: it spreads what would be a small last batch.
    low, high = tokens // 2, tokens
    while high - low > max(1, tokens // 256):
        middle = (low + high) // 2
        tried = _greedy_edges(length, middle)
        if len(tried) <= len(edges):
            edges, high = tried, middle
        else:
            low = middle
    return edges


def _greedy_edges(length: NDArray[np.int64], tokens: int) -> list[int]:
    edges = [0]
    while edges[-1] < len(length):
        edges.append(min(len(length), edges[-1] + max(1, tokens // int(length[edges[-1]]))))
    return edges
