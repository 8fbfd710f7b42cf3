"""Which files there are and what is in them, before any event is processed: every bad one found at once, and named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import uproot
from coffea.processor import IterativeExecutor, Runner
from coffea.processor.executor import FileMeta, WorkItem

from jepa_coffea.errors import BadFileError


@dataclass(frozen=True)
class File:
    """One file of a dataset, what it holds, or why it cannot be opened."""

    dataset: str
    name: str
    treename: str
    entries: int = 0
    uuid: bytes = b""
    problem: str = ""


def list_files(fileset: Mapping[str, Any], treename: str) -> list[File]:
    """All files of a coffea fileset: ``{dataset: [file, ...]}`` or ``{dataset: {"files": ..., "metadata": ...}}``.

    Raises
    ------
    BadFileError
        If there are none.
    """
    found = []
    for dataset, given in fileset.items():
        names = given["files"] if isinstance(given, Mapping) else given
        trees = names if isinstance(names, Mapping) else dict.fromkeys(names, treename)
        found += [File(dataset, str(name), tree) for name, tree in trees.items()]
    if not found:
        msg = f"no files in the datasets {[*fileset]}"
        raise BadFileError(msg)
    return found


def look(file: File, timeout: int = 60) -> File:
    """Open a file and count its entries; problems are noted, not raised."""
    try:
        with uproot.open({file.name: None}, timeout=timeout) as source:
            if file.treename not in source:
                problem = f"no tree {file.treename!r}; it has {sorted(set(source.keys(cycle=False)))}"
                return replace(file, problem=problem)
            return replace(file, entries=source[file.treename].num_entries, uuid=source.file.fUUID)
    except Exception as error:  # noqa: BLE001  whatever a broken file makes the reader say is its problem
        return replace(file, problem=f"{type(error).__name__}: {str(error).strip()}")


def look_at_all(
    fileset: Mapping[str, Any], treename: str, *, client: Any = None, resources: Mapping[str, float] | None = None
) -> list[File]:
    """All files of a fileset, opened: by the workers of a Dask client that have ``resources``, or here without one."""
    files = list_files(fileset, treename)
    if client is None:
        return [look(file) for file in files]
    return list(client.gather(client.map(look, files, pure=False, resources=dict(resources or {}))))


def require_readable(files: Sequence[File], *, skip: bool) -> None:
    """Raise unless all files can be opened or, with ``skip``, at least one.

    Raises
    ------
    BadFileError
        Naming every bad file and what is wrong with it.
    """
    bad = [file for file in files if file.problem]
    if bad and (not skip or len(bad) == len(files)):
        lines = "\n".join(f"  {file.dataset}: {file.name}: {file.problem}" for file in bad)
        msg = f"{len(bad)} of {len(files)} files cannot be read:\n{lines}"
        raise BadFileError(msg)


def plan_chunks(fileset: Mapping[str, Any], files: Sequence[File], chunksize: int) -> list[WorkItem]:
    """Chunks of about ``chunksize`` events, none across files, of all files without a problem."""
    good: dict[str, Any] = {}
    cache = {}
    for file in files:
        if file.problem:
            continue
        given = fileset[file.dataset]
        metadata = dict(given.get("metadata") or {}) if isinstance(given, Mapping) else {}
        entry = good.setdefault(file.dataset, {"files": {}, "metadata": metadata})
        entry["files"][file.name] = file.treename
        cache[FileMeta(file.dataset, file.name, file.treename)] = {
            **metadata,
            "numentries": file.entries,
            "uuid": file.uuid,
        }
    runner = Runner(IterativeExecutor(status=False), chunksize=chunksize, metadata_cache=cache)
    return list(runner.preprocess(good))
