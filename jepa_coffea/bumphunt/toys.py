"""Pseudo-experiments of whole searches: drawn from the background fits, and every fit redone on each of them.

Toys come in batches of fixed size with a seed of their own, so that the numbers do not depend on how many workers
there are or in which order they answer, and a run that was interrupted continues where it stopped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from jepa_coffea.bumphunt.likelihood import Array
from jepa_coffea.bumphunt.searches import Search
from jepa_coffea.errors import FitError, HistogramError

Family = Sequence[Search]
"""Searches on nested selections of the same events, loosest first; different families share no events."""

BATCH = 250
"""Toys per batch, small enough that the arrays of a fit stay in the processor's cache."""


def check_family(family: Family) -> None:
    """Raise HistogramError unless the spectra have the same bins and each holds no more events than the one before."""
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
    """Pseudo-data [toy, bin] of each search: the events that two neighbours differ by are drawn independently."""
    means = [search.null.expected for search in family]
    counts = rng.poisson(means[-1], (toys, len(means[-1]))).astype(float)
    drawn = [counts]
    for loose, tight in zip(means[-2::-1], means[:0:-1], strict=True):
        # Two fits may cross where both expect next to nothing; the difference is then no event at all.
        counts = counts + rng.poisson(np.maximum(loose - tight, 0), counts.shape)
        drawn.insert(0, counts)
    return drawn


def batch_of_toys(families: Sequence[Family], toys: int, seed: int, index: int) -> Array:
    """[toy, hypothesis]: local significances of all hypotheses of all searches in toys of one batch."""
    rng = np.random.default_rng([seed, index])
    columns = []
    for family in families:
        for search, counts in zip(family, draw(family, toys, rng), strict=True):
            columns.append(search.local_z(counts))
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
    """[toy, hypothesis]: local significances of ``toys`` pseudo-experiments; NaN in toys with a failed fit.

    client: a Dask client to spread the batches over. folder: keep finished batches there and do not redo them.
    progress: show a bar.
    Raises FitError when more than 2 % of the toys have a fit that did not converge.
    """
    for family in families:
        check_family(family)
    sizes = [min(BATCH, toys - first) for first in range(0, toys, BATCH)]
    store = _Store(folder, families, seed)
    found = {index: store.load(index, size) for index, size in enumerate(sizes)}
    missing = [index for index, z in found.items() if z is None]
    work = _here if client is None else _dask(client)
    with Progress(transient=True, disable=not progress) as bars:
        bar = bars.add_task("toys", total=len(missing))
        for index, z in work([(families, sizes[index], seed, index) for index in missing]):
            store.save(index, z)
            found[index] = z
            bars.advance(bar)
    result = np.concatenate([z for z in found.values() if z is not None])
    failed = int(np.isnan(result).any(axis=1).sum())
    if failed > 0.02 * toys:
        msg = (
            f"{failed} of {toys} toys have a fit that did not converge; a global p-value from the others would be "
            f"biased. Use a function with fewer parameters or wider bins"
        )
        raise FitError(msg)
    return result


Task = tuple[Sequence[Family], int, int, int]
Work = Callable[[list[Task]], Any]


def _here(tasks: list[Task]) -> Any:
    for task in tasks:
        yield task[3], batch_of_toys(*task)


def _dask(client: Any) -> Work:
    def work(tasks: list[Task]) -> Any:
        from dask.distributed import as_completed

        if not tasks:
            return
        families = client.scatter(tasks[0][0], broadcast=True, hash=False)
        futures = {client.submit(batch_of_toys, families, *task[1:], pure=False): task[3] for task in tasks}
        for future in as_completed(futures):
            yield futures[future], future.result()

    return work


class _Store:
    """Finished batches on disk, under a name that changes with anything that would change their numbers."""

    def __init__(self, folder: str | Path | None, families: Sequence[Family], seed: int) -> None:
        self.folder = None if folder is None else Path(folder)
        digest = hashlib.sha256(str(seed).encode())
        for family in families:
            for search in family:
                digest.update(repr((search.name, search.labels, search.null.function, len(family))).encode())
                for array in (search.spectrum.edges, search.spectrum.counts, search.null.expected):
                    digest.update(array.tobytes())
                digest.update(search.local_z(search.spectrum.counts[None]).tobytes())
        self.key = digest.hexdigest()[:16]

    def _path(self, index: int, folder: Path) -> Path:
        return folder / f"toys-{self.key}-{index:05d}.npy"

    def load(self, index: int, size: int) -> Array | None:
        if self.folder is None or not self._path(index, self.folder).exists():
            return None
        z: Array = np.load(self._path(index, self.folder), allow_pickle=False)
        return z if len(z) == size else None

    def save(self, index: int, z: Array) -> None:
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._path(index, self.folder)
        # Written beside and renamed: an interrupted run leaves no half batch behind.
        temporary = path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            np.save(file, z, allow_pickle=False)
        temporary.replace(path)
