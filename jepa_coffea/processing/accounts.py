"""The accounts of a run: every event given is in the output, once, and the output folder holds nothing else."""

from __future__ import annotations

import json
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from coffea.processor.executor import WorkItem

from jepa_coffea.errors import BadFileError, JepaCoffeaError
from jepa_coffea.files import quoted, unquoted
from jepa_coffea.files.parquet import opened, read_rows
from jepa_coffea.processing.embedded_events import chunk_name, present, read_provenance, written
from jepa_coffea.processing.filesets import source_of
from jepa_coffea.processing.input_faults import place

IDENTITY = ("run", "luminosityBlock", "event")
"""Columns that say which event a row is."""


class LostEventsError(JepaCoffeaError, RuntimeError):
    """A run whose output does not account for all events, or would mix them with others."""


def account(
    output: Mapping[str, Any], chunks: Sequence[WorkItem], done: set[WorkItem], skipped: Mapping[str, str]
) -> None:
    """Hold the processor's own count of events against the chunks that it was given.

    Parameters
    ----------
    output
        Of the processor.
    chunks
        That it was given.
    done
        That came back.
    skipped
        Places of those among them that could not be read, and why.

    Raises
    ------
    LostEventsError
        If a chunk is missing, none could be read, or the processor counted other events than it was given.
    """
    lost = sorted(place(chunk) for chunk in set(chunks) - done)
    if lost:
        msg = f"{len(lost)} of {len(chunks)} chunks gave no result: {', '.join(lost)}"
        raise LostEventsError(msg)
    if chunks and len(skipped) == len(chunks):
        first, reason = next(iter(skipped.items()))
        msg = f"none of {len(chunks)} chunks can be read; {first}: {reason}"
        raise LostEventsError(msg)
    for dataset, totals in output.get("bookkeeping", {}).items():
        given = [chunk for chunk in chunks if chunk.dataset == dataset and place(chunk) not in skipped]
        events = sum(len(chunk) for chunk in given)
        if (totals["events"], totals["chunks"]) != (events, len(given)):
            msg = (
                f"dataset {dataset!r}: {events} events in {len(given)} chunks were given, the output counts "
                f"{totals['events']} events in {totals['chunks']} chunks; a chunk was lost or added twice"
            )
            raise LostEventsError(msg)


def refuse_strangers(processor: Any, chunks: Sequence[WorkItem]) -> None:
    """Refuse a folder with files of other chunks, other inputs, another model or another selection.

    Parameters
    ----------
    processor
        Whose folder ``output`` is looked at, and whose ``identity()`` is held against that of the files there.
    chunks
        That it will be given.

    Raises
    ------
    LostEventsError
        Naming the first file that this run would not write, or that has its events under another name.
    """
    folder = getattr(processor, "output", None)
    if folder is None:
        return
    expected: dict[str, dict[str, WorkItem]] = defaultdict(dict)
    for chunk in chunks:
        expected[chunk.dataset][_name(chunk)] = chunk
    for dataset, names in expected.items():
        strangers = sorted(present(folder, dataset) - set(names))
        if strangers:
            msg = (
                f"{folder}/dataset={quoted(dataset)} holds {len(strangers)} files that this run would not write, first "
                f"{strangers[0]}: they come from other files or another chunksize, and would be read along with its "
                "own. Use an empty folder."
            )
            raise LostEventsError(msg)
    if not hasattr(processor, "identity"):
        return
    ours = {name: value for name, value in processor.identity().items() if name != "output"}
    by_file = {(_file(chunk), chunk.treename): chunk for chunk in chunks}
    for path in written(folder):
        theirs = _provenance(path)
        dataset, name = _dataset(path), path.rpartition("/")[2]
        same = expected[dataset].get(name)
        _require_same(path, theirs, ours | ({} if same is None else source_of(same.treename, same.usermeta or {})))
        again = by_file.get((name.rsplit("-", 2)[0], str(theirs.get("treename"))))
        if again is not None and again.dataset != dataset:
            msg = (
                f"{again.filename} of dataset {again.dataset!r} was embedded into {folder} before, as dataset "
                f"{dataset!r} ({path}): its events would be there twice. Call it as before, use an empty folder, or "
                f"delete {path.rpartition('/')[0]}"
            )
            raise LostEventsError(msg)


def _provenance(path: str) -> dict[str, Any]:
    try:
        return read_provenance(path)
    except BadFileError as error:
        msg = f"{path} cannot be read as embedded events ({error}); delete it, or use an empty folder"
        raise LostEventsError(msg) from None


def _require_same(path: str, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    for name, value in ours.items():
        if _text(theirs.get(name)) != _text(value):
            msg = (
                f"{path} was written with {name} = {theirs.get(name)!r}, this run has {value!r}; they would be read "
                "together. Use an empty folder."
            )
            raise LostEventsError(msg)


def _text(value: Any) -> str:
    """The same for what JSON has changed, such as tuples to lists."""
    return json.dumps(value, sort_keys=True, default=str)


def require_rows(processor: Any, output: Mapping[str, Any]) -> None:
    """Hold the rows of the files in the output folder against the selected events.

    Parameters
    ----------
    processor
        Whose folder ``output`` is looked at.
    output
        Of the processor, with ``files`` and ``bookkeeping``.

    Raises
    ------
    LostEventsError
        If a file is missing, one is too many, or there are other rows than selected events.
    """
    folder = getattr(processor, "output", None)
    if folder is None or "files" not in output:
        return
    for dataset, totals in output.get("bookkeeping", {}).items():
        if "selected" not in totals:
            continue
        named = {name.rpartition("/")[2] for name in output["files"].get(dataset, ())}
        there = present(folder, dataset)
        place_of = f"{folder}/dataset={quoted(dataset)}"
        if named != there:
            strange = sorted(named ^ there)[0]
            counts = f"{len(named)} files were written, {len(there)} are there"
            msg = f"{place_of}: {counts}; the first that differs is {strange}"
            raise LostEventsError(msg)
        rows = sum(_rows(f"{place_of}/{name}") for name in named)
        if rows != totals["selected"]:
            msg = f"{place_of}: {totals['selected']} events were selected, the files hold {rows} rows"
            raise LostEventsError(msg)


def other_datasets(processor: Any, datasets: Iterable[str]) -> dict[str, int]:
    """Datasets in the output folder that are not of this run; who reads the whole folder reads them, too.

    Parameters
    ----------
    processor
        Whose folder ``output`` is looked at.
    datasets
        Of this run.

    Returns
    -------
    dict
        Dataset to its number of files.
    """
    folder = getattr(processor, "output", None)
    ours = set(datasets)
    found: dict[str, int] = {}
    for path in [] if folder is None else written(folder):
        name = _dataset(path)
        if name not in ours:
            found[name] = found.get(name, 0) + 1
    return found


def repeated_events(processor: Any, output: Mapping[str, Any]) -> dict[str, int]:
    """Selected events that have the identity of another one of their dataset: a file was copied and written anew.

    Parameters
    ----------
    processor
        Whose folder ``output`` is looked at.
    output
        Of the processor, with ``files``.

    Returns
    -------
    dict
        Dataset to how many, where there are any.
    """
    folder = getattr(processor, "output", None)
    found = {}
    for dataset, names in output.get("files", {}).items():
        if folder is None:
            break
        paths = [f"{folder}/dataset={quoted(dataset)}/{name.rpartition('/')[2]}" for name in names]
        columns = [read_rows(path, IDENTITY) for path in paths]
        if columns:
            rows = pa.concat_tables(part.replace_schema_metadata() for part in columns)
            numbers = np.stack([rows[name].to_numpy().astype(np.int64) for name in IDENTITY], axis=1)
            again = len(numbers) - len(np.unique(numbers, axis=0))
            if again:
                found[dataset] = again
    return found


def _rows(path: str) -> int:
    with opened(path) as source:
        return int(pq.read_metadata(source).num_rows)


def _file(chunk: WorkItem) -> str:
    return str(uuid.UUID(bytes=chunk.fileuuid))


def _name(chunk: WorkItem) -> str:
    return chunk_name({"fileuuid": _file(chunk), "entrystart": chunk.entrystart, "entrystop": chunk.entrystop})


def _dataset(path: str) -> str:
    """That a file of embedded events is of."""
    return unquoted(path.split("/")[-2].removeprefix("dataset="))
