"""Toys of whole searches: spectra drawn from the background fits, each of which is searched as the data are.

Toys come in batches of fixed size with a seed of their own, so that the numbers do not depend on how many workers
there are or in which order they answer, and a run that was interrupted continues where it stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from jepa_coffea.bumphunt.ledger import Ledger
from jepa_coffea.bumphunt.newton import Array
from jepa_coffea.bumphunt.searches import SpectrumSearch
from jepa_coffea.errors import FitError, HistogramError
from jepa_coffea.files import digest

Family = Sequence[SpectrumSearch]
"""Searches on nested selections of the same events, loosest first; different families share no events."""

BATCH = 250
"""Toys per batch, small enough that the arrays of a fit stay in the processor's cache."""


def check_family(family: Family) -> None:
    """Refuse spectra that are no nested selections of the same events.

    Parameters
    ----------
    family
        Loosest first.

    Raises
    ------
    HistogramError
        Unless they have the same bins and each holds no more events than the one before.
    """
    for loose, tight in pairwise(family):
        if not np.array_equal(loose.spectrum.edges, tight.spectrum.edges):
            msg = f"nested spectra need the same edges; {loose.name} and {tight.name} differ"
            raise HistogramError(msg)
        if np.any(tight.spectrum.counts > loose.spectrum.counts):
            msg = (
                f"{tight.name} has bins with more events than {loose.name}: it is no subset of it; order loosest first"
            )
            raise HistogramError(msg)


def draw(family: Family, toys: int, rng: np.random.Generator) -> list[Array]:
    """Pseudo-data of each search: the events that two neighbours differ by are drawn independently.

    Parameters
    ----------
    family
        Loosest first.
    toys
        How many.
    rng
        Random numbers.

    Returns
    -------
    list of Array
        [toy, bin] for each search.
    """
    means = [search.null.expected for search in family]
    counts = rng.poisson(means[-1], (toys, len(means[-1]))).astype(float)
    drawn = [counts]
    for loose, tight in zip(means[-2::-1], means[:0:-1], strict=True):
        # Two fits may cross where both expect next to nothing; the difference is then no event at all.
        counts = counts + rng.poisson(np.maximum(loose - tight, 0), counts.shape)
        drawn.insert(0, counts)
    return drawn


def batch_of_toys(families: Sequence[Family], toys: int, seed: int, index: int) -> Array:
    """Local significances in the toys of one batch.

    Parameters
    ----------
    families
        What was searched.
    toys
        How many.
    seed
        Of the whole run.
    index
        Of the batch; seed and index together make its random numbers.

    Returns
    -------
    Array
        [toy, hypothesis]: of all hypotheses of all searches.
    """
    rng = np.random.default_rng([seed, index])
    columns = []
    for family in families:
        for search, counts in zip(family, draw(family, toys, rng), strict=True):
            columns.append(search.in_toys.local_z(counts))
    return np.concatenate(columns, axis=1)


def run_toys(
    families: Sequence[Family],
    toys: int,
    *,
    seed: int = 0,
    client: Any = None,
    folder: str | Path | None = None,
    progress: bool = False,
) -> Array:
    """Local significances of pseudo-experiments in which every fit is redone.

    Parameters
    ----------
    families
        What was searched.
    toys
        How many pseudo-experiments.
    seed
        Of their random numbers.
    client
        A Dask client to spread the batches over.
    folder
        Keep finished batches there and do not redo them.
    progress
        Show a bar.

    Returns
    -------
    Array
        [toy, hypothesis]; NaN in toys with a failed fit.

    Raises
    ------
    HistogramError
        For families that are none, and unless there is at least one toy.
    FitError
        When more than 2 % of the toys have a fit that did not converge.
    """
    if toys < 1:
        msg = f"a global p-value needs at least one toy, got {toys}; leave it out to do without"
        raise HistogramError(msg)
    for family in families:
        check_family(family)
    sizes = [min(BATCH, toys - first) for first in range(0, toys, BATCH)]
    ledger = Ledger(None if folder is None else Path(folder) / f"toys-{_key(families, seed)}.jsonl")
    found = ledger.run(
        _batch,
        list(enumerate(sizes)),
        (families, seed),
        key=lambda batch: "batch {} of {}".format(*batch),
        client=client,
        progress=progress,
        description=f"Pseudo-experiments of the spectrum, {BATCH} a batch",
        unit="batches",
    )
    result = np.concatenate([np.array(z) for z in found])
    failed = int(np.isnan(result).any(axis=1).sum())
    if failed > 0.02 * toys:
        msg = (
            f"{failed} of {toys} toys have a fit that did not converge; a global p-value from the others would be "
            f"biased. Use a function with fewer parameters or wider bins"
        )
        raise FitError(msg)
    return result


def _batch(batch: tuple[int, int], families: Sequence[Family], seed: int) -> list[list[float]]:
    """The batch of this index and size."""
    index, size = batch
    z: list[list[float]] = batch_of_toys(families, size, seed, index).tolist()
    return z


def _key(families: Sequence[Family], seed: int) -> str:
    """Changes with anything that would change the numbers of the toys."""
    parts: list[Any] = [version("jepa-coffea"), "function right in toys", seed]
    for family in families:
        for search in family:
            arrays = (search.spectrum.edges, search.spectrum.counts, search.null.expected)
            observed = search.local_z(search.spectrum.counts[None])
            numbers = [array.tolist() for array in (*arrays, observed)]
            parts.append([search.name, search.labels, search.null.function, len(family), numbers])
    return digest(*parts)
