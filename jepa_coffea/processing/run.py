"""Run a coffea processor over files, locally or on a cluster, and prove that nothing was lost and nothing is twice."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from coffea.processor import Runner
from coffea.processor.executor import WorkItem

from jepa_coffea.clusters.watch import watching
from jepa_coffea.constituents.layout import layout_named
from jepa_coffea.files.folders import working_at, working_in
from jepa_coffea.processing.accounts import (
    account,
    other_datasets,
    refuse_strangers,
    repeated_events,
    require_rows,
)
from jepa_coffea.processing.checkpoints import Checkpointer
from jepa_coffea.processing.executor import POOL, HereExecutor, PinnedExecutor, resource_on
from jepa_coffea.processing.filesets import (
    File,
    Fileset,
    look_at_all,
    normal_form,
    plan_chunks,
    require_distinct,
    require_readable,
)
from jepa_coffea.processing.input_faults import place

log = logging.getLogger(__name__)

KIND = "embedded events"
"""What output folders are marked as."""


def run(
    processor: Any,
    fileset: Any,
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
        ``events``, ``chunks``, ``selected``), where it gives one, is held against the chunks and the files written.
    fileset
        As coffea takes them: ``{dataset: [file, ...]}``, ``{dataset: {file: tree}}`` or
        ``{dataset: {"files": ..., "treename": ..., "metadata": {...}}}``, or the path of a JSON file with one.
    client
        Dask client, from :mod:`jepa_coffea.clusters`; without one, everything runs in this process.
    treename
        Of the tree in the files, where the fileset does not name one.
    schema
        What NanoEvents reads them with; by default that of PFNano and NanoAOD.
    chunksize
        Events per chunk; in memory an event of PFNano is about 80 kB (1800 candidates in all its jets).
    skipbadfiles
        Go on without files and chunks that cannot be read, and list them with the reason, instead of stopping. Nothing
        else is ever skipped: a full disk, a missing model or an error of the processor ends the run.
    checkpoints
        Folder that keeps the outputs of chunks, so that the same run goes on after an interruption.
    progress
        Show progress bars.

    Returns
    -------
    dict
        The processor's output, with an entry ``run``: ``events``, ``chunks``, ``files``, ``empty_files``,
        ``skipped_files`` and ``skipped_chunks`` (name to problem), ``other_datasets`` (that lie in the output folder,
        to their number of files), ``repeated_events`` (dataset to how many selected events have run, luminosity block
        and number of another), ``seconds``, ``resumed`` chunks.

    Raises
    ------
    BadFileError
        If files cannot be opened, or are given twice, naming all of them.
    FolderError
        If another run writes to the output folder.
    LayoutError, UnreadableError, ModelError, ProviderError, SystematicError, StorageError, ChangedFileError
        If a chunk cannot be processed, naming file and events.
    ClusterError
        If the cluster is gone.
    LostEventsError
        If the output does not account for all events, once each, or the output folder holds files of other runs.

    Examples
    --------
    >>> from jepa_coffea import JEPAEmbedder
    >>> from jepa_coffea.processing.processor import DijetEmbedder
    >>> processor = DijetEmbedder(JEPAEmbedder("pjepa-mini-4"), "embedded")
    >>> output = run(processor, {"qcd": ["qcd_0.root", "qcd_1.root"]})  # doctest: +SKIP
    >>> output["run"]["events"]  # doctest: +SKIP
    40000
    """
    begin = time.perf_counter()
    datasets = normal_form(fileset, treename)
    schema = schema or layout_named("pfnano").schema_class()
    keeper = None if checkpoints is None else Checkpointer(checkpoints, processor)
    if client is None:
        executor: Any = HereExecutor(status=progress, retries=0, skip=skipbadfiles)
    else:
        executor = PinnedExecutor(client=client, status=progress, skip=skipbadfiles)
    with watching(client), _output_folder(processor):
        files = look_at_all(datasets, client=client, resources={} if client is None else resource_on(client, POOL))
        require_readable(files, skip=skipbadfiles)
        require_distinct(files)
        chunks = plan_chunks(datasets, files, chunksize)
        entries = sum(map(len, chunks))
        log.info("%d files with %d events, in %d chunks", len(files), entries, len(chunks))
        refuse_strangers(processor, chunks)
        output, done, skipped = _process(Runner(executor, schema=schema, checkpointer=keeper), chunks, processor)
        log.info("%d chunks processed in %.1f s", len(done), time.perf_counter() - begin)
        account(output, chunks, done, skipped)
        _name_empty_datasets(output, datasets)
        require_rows(processor, output)
        output["run"] = _summary(files, chunks, skipped, resumed=sum(output.pop("resumed", {}).values()))
        output["run"]["other_datasets"] = other_datasets(processor, datasets)
        output["run"]["repeated_events"] = repeated_events(processor, output)
    output["run"]["seconds"] = time.perf_counter() - begin
    return output


def _output_folder(processor: Any) -> AbstractContextManager[Any]:
    """The processor's output folder, for this run alone."""
    folder = getattr(processor, "output", None)
    if folder is None:
        return nullcontext()
    if "://" in str(folder):
        return working_at(str(folder), KIND)
    return working_in(folder, KIND, among_others=True)


def _process(
    runner: Runner, chunks: Sequence[WorkItem], processor: Any
) -> tuple[dict[str, Any], set[WorkItem], dict[str, str]]:
    """Output of the processor, the chunks that came back, and those of them that could not be read, with reasons."""
    if not chunks:
        return {"bookkeeping": {}, "cutflow": {}, "passed": {}, "files": {}, "metrics": {}}, set(), {}
    wrapped = runner.run([*chunks], processor)
    output = dict(wrapped["out"])
    return output, set(wrapped["processed"]), output.pop("skipped", {})


def _name_empty_datasets(output: dict[str, Any], datasets: Fileset) -> None:
    """Datasets without any event are there, with nothing in them."""
    for dataset in datasets:
        if "bookkeeping" in output:
            nothing = {"events": 0, "chunks": 0, "selected": 0, "sumw": 0.0, "sumw2": 0.0}
            output["bookkeeping"].setdefault(dataset, nothing)


def _summary(
    files: Sequence[File], chunks: Sequence[WorkItem], skipped: Mapping[str, str], *, resumed: int
) -> dict[str, Any]:
    good = [chunk for chunk in chunks if place(chunk) not in skipped]
    return {
        "events": sum(len(chunk) for chunk in good),
        "chunks": len(good),
        "files": len(files),
        "empty_files": [file.name for file in files if not file.problem and file.entries == 0],
        "skipped_files": {file.name: file.problem for file in files if file.problem},
        "skipped_chunks": dict(sorted(skipped.items())),
        "resumed": resumed,
    }
