"""Run a coffea processor over files, locally or on a cluster, and prove that nothing was lost."""

from __future__ import annotations

import ast
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from coffea.processor import IterativeExecutor, Runner
from coffea.processor.executor import WorkItem

from jepa_coffea.constituents.layouts import layout_named
from jepa_coffea.constituents.record import LayoutError, UnreadableError
from jepa_coffea.encoder.card import ModelError
from jepa_coffea.encoder.providers import ProviderError
from jepa_coffea.errors import JepaCoffeaError
from jepa_coffea.processing.checkpoints import Checkpointer
from jepa_coffea.processing.embedded_events import chunk_name, present
from jepa_coffea.processing.executor import POOL, PinnedExecutor, resource_on
from jepa_coffea.processing.filesets import File, look_at_all, plan_chunks, require_readable
from jepa_coffea.processing.systematics import SystematicError

DAMAGED = (OSError, UnreadableError)
"""What a damaged or unreachable file raises while a chunk is read; never an error of layout or model."""

OURS = {kind.__name__: kind for kind in (LayoutError, UnreadableError, ModelError, ProviderError, SystematicError)}
"""Errors that are shown as what they are, not as the general exception that coffea makes of all."""


class LostEventsError(JepaCoffeaError, RuntimeError):
    """A run whose output does not account for all events."""


def run(
    processor: Any,
    fileset: Mapping[str, Any],
    *,
    client: Any = None,
    treename: str = "Events",
    schema: Any = None,
    chunksize: int = 20_000,
    skipbadfiles: bool = False,
    checkpoints: str | Path | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Process all events of a fileset and account for each of them.

    Parameters
    ----------
    processor
        A coffea processor; with ``checkpoints`` it needs ``identity()``. Its output ``bookkeeping`` (dataset to
        ``events``), where it gives one, is held against the chunks.
    fileset
        As coffea takes them: ``{dataset: [file, ...]}`` or ``{dataset: {"files": [...], "metadata": {...}}}``.
    client
        Dask client, from :mod:`jepa_coffea.clusters`; without one, everything runs in this process.
    treename, schema
        Of the files.
    chunksize
        Events a chunk; in memory an event of PFNano is about 80 kB (1800 candidates in all its jets).
    skipbadfiles
        Go on without files that cannot be read and list them in the output, instead of stopping.
    checkpoints
        Folder that keeps the outputs of chunks, so that the same run goes on after an interruption.
    progress
        Show progress bars.

    Returns
    -------
    dict
        The processor's output, with an entry ``run``: ``events``, ``chunks``, ``files``, ``empty_files``,
        ``skipped_files`` (name to problem), ``skipped_chunks``, ``seconds``, ``resumed`` chunks.

    Raises
    ------
    BadFileError
        If files cannot be opened, naming all of them.
    LayoutError, UnreadableError, ModelError, ProviderError, SystematicError
        If a chunk cannot be embedded, naming file and events.
    LostEventsError
        If the output does not account for all events.
    """
    begin = time.perf_counter()
    resources = {} if client is None else resource_on(client, POOL)
    files = look_at_all(fileset, treename, client=client, resources=resources)
    require_readable(files, skip=skipbadfiles)
    chunks = plan_chunks(fileset, files, chunksize)
    _refuse_strangers(processor, chunks)
    here = IterativeExecutor(status=progress, retries=0)
    runner = Runner(
        here if client is None else PinnedExecutor(client=client, status=progress),
        schema=schema or layout_named("pfnano").schema_class(),
        skipbadfiles=DAMAGED if skipbadfiles else False,
        checkpointer=None if checkpoints is None else Checkpointer(checkpoints, processor),
    )
    output, done = _process(runner, chunks, processor)
    lost = sorted(set(chunks) - done, key=lambda chunk: (chunk.filename, chunk.entrystart))
    account(output, chunks, lost, skip=skipbadfiles)
    output["run"] = _summary(files, done, lost, resumed=sum(output.pop("resumed", {}).values()))
    output["run"]["seconds"] = time.perf_counter() - begin
    return output


def _process(runner: Runner, chunks: Sequence[WorkItem], processor: Any) -> tuple[dict[str, Any], set[WorkItem]]:
    """Output of the processor and the chunks that are in it; errors of ours as what they are."""
    try:
        wrapped = runner.run(chunks, processor)
    except Exception as error:
        plain = _plain(error)
        if plain is None:
            raise
        raise plain from None
    return dict(wrapped["out"]), set(wrapped["processed"])


def _summary(files: Sequence[File], done: set[WorkItem], lost: Sequence[WorkItem], *, resumed: int) -> dict[str, Any]:
    return {
        "events": sum(len(chunk) for chunk in done),
        "chunks": len(done),
        "files": len(files),
        "empty_files": [file.name for file in files if not file.problem and file.entries == 0],
        "skipped_files": {file.name: file.problem for file in files if file.problem},
        "skipped_chunks": [_place(chunk) for chunk in lost],
        "resumed": resumed,
    }


def _place(chunk: WorkItem) -> str:
    return f"{chunk.filename}:{chunk.entrystart}-{chunk.entrystop}"


def account(output: Mapping[str, Any], chunks: Sequence[WorkItem], lost: Sequence[WorkItem], *, skip: bool) -> None:
    """Hold the processor's own count of events against the chunks that it was given.

    Raises
    ------
    LostEventsError
        If a chunk is missing and none may be, or the processor counted other events than it was given.
    """
    if lost and not skip:
        msg = f"{len(lost)} of {len(chunks)} chunks gave no result: {', '.join(map(_place, lost))}"
        raise LostEventsError(msg)
    for dataset, book in output.get("bookkeeping", {}).items():
        given = [chunk for chunk in chunks if chunk.dataset == dataset and chunk not in lost]
        events = sum(len(chunk) for chunk in given)
        if (book["events"], book["chunks"]) != (events, len(given)):
            msg = (
                f"dataset {dataset!r}: {events} events in {len(given)} chunks were given, the output counts "
                f"{book['events']} events in {book['chunks']} chunks; a chunk was lost or added twice"
            )
            raise LostEventsError(msg)


def _plain(error: Exception) -> Exception | None:
    """The error of ours that coffea has wrapped in another, with the chunk in front; across processes only its text."""
    found = re.search(r"(filename='[^']*'.*?entrystop=\d+).*The error was: (\w+)\((.*)\)\.$", str(error), re.DOTALL)
    if found is None or found[2] not in OURS:
        return None
    where = re.sub(r"filename='([^']*)'.*?entrystart=(\d+), entrystop=(\d+)", r"\1, events \2 to \3", found[1])
    try:
        text = str(ast.literal_eval(found[3]))
    except (ValueError, SyntaxError):
        text = found[3]
    return OURS[found[2]](f"{where}: {text}")


def _refuse_strangers(processor: Any, chunks: Sequence[WorkItem]) -> None:
    """Files of another chunking or of other inputs must not mix with those about to be written."""
    folder = getattr(processor, "output", None)
    if folder is None:
        return
    expected: dict[str, set[str]] = {}
    for chunk in chunks:
        expected.setdefault(chunk.dataset, set()).add(_name(chunk))
    for dataset, names in expected.items():
        strangers = sorted(present(folder, dataset) - names)
        if strangers:
            msg = (
                f"{folder}/dataset={dataset} holds {len(strangers)} files that this run would not write, first "
                f"{strangers[0]}: they come from other files or another chunksize, and would be read along with its "
                "own. Use an empty folder."
            )
            raise LostEventsError(msg)


def _name(chunk: WorkItem) -> str:
    file = str(uuid.UUID(bytes=chunk.fileuuid))
    return chunk_name({"fileuuid": file, "entrystart": chunk.entrystart, "entrystop": chunk.entrystop})
