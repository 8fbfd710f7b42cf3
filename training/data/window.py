"""A window of jets in memory: read by several threads, cut into batches, packed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from jepa_coffea.constituents.record import DISPLACEMENT, IDENTITY, SUBJET
from jepa_coffea.errors import BadFileError
from training.data import kernels
from training.data.batch import Batch
from training.data.batching import carried_rows, cut_window
from training.data.columns import REASONS, UNLABELLED, JetColumns, concatenate
from training.data.config import DataConfig
from training.data.plan import JetRange
from training.data.readers.base import JetFile, describe, usable
from training.data.shards import ShardFile

log = logging.getLogger(__name__)


@dataclass
class Skipped:
    """What was left out because it could not be used; filled by several threads."""

    files: dict[str, str] = field(default_factory=dict)
    """Path to the reason, for whole files."""
    jets: dict[str, dict[str, set[int]]] = field(default_factory=dict)
    """Path to reason to positions of single jets."""
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _told: dict[tuple[str, str], int] = field(default_factory=dict, repr=False)
    """How many jets of a file were said to be left out for a reason."""

    def add(self, path: str, left_out: dict[str, list[int]]) -> None:
        """Note jets that were left out; what is new of a file is said at once, further jets by :meth:`report`.

        Parameters
        ----------
        path
            Their file.
        left_out
            Reason to positions.
        """
        with self.lock:
            for why, where in left_out.items():
                positions = self.jets.setdefault(path, {}).setdefault(why, set())
                positions.update(where)
                if (path, why) not in self._told:
                    self._tell(path, why, len(positions))

    def report_files(self) -> None:
        """Say which files were left out, if any."""
        for path, why in self.files.items():
            log.warning("left out: %s", why if path in why else f"{path}: {why}")

    def report(self) -> None:
        """Say how many jets were left out, where it is more than was said before."""
        with self.lock:
            for path, reasons in self.jets.items():
                for why, where in reasons.items():
                    if len(where) > self._told[path, why]:
                        self._tell(path, why, len(where))

    def _tell(self, path: str, why: str, jets: int) -> None:
        self._told[path, why] = jets
        log.warning("left out: %s: %d jets with %s", path, jets, why)


class WindowReader:
    """Reads blocks of files as the jets that this run wants.

    Parameters
    ----------
    config
        What the run says of its data.
    files
        All files, in the order in which blocks number them.
    class_names
        Classes of all files.
    labels
        Whether batches carry labels.
    rank, world_size
        This process gets the slice ``rank::world_size`` of each batch.
    seed
        Of the order of jets.
    skipped
        Gets what is left out.
    """

    def __init__(
        self, config: DataConfig, files: list[JetFile], class_names: tuple[str, ...], *, labels: bool, rank: int,
        world_size: int, seed: int, skipped: Skipped,
    ) -> None:  # fmt: skip
        self.config, self.files, self.class_names = config, files, class_names
        self.labels, self.rank, self.world_size, self.seed = labels, rank, world_size, seed
        self.skipped = skipped
        self.tables = [np.asarray([class_names.index(name) for name in file.class_names], np.int16) for file in files]
        self.checked = [not (config.verify and isinstance(file, ShardFile)) for file in files]
        self.locks = [threading.Lock() for _ in files]
        self.truncated = 0
        """Jets read since the epoch began that have more than ``max_particles``."""

    @property
    def pin(self) -> bool:
        """Whether batches go into page-locked memory: where this process uses a GPU.

        Only then: page-locked memory makes a CUDA context, which a run on the CPU of a machine with a GPU has no need
        of, and which takes half a gigabyte of the GPU.

        Returns
        -------
        bool
        """
        return torch.cuda.is_initialized()

    def seed_of(self, epoch: int, window: int) -> tuple[int, ...]:
        """Seed of everything random in a window.

        Parameters
        ----------
        epoch, window
            Their numbers.

        Returns
        -------
        tuple of int
        """
        return (self.seed, epoch, window, 1)

    def submit(self, pool: Executor, blocks: Sequence[JetRange]) -> list[Future[JetColumns | None]]:
        """Start reading blocks.

        Parameters
        ----------
        pool
            Threads that read.
        blocks
            What to read.

        Returns
        -------
        list of Future
            Of the usable jets of each block; None for one that cannot be read, where bad data are skipped.
        """
        return [pool.submit(self._block, block) for block in blocks]

    def gather(self, reading: list[Future[JetColumns | None]]) -> ShuffleWindow:
        """The window of blocks whose reading was started.

        Parameters
        ----------
        reading
            What :meth:`submit` gave.

        Returns
        -------
        ShuffleWindow
        """
        return ShuffleWindow(self, [part for future in reading if (part := future.result()) is not None and len(part)])

    def read(self, pool: Executor, blocks: Sequence[JetRange]) -> ShuffleWindow:
        """Read a window now.

        Parameters
        ----------
        pool
            Threads that read.
        blocks
            What to read.

        Returns
        -------
        ShuffleWindow
        """
        return self.gather(self.submit(pool, blocks))

    def _block(self, block: JetRange) -> JetColumns | None:
        """Usable jets of a block; None when it cannot be read and bad data are skipped."""
        file = self.files[block.file]
        try:
            self._verify(block.file)
            columns = file.read(block.start, block.stop)
        except BadFileError as error:
            if not self.config.skip_bad:
                raise
            self.skipped.add(file.path, {f"unreadable data ({error})": list(range(block.start, block.stop))})
            return None
        # What is in a shard was found usable when it was prepared.
        columns, left_out = (columns, {}) if isinstance(file, ShardFile) else usable(columns, block.start)
        if self.labels:
            unlabelled = np.flatnonzero(columns.labels == UNLABELLED)
            if len(unlabelled):
                left_out |= {REASONS[kernels.NO_LABEL]: [block.start + int(j) for j in unlabelled]}
                columns = columns.take(np.flatnonzero(columns.labels != UNLABELLED))
        if left_out:
            if not self.config.skip_bad:
                raise BadFileError(describe(file.path, left_out))
            self.skipped.add(file.path, left_out)
        with self.skipped.lock:
            self.truncated += int((columns.counts > self.config.max_particles).sum())
        return columns.with_labels(self.tables[block.file]) if file.class_names else columns

    def _verify(self, number: int) -> None:
        """Compare a shard with its checksums, once."""
        file = self.files[number]
        if self.checked[number] or not isinstance(file, ShardFile):
            return
        with self.locks[number]:
            if not self.checked[number]:
                file.verify()
                self.checked[number] = True


class ShuffleWindow:
    """Jets that are shuffled together.

    Parameters
    ----------
    reader
        What read them.
    parts
        The jets, block by block.
    """

    def __init__(self, reader: WindowReader, parts: list[JetColumns]) -> None:
        self.reader, self.parts = reader, parts

    def carried(self, number: int, seed: tuple[int, ...]) -> JetColumns:
        """The jets that this window leaves to the next, when their number is known.

        Parameters
        ----------
        number
            How many.
        seed
            Of this window.

        Returns
        -------
        JetColumns
        """
        jets = sum(len(part) for part in self.parts)
        return _collect(self.parts, carried_rows(jets, number, np.random.default_rng(seed)))

    def cut(
        self, waiting: JetColumns | None, seed: tuple[int, ...], *, last: bool
    ) -> tuple[list[tuple[NDArray[np.int64], int]], JetColumns | None]:
        """Cut into batches, after the jets that wait from the window before; what this process does not need is let go.

        Parameters
        ----------
        waiting
            Jets that wait.
        seed
            Of this window.
        last
            Whether nothing may wait any longer.

        Returns
        -------
        tuple
            Rows of this process in each batch with the padded length of the batch, in the order in which they come;
            and the jets that wait for the next window.
        """
        config, reader = self.reader.config, self.reader
        parts = [waiting, *self.parts] if waiting is not None else self.parts
        counts = np.concatenate([part.counts for part in parts]) if parts else np.zeros(0, np.int64)
        cut = cut_window(
            counts,
            0 if waiting is None else len(waiting),
            seed,
            batch_size=config.batch_size,
            tokens=config.tokens,
            bucketed=config.bucketed,
            max_particles=config.max_particles,
            last=last,
        )
        mine = [rows[reader.rank :: reader.world_size] for rows in cut.batches]
        wanted = np.sort(np.concatenate(mine)) if mine else np.zeros(0, np.int64)
        if len(wanted):
            self.columns = concatenate(parts) if len(wanted) == len(counts) else _collect(parts, wanted)
        self.parts = []
        batches = [(np.searchsorted(wanted, rows), n) for rows, n in zip(mine, cut.lengths, strict=True)]
        return batches, _collect(parts, cut.carried) if len(cut.carried) else None

    def pack(self, rows: NDArray[np.int64], length: int) -> Batch:
        """One of the batches that :meth:`cut` gave.

        Parameters
        ----------
        rows
            Its rows.
        length
            Its padded length.

        Returns
        -------
        Batch
        """
        reader, columns = self.reader, self.columns
        fields, pin = reader.config.fields, reader.pin
        particles = torch.empty((len(rows), length, len(fields)), dtype=torch.float32, pin_memory=pin)
        mask = torch.empty((len(rows), length), dtype=torch.bool, pin_memory=pin)
        subjet = columns.subjet if SUBJET in fields and columns.subjet is not None else NO_SUBJET
        kernels.pack(
            rows,
            columns.offsets,
            columns.kinematics,
            columns.identity,
            columns.displacement,
            subjet,
            particles.numpy(),
            mask.numpy(),
            IDENTITY[0] in fields,
            DISPLACEMENT[0] in fields,
        )
        extra = [torch.from_numpy(columns.jets[rows]), torch.from_numpy(columns.observables[rows])]
        if reader.labels:
            extra.append(torch.from_numpy(columns.labels[rows].astype(np.int64)))
        if pin:
            extra = [tensor.pin_memory() for tensor in extra]
        return Batch(
            particles=particles,
            mask=mask,
            jets=extra[0],
            observables=extra[1],
            labels=extra[2] if reader.labels else None,
        )


NO_SUBJET = np.empty(0, np.int8)


def _collect(parts: Sequence[JetColumns], rows: NDArray[np.int64]) -> JetColumns:
    """The jets ``rows``, counted through ``parts``, sorted and copied."""
    rows = np.sort(rows)
    edges = np.cumsum([0, *(len(part) for part in parts)])
    cuts = np.searchsorted(rows, edges)
    taken = [part.take(rows[cuts[k] : cuts[k + 1]] - edges[k]) for k, part in enumerate(parts) if cuts[k + 1] > cuts[k]]
    return concatenate(taken)
