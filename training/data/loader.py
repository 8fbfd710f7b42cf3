"""Batches for a training: the same ones whatever the number of threads, and exactly resumable."""

from __future__ import annotations

import hashlib
import json
import queue
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from jepa_coffea.constituents.record import SUBJET
from jepa_coffea.errors import BadFileError
from training.data.batch import Batch
from training.data.columns import OBSERVABLES, JetColumns
from training.data.config import DataConfig
from training.data.plan import EpochPlan, Stream, blocks_of
from training.data.readers.base import JetFile
from training.data.sources import Reading, expand, fingerprint, merge_classes, named, open_all, open_jets
from training.data.splits import Picked, Segment, Split, pick_per_class, split_files
from training.data.window import Skipped, WindowReader

__all__ = ["DataConfig", "Loader", "make_loader"]


@dataclass(frozen=True)
class Position:
    """A place in an epoch: the next batch is number ``batch`` of ``window``, which ``carried`` jets entered."""

    epoch: int
    window: int = 0
    batch: int = 0
    carried: int = 0


class Loader:
    """Iterates over one epoch of batches per ``iter()``; made by :func:`make_loader`.

    Parameters
    ----------
    config
        What the run says of its data.
    plan
        What an epoch reads.
    reader
        Reads it.
    fixed
        Whether all epochs have the same order.
    identity
        Of jets, order and batches; a position is of use only with the same.
    skipped
        What was left out.
    """

    def __init__(
        self, config: DataConfig, plan: EpochPlan, reader: WindowReader, *, fixed: bool, identity: str, skipped: Skipped
    ) -> None:
        self.config, self.plan, self.reader, self.skipped = config, plan, reader, skipped
        self.class_names: tuple[str, ...] = reader.class_names
        """Names of the labels; empty when no file has any."""
        self.observable_names: tuple[str, ...] = OBSERVABLES
        """Names of the columns of ``Batch.observables``."""
        self.field_names: tuple[str, ...] = config.fields
        """Names of the last axis of ``Batch.particles``."""
        self._fixed = fixed
        self._identity = identity
        self._position = Position(0)
        self._resume: Position | None = None

    @property
    def jets_per_epoch(self) -> int:
        """Jets in the current epoch, over all processes.

        Returns
        -------
        int
        """
        return self.plan.jets(self._plan_epoch(self._position.epoch))

    def __len__(self) -> int:
        """Batches in the current epoch.

        Raises
        ------
        TypeError
            With a token budget, where only reading the jets can tell.
        """
        if self.config.tokens is not None:
            msg = "with a budget of tokens the number of batches is not known beforehand; use jets_per_epoch"
            raise TypeError(msg)
        return -(-self.jets_per_epoch // self.config.batch_size)

    @property
    def truncated(self) -> int:
        """Jets of the epoch so far, read ahead ones included, of which only the hardest particles were kept.

        Returns
        -------
        int
        """
        return self.reader.truncated

    def set_epoch(self, epoch: int) -> None:
        """Go to the start of an epoch; does nothing in the middle of that epoch.

        Parameters
        ----------
        epoch
            Its number, from 0.
        """
        if epoch != self._position.epoch:
            self._position, self._resume = Position(epoch), None

    def state_dict(self) -> dict[str, Any]:
        """Where the next batch is.

        Returns
        -------
        dict
            Plain numbers and text.
        """
        p = self._position
        return {"epoch": p.epoch, "window": p.window, "batch": p.batch, "carried": p.carried, "data": self._identity}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where :meth:`state_dict` was taken: the next ``iter()`` gives the rest of that epoch.

        Parameters
        ----------
        state
            What :meth:`state_dict` gave.

        Raises
        ------
        BadFileError
            If the state is of other files, splits, seeds or batch settings: the order would not be the same.
        """
        if state["data"] != self._identity:
            msg = (
                "the loader state was saved with other data (content of the files, split, seed or batch settings) "
                f"than now: {state['data']} is not {self._identity}; resume with the same, or start a new run"
            )
            raise BadFileError(msg)
        self._position = Position(state["epoch"], state["window"], state["batch"], state["carried"])
        self._resume = self._position

    def _plan_epoch(self, epoch: int) -> int:
        return 0 if self._fixed else epoch

    def __iter__(self) -> Iterator[Batch]:
        start = self._resume or Position(self._position.epoch)
        self._position, self._resume, self.reader.truncated = start, None, 0
        producer = _Producer(self, start)
        try:
            for future, after in producer:
                batch = future.result()
                self._position = after
                yield batch
            self._position = Position(start.epoch + 1)
            self.skipped.report()
        finally:
            producer.close()


@dataclass
class _Producer:
    """Reads windows ahead and packs batches, in threads of its own, in the order of the epoch."""

    loader: Loader
    start: Position
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        config = self.loader.config
        self.pool = ThreadPoolExecutor(config.workers, thread_name_prefix="jets")
        self.ready: queue.Queue[tuple[Future[Batch], Position] | BaseException | None] = queue.Queue(config.prefetch)
        self.thread = threading.Thread(target=self._run, name="jets-windows", daemon=True)
        self.thread.start()

    def __iter__(self) -> Iterator[tuple[Future[Batch], Position]]:
        while (item := self.ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    def close(self) -> None:
        self.stop.set()
        while self.thread.is_alive():
            try:
                self.ready.get(timeout=0.02)
            except queue.Empty:
                continue
        self.thread.join()
        self.pool.shutdown(cancel_futures=True)

    def _run(self) -> None:
        try:
            self._windows()
            self._put(None)
        except BaseException as error:  # noqa: BLE001  raised again where the batches are wanted
            self._put(error)

    def _put(self, item: tuple[Future[Batch], Position] | BaseException | None) -> None:
        while not self.stop.is_set():
            try:
                self.ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return

    def _windows(self) -> None:
        start, reader = self.start, self.loader.reader
        epoch = self.loader._plan_epoch(start.epoch)
        windows = self.loader.plan.windows(epoch)
        waiting: JetColumns | None = None
        if start.carried:
            before = reader.read(self.pool, windows[start.window - 1])
            waiting = before.carried(start.carried, reader.seed_of(epoch, start.window - 1))
        reading = reader.submit(self.pool, windows[start.window]) if start.window < len(windows) else []
        for number in range(start.window, len(windows)):
            if self.stop.is_set():
                return
            window = reader.gather(reading)
            reading = reader.submit(self.pool, windows[number + 1]) if number + 1 < len(windows) else []
            entered = 0 if waiting is None else len(waiting)
            seed = reader.seed_of(epoch, number)
            batches, waiting = window.cut(waiting, seed, last=number + 1 == len(windows))
            for k in range(start.batch if number == start.window else 0, len(batches)):
                after = Position(start.epoch, number, k + 1, entered)
                self._put((self.pool.submit(window.pack, *batches[k]), after))


def _identity(config: DataConfig, split: Split, seed: int, segments: list[Segment]) -> str:
    """Changes when the jets or their order would."""
    relevant = {"batch_size", "tokens", "bucketed", "max_particles", "window", "labels_per_class", "subset_seed"}
    paths = list(dict.fromkeys(segment.file.path for segment in segments))
    with ThreadPoolExecutor(8) as pool:
        contents = dict(zip(paths, pool.map(fingerprint, paths), strict=True))
    content = {
        "config": {name: getattr(config, name) for name in sorted(relevant)},
        "split": split,
        "seed": seed,
        "jets": [(contents[s.file.path], s.file.jets, s.start, s.stop) for s in segments],
    }
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=8).hexdigest()


def _check_fields(file: JetFile, config: DataConfig) -> None:
    lacking = [name for name in config.fields if name not in (*file.fields, *config.optional_fields)]
    if lacking:
        hint = "prepare it with --subjets" if SUBJET in lacking else "or train to do without: objective.drop_*"
        msg = (
            f"{file.path}: knows no {', '.join(lacking)} of its particles. Set encoder.fields to what it has, "
            f"[{', '.join(file.fields)}]; {hint}"
        )
        raise BadFileError(msg)


def make_loader(
    config: DataConfig,
    *,
    split: Split = "train",
    rank: int = 0,
    world_size: int = 1,
    seed: int = 0,
    labels: bool = False,
) -> Loader:
    """The loader of a split.

    Parameters
    ----------
    config
        What the run says of its data.
    split
        Which jets: ``train``, ``val`` or ``test``.
    rank, world_size
        Which slice ``rank::world_size`` of each batch this process gets.
    seed
        Of the order of jets: training goes through them in another order each epoch, validation and test always in the
        same.
    labels
        Whether batches carry labels.

    Returns
    -------
    Loader

    Raises
    ------
    BadFileError
        If a file cannot be used (with ``skip_bad`` if none can), or a file lacks a field, or labels that are wanted.
    """
    if not 0 <= rank < world_size:
        msg = f"rank {rank} of world_size {world_size}: expected 0 <= rank < world_size"
        raise BadFileError(msg)
    if (config.tokens or config.batch_size) < world_size:
        msg = f"batch_size {config.batch_size}: less than one jet for each of {world_size} processes"
        raise BadFileError(msg)
    skipped = Skipped()
    own = {"train": None, "val": config.val_files, "test": config.test_files}[split]
    reading = Reading(config.layout, config.collection, SUBJET in config.fields)

    files: list[JetFile] = []
    streams: list[Stream] = []
    segments: list[Segment] = []
    for number, source in enumerate(named(own or config.files).values()):
        opened = open_all(
            expand(source.files), lambda path: open_jets(path, reading), skip_bad=config.skip_bad, skipped=skipped.files
        )
        for file in opened:
            _check_fields(file, config)
        if own is not None:
            found = [Segment(file, 0, file.jets) for file in opened]
        else:
            val = config.val_fraction if config.val_files is None else 0.0
            test = config.test_fraction if config.test_files is None else 0.0
            found = split_files(opened, split, val=val, test=test)
        if split == "train" and config.labels_per_class is not None:
            picked = pick_per_class(found, config.labels_per_class, config.subset_seed)
            found = [Segment(Picked(s.file, rows), 0, len(rows)) for s, rows in picked]
        blocks = [block for k, segment in enumerate(found) for block in blocks_of(segment, len(files) + k)]
        if blocks:
            weight = Fraction(source.weight).limit_denominator(1000) if split == "train" else Fraction(1)
            streams.append(Stream(tuple(blocks), weight, number))
        files += [segment.file for segment in found]
        segments += found
    skipped.report_files()
    if not files:
        msg = f"split {split!r} has no jets: data.val_fraction is {config.val_fraction}, data.test_fraction "
        msg += f"{config.test_fraction}, and there are no data.{split}_files"
        raise BadFileError(msg)
    if labels and not any(file.class_names for file in files):
        msg = f"{files[0].path}: no labels in this file nor in the others; a supervised training needs some"
        raise BadFileError(msg)
    plan = EpochPlan(tuple(streams), max(config.window, 4 * config.batch_size), seed, least=config.batch_size)
    reader = WindowReader(
        config,
        files,
        merge_classes(file.class_names for file in files),
        labels=labels,
        rank=rank,
        world_size=world_size,
        seed=seed,
        skipped=skipped,
    )
    return Loader(
        config, plan, reader, fixed=split != "train", identity=_identity(config, split, seed, segments), skipped=skipped
    )
