"""The prepare step: one shard per source file, several files at a time, and a manifest of what came out."""

from __future__ import annotations

import json
import multiprocessing
import re
import signal
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import BaseModel, ConfigDict
from rich.console import Console

from jepa_coffea.errors import BadFileError
from jepa_coffea.files import sealed_document, write_text
from jepa_coffea.progress import Bar, rate
from training.data.checksums import of_file
from training.data.columns import OBSERVABLES, UNLABELLED
from training.data.readers.base import EmptyFileError, JetFile, describe, naming, usable, writing_shard
from training.data.shards import SCHEMA, VERSION, Shard, ShardWriter, describe_shard
from training.data.sources import MANIFEST, Reading, expand, merge_classes, open_jets
from training.data.splits import hashed


class _Shown:
    """How much of the files is done, in bytes, with a rate in jets and the time that is left."""

    def __init__(self, sources: list[str], output: Path, console: Console) -> None:
        self._bytes = {source: Path(source).stat().st_size if Path(source).is_file() else 0 for source in sources}
        self._total, self._done, self._left = max(sum(self._bytes.values()), 1), 0.0, dict(self._bytes)
        self._files, self._jets, self._started = 0, 0, time.monotonic()
        self._bar = Bar(str(output), console)

    def __enter__(self) -> Self:
        self._bar.__enter__()
        self._show()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._bar.__exit__(kind, error, tb)

    def block(self, source: str, jets: int, of: int) -> None:
        """Say that ``jets`` of the ``of`` jets of a file are done."""
        share = self._bytes[source] * jets // max(of, 1)
        self._left[source] -= share
        self._add(share, jets)

    def file(self, source: str, jets: int = 0) -> None:
        """Say that a file is done, of which ``jets`` were not counted yet."""
        self._files += 1
        self._add(self._left[source], jets)

    def _add(self, size: int, jets: int) -> None:
        self._done += size
        self._jets += jets
        self._show()

    def _show(self) -> None:
        pace = rate(self._jets, time.monotonic() - self._started, "jets")
        files = f"{self._files} of {len(self._bytes)} files"
        self._bar.show(self._done / self._total, f"{files}, {self._jets} jets, {pace}")


class Manifest(BaseModel):
    """``manifest.json`` of a folder of shards, written when all of it is there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = VERSION
    created: str
    packages: dict[str, str]
    columns: dict[str, Any]
    """Column to its type on disk and the names along its second axis. No value loses precision."""
    observables: tuple[str, ...] = OBSERVABLES
    class_names: tuple[str, ...]
    class_counts: dict[str, int]
    jets: int
    particles: int
    jets_left_out: dict[str, int]
    """Reason to how many jets of all files were left out; which ones is in each ``shard.json``."""
    files_left_out: dict[str, str]
    """File to the reason."""
    shards: dict[str, dict[str, Any]]
    """Name to source, checksum of the source, number of jets, and checksums of the columns."""


def shard_name(source: str) -> str:
    """Name of the shard of a source file: readable, and another for each path.

    Parameters
    ----------
    source
        Path of the file.

    Returns
    -------
    str
    """
    stem = re.sub(r"[^A-Za-z0-9_.-]", "_", Path(source).stem)[:80].lstrip(".")
    return f"{stem}-{hashed(str(Path(source).absolute())):016x}"


def prepare(
    data: str | list[str], output: Path, reading: Reading, *, skip_bad: bool = False, workers: int = 1
) -> Manifest:
    """Write the shards of all files, and the manifest.

    Shards that are there already, of the same source and options, are kept: an interrupted run is resumed by running it
    again. Memory stays small whatever the size of the files, as they are read in blocks.

    Parameters
    ----------
    data
        Files and globs.
    output
        Folder of the shards; it is made.
    reading
        How files of events are read.
    skip_bad
        Whether bad files, copies of files and bad jets are left out, and listed, instead of stopping; empty files
        always are.
    workers
        Processes.

    Returns
    -------
    Manifest
        What is in the folder now.

    Raises
    ------
    BadFileError
        If a file or a jet cannot be used or a file is a copy of another and ``skip_bad`` is False, or none can be used.
    OutputError
        If the shards cannot be written, as on a full disk.
    """
    sources = expand(data)
    output.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True)
    shards: dict[str, Shard] = {}
    files_left_out: dict[str, str] = {}

    def _take(source: str, result: Shard | BadFileError) -> None:
        if isinstance(result, Shard):
            shards[source] = result
        elif skip_bad or isinstance(result, EmptyFileError):
            files_left_out[source] = str(result)
        else:
            raise result

    with _Shown(sources, output, console) as shown:
        if workers == 1:
            for source in sources:
                _take(source, _attempt(source, output, reading, skip_bad, partial(shown.block, source)))
                shown.file(source)
        else:
            # A fresh interpreter per process: forking one with threads may hang.
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(workers, mp_context=context, initializer=_ignore_interrupts) as pool:
                running = {pool.submit(_attempt, source, output, reading, skip_bad): source for source in sources}
                try:
                    for future in as_completed(running):
                        source, result = running[future], future.result()
                        _take(source, result)
                        shown.file(source, result.jets if isinstance(result, Shard) else 0)
                except BaseException:
                    pool.shutdown(cancel_futures=True)
                    raise
    files_left_out |= _copies(shards, sources, skip_bad=skip_bad)
    if not shards:
        msg = f"none of the {len(sources)} files could be prepared: {'; '.join(list(files_left_out.values())[:3])}"
        raise BadFileError(msg)
    manifest = _summarise([shards[source] for source in sources if source in shards], files_left_out)
    write_text(output / MANIFEST, json.dumps(sealed_document(manifest.model_dump()), indent=1))
    _report(console, output, manifest)
    return manifest


def _copies(shards: dict[str, Shard], sources: list[str], *, skip_bad: bool) -> dict[str, str]:
    """Take out the shards of files that are copies of others; gives them with the reason."""
    first: dict[tuple[int, str], str] = {}
    left_out = {}
    for source in sources:
        if source not in shards:
            continue
        shard = shards[source]
        same = first.setdefault((shard.source_bytes, shard.source_checksum), source)
        if same == source:
            continue
        msg = f"{source}: is a copy of {same}, which would count its jets twice; leave one of them out"
        if not skip_bad:
            raise BadFileError(msg)
        left_out[source] = msg
        del shards[source]
    return left_out


def _ignore_interrupts() -> None:
    """Ctrl-C is for the process that started this one, which lets it end its file."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _attempt(
    source: str, output: Path, reading: Reading, skip_bad: bool, progress: Callable[[int, int], None] | None = None
) -> Shard | BadFileError:
    """Prepare one file; what is wrong with the file is returned, whoever asked decides whether that stops the run."""
    try:
        return _prepare_file(source, output, reading, skip_bad=skip_bad, progress=progress)
    except BadFileError as error:
        return error


def _prepare_file(
    source: str, output: Path, reading: Reading, *, skip_bad: bool, progress: Callable[[int, int], None] | None = None
) -> Shard:
    """Write the shard of one file, unless it is there."""
    folder = output / shard_name(source)
    options = asdict(reading) | {"skip_bad": skip_bad}
    with naming(source):
        size = Path(source).stat().st_size
        checksum = of_file(Path(source))
    if folder.exists():
        try:
            shard = describe_shard(folder)
        except BadFileError:
            shard = None  # of another version: written again
        if shard and (shard.source_checksum, shard.options) == (checksum, options):
            return shard
    file = open_jets(source, reading)
    left_out: dict[str, list[int]] = {}
    counts: Counter[str] = Counter()
    with writing_shard(output, source), ShardWriter(folder, subjets=reading.subjets) as writer:
        for start, stop in zip(file.boundaries[:-1].tolist(), file.boundaries[1:].tolist(), strict=True):
            columns, bad = usable(file.read(start, stop), start)
            if bad and not skip_bad:
                raise BadFileError(describe(source, bad))
            for why, where in bad.items():
                left_out.setdefault(why, []).extend(where)
            counts.update(_names(file, columns.labels.tolist()))
            writer.append(columns)
            if progress is not None:
                progress(len(columns), file.jets)
        if writer.rows["jets"] == 0:
            msg = f"{source}: none of its {file.jets} jets can be used"
            raise BadFileError(msg)
        return writer.finish(
            source=source,
            source_bytes=size,
            source_checksum=checksum,
            options=options,
            fields=file.fields,
            class_names=file.class_names,
            class_counts=dict(sorted(counts.items())),
            left_out=left_out,
        )


def _names(file: JetFile, labels: list[int]) -> list[str]:
    return [file.class_names[label] if label != UNLABELLED else "unlabelled" for label in labels]


def _summarise(shards: list[Shard], files_left_out: dict[str, str]) -> Manifest:
    """The manifest of these shards."""
    counts: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    for shard in shards:
        counts.update(shard.class_counts)
        left_out.update({why: len(where) for why, where in shard.left_out.items()})
    kept = {"source", "source_bytes", "source_checksum", "jets", "particles", "checksums"}
    return Manifest(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        packages={name: version(name) for name in ("awkward", "numpy", "uproot")},
        columns={name: {"type": kind, "fields": list(fields)} for name, (kind, fields) in SCHEMA.items()},
        class_names=merge_classes(shard.class_names for shard in shards),
        class_counts=dict(counts),
        jets=sum(shard.jets for shard in shards),
        particles=sum(shard.particles for shard in shards),
        jets_left_out=dict(left_out),
        files_left_out=files_left_out,
        shards={shard_name(shard.source): shard.model_dump(include=kept) for shard in shards},
    )


def _report(console: Console, output: Path, manifest: Manifest) -> None:
    console.print(f"{output}: {manifest.jets} jets, {manifest.particles} particles in {len(manifest.shards)} shards")
    for path, why in manifest.files_left_out.items():
        console.print(f"left out: {why if path in why else f'{path}: {why}'}", soft_wrap=True)
    for why, number in manifest.jets_left_out.items():
        console.print(f"left out: {number} jets with {why}; which ones is in each shard.json", soft_wrap=True)
