"""The prepare step: one shard per source file, several files at a time, and a manifest of what came out."""

from __future__ import annotations

import multiprocessing
import re
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from jepa_coffea.errors import BadFileError
from training.data.checksums import of_file
from training.data.columns import OBSERVABLES, UNLABELLED
from training.data.readers.base import JetFile, describe, naming, usable, writing
from training.data.shards import SCHEMA, VERSION, Shard, ShardWriter, describe_shard, write_text
from training.data.sources import MANIFEST, Reading, expand, merge_classes, open_jets
from training.data.splits import hashed


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
    """Name of the shard of a source file: readable, and another for each path."""
    stem = re.sub(r"[^A-Za-z0-9_.-]", "_", Path(source).stem)[:80].lstrip(".")
    return f"{stem}-{hashed(str(Path(source).absolute())):016x}"


def prepare(
    data: str | list[str], output: Path, reading: Reading, *, skip_bad: bool = False, workers: int = 1
) -> Manifest:
    """Write the shards of all files that ``data`` names into ``output``, and the manifest.

    Shards that are there already, of the same source and options, are kept: an interrupted run is resumed by running it
    again. Memory stays small whatever the size of the files, as they are read in blocks.

    Raises
    ------
    BadFileError
        If a file or a jet cannot be used and ``skip_bad`` is False, or none can be.
    OutputError
        If the shards cannot be written, as on a full disk.
    """
    sources = expand(data)
    output.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True)
    shards: dict[str, Shard] = {}
    files_left_out: dict[str, str] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        files = progress.add_task("files", total=len(sources))
        jets = progress.add_task("jets", total=None)

        def take(source: str, result: Shard | BadFileError) -> None:
            if isinstance(result, Shard):
                shards[source] = result
            elif skip_bad:
                files_left_out[source] = str(result)
            else:
                raise result
            progress.advance(files)

        if workers == 1:
            for source in sources:
                take(source, attempt(source, output, reading, skip_bad, lambda n: progress.advance(jets, n)))
        else:
            # A fresh interpreter per process: forking one with threads may hang.
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(workers, mp_context=context) as pool:
                running = {pool.submit(attempt, source, output, reading, skip_bad): source for source in sources}
                try:
                    for future in as_completed(running):
                        result = future.result()
                        take(running[future], result)
                        progress.advance(jets, result.jets if isinstance(result, Shard) else 0)
                except BaseException:
                    pool.shutdown(cancel_futures=True)
                    raise
    if not shards:
        msg = f"none of the {len(sources)} files could be prepared: {'; '.join(list(files_left_out.values())[:3])}"
        raise BadFileError(msg)
    manifest = summarise([shards[source] for source in sources if source in shards], files_left_out)
    write_text(output / MANIFEST, manifest.model_dump_json(indent=1))
    _report(console, output, manifest)
    return manifest


def attempt(
    source: str, output: Path, reading: Reading, skip_bad: bool, progress: Callable[[int], None] | None = None
) -> Shard | BadFileError:
    """Prepare one file; what is wrong with the file is returned, whoever asked decides whether that stops the run."""
    try:
        return prepare_file(source, output, reading, skip_bad=skip_bad, progress=progress)
    except BadFileError as error:
        return error


def prepare_file(
    source: str, output: Path, reading: Reading, *, skip_bad: bool, progress: Callable[[int], None] | None = None
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
    with writing(output, source), ShardWriter(folder, subjets=reading.subjets) as writer:
        for start, stop in zip(file.boundaries[:-1].tolist(), file.boundaries[1:].tolist(), strict=True):
            columns, bad = usable(file.read(start, stop), start)
            if bad and not skip_bad:
                raise BadFileError(describe(source, bad))
            for why, where in bad.items():
                left_out.setdefault(why, []).extend(where)
            counts.update(_names(file, columns.labels.tolist()))
            writer.append(columns)
            if progress is not None:
                progress(len(columns))
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


def summarise(shards: list[Shard], files_left_out: dict[str, str]) -> Manifest:
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
