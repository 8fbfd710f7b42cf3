"""Which files there are and what is in them, before any event is processed: every bad one found at once, and named."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import uproot
from coffea.processor.executor import WorkItem

from jepa_coffea.errors import BadFileError, did_you_mean
from jepa_coffea.files import unreadable
from jepa_coffea.processing.input_faults import STAMP, stamp

DATASET = ("files", "treename", "metadata", "preload", "format", "compressed_form", "did")
"""Keys of a dataset in coffea's filesets; the last three say nothing that a run needs."""

FILE = ("object_path", "steps", "num_entries", "uuid", "format", "lfn", "pfn")
"""Keys of a file in filesets that coffea has preprocessed."""


RESERVED = {
    *("dataset", "filename", "treename", "metadata", "entrystart", "entrystop", "fileuuid", "numentries", "uuid"),
    *("clusters", "preload", STAMP),
}
"""Names that metadata of a dataset must not have."""


def source_of(treename: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What events come from, besides their file, in a form that JSON keeps.

    Parameters
    ----------
    treename
        Their tree.
    metadata
        Of their chunk, or of their dataset.

    Returns
    -------
    dict
        ``treename``, and ``metadata``: what the user says of the dataset, such as its weight.
    """
    # The version is that of coffea's schema, whatever was given.
    own = {name: value for name, value in metadata.items() if name not in RESERVED and name != "version"}
    return {"treename": treename, "metadata": json.loads(json.dumps(own, default=str))}


@dataclass(frozen=True)
class File:
    """One file of a dataset, what it holds, or why it cannot be opened."""

    dataset: str
    name: str
    treename: str
    entries: int = 0
    uuid: bytes = b""
    stamp: str = ""
    """Size and time of a local file."""
    stated: int | None = None
    """Entries that the fileset says it has."""
    stated_uuid: str = ""
    problem: str = ""


Fileset = Mapping[str, Mapping[str, Any]]
"""Dataset to ``trees`` (file to tree name), ``stated`` (file to entries and UUID), ``metadata`` and ``preload``."""


def normal_form(fileset: Any, treename: str) -> Fileset:
    """A fileset as coffea takes them, in one form.

    Parameters
    ----------
    fileset
        ``{dataset: files}`` or ``{dataset: {"files": files, "treename": ..., "metadata": {...}}}``; ``files`` are a
        name, a list of names, or a mapping of names to tree names; or the path of a JSON file with such a mapping.
    treename
        Where none is said.

    Returns
    -------
    dict
        See :data:`Fileset`.

    Raises
    ------
    BadFileError
        If there are no files, a key is unknown, or only parts of a file are asked for.
    """
    if isinstance(fileset, str | Path):
        try:
            fileset = json.loads(Path(fileset).read_text())
        except (OSError, ValueError) as error:
            msg = f"{fileset}: no fileset in JSON ({error})"
            raise BadFileError(msg) from None
    given = _plain(fileset)
    if not isinstance(given, Mapping):
        msg = f"fileset: expected a mapping of datasets to files, got a {type(fileset).__name__}"
        raise BadFileError(msg)
    found = {str(dataset): _dataset(str(dataset), _plain(entry), treename) for dataset, entry in given.items()}
    if not any(entry["trees"] for entry in found.values()):
        msg = f"no files in the datasets {[*found]}"
        raise BadFileError(msg)
    return found


def _plain(given: Any) -> Any:
    """Pydantic's models, which newer versions of coffea use for filesets, as what they hold."""
    return given.model_dump(exclude_none=True) if hasattr(given, "model_dump") else given


def _dataset(dataset: str, given: Any, treename: str) -> dict[str, Any]:
    if not isinstance(given, Mapping) or _maps_files(given):
        given = {"files": given}
    unknown = [str(key) for key in given if key not in DATASET]
    if unknown or "files" not in given:
        word = unknown[0] if unknown else "files"
        msg = f"dataset {dataset!r}: " + (
            f"no such key {word!r}; {did_you_mean(word, DATASET)}" if unknown else "it has no 'files'"
        )
        raise BadFileError(msg)
    tree = str(given.get("treename") or treename)
    names = given["files"]
    several = [names] if isinstance(names, str | Path) else names
    if not isinstance(several, Mapping):
        _require_once(dataset, several)
        several = dict.fromkeys(several)
    described = {str(name): _plain(value) for name, value in several.items()}
    trees = {name: _tree(dataset, name, value) or tree for name, value in described.items()}
    stated = {name: _stated(dataset, name, value) for name, value in described.items() if isinstance(value, Mapping)}
    metadata = given.get("metadata") or {}
    if not isinstance(metadata, Mapping):
        msg = f"dataset {dataset!r}: expected a mapping as metadata, got {metadata!r}"
        raise BadFileError(msg)
    _require_weight(dataset, metadata.get("weight", 1.0))
    return {"trees": trees, "stated": stated, "metadata": dict(metadata), "preload": given.get("preload")}


def _require_weight(dataset: str, weight: Any) -> None:
    try:
        usable = math.isfinite(float(weight))
    except (TypeError, ValueError):
        usable = False
    if not usable:
        msg = f"dataset {dataset!r}: its weight is {weight!r}; expected a finite number, by which its events count"
        raise BadFileError(msg)


def _maps_files(given: Mapping[Any, Any]) -> bool:
    """Whether a mapping is of files to trees and not a dataset."""
    return bool(given) and all(
        isinstance(value, str | Mapping | None) and ("." in str(key) or "/" in str(key)) for key, value in given.items()
    )


def _require_once(dataset: str, names: Any) -> None:
    if not isinstance(names, list | tuple | set | frozenset) or not all(isinstance(one, str | Path) for one in names):
        msg = f"dataset {dataset!r}: expected a name of a file, or several, got {names!r}"
        raise BadFileError(msg)
    twice = [name for name, count in Counter(map(str, names)).items() if count > 1]
    if twice:
        msg = f"dataset {dataset!r}: {twice[0]} is given twice"
        raise BadFileError(msg)


def _tree(dataset: str, name: str, value: Any) -> str | None:
    """The tree that a value of ``files`` names."""
    if value is None or isinstance(value, str):
        return value
    where = f"dataset {dataset!r}, file {name}"
    if not isinstance(value, Mapping):
        msg = f"{where}: expected the name of a tree, got {value!r}"
        raise BadFileError(msg)
    unknown = [str(key) for key in value if key not in FILE]
    if unknown:
        msg = f"{where}: no such key {unknown[0]!r}; {did_you_mean(unknown[0], FILE)}"
        raise BadFileError(msg)
    return None if value.get("object_path") is None else str(value["object_path"])


def _stated(dataset: str, name: str, value: Mapping[str, Any]) -> tuple[int | None, str]:
    """Entries and UUID that a file is said to have, after steps that leave out events were refused."""
    where = f"dataset {dataset!r}, file {name}"
    steps, entries = value.get("steps") or [], value.get("num_entries")
    try:
        edges = [(int(start), int(stop)) for start, stop in steps]
        entries = None if entries is None else int(entries)
    except (TypeError, ValueError, OverflowError):
        msg = f"{where}: expected pairs of entries as steps and a number as num_entries, got {steps!r} and {entries!r}"
        raise BadFileError(msg) from None
    if edges and entries is None:
        entries = edges[-1][1]
    whole = not edges or (
        edges[0][0] == 0 and all(one[1] == two[0] for one, two in pairwise(edges)) and edges[-1][1] == entries
    )
    if not whole:
        msg = f"{where}: its steps leave out events; a run takes whole files, so leave the steps out"
        raise BadFileError(msg)
    return entries, "" if value.get("uuid") is None else str(value["uuid"])


def list_files(fileset: Fileset) -> list[File]:
    """All files of a fileset.

    Parameters
    ----------
    fileset
        In :func:`normal_form`.

    Returns
    -------
    list of File
    """
    found = []
    for dataset, entry in fileset.items():
        for name, tree in entry["trees"].items():
            entries, identity = entry["stated"].get(name, (None, ""))
            found.append(File(dataset, name, tree, stated=entries, stated_uuid=identity))
    return found


def look(file: File, timeout: int = 60) -> File:
    """Open a file and count its entries; problems are noted, not raised.

    Parameters
    ----------
    file
        Which.
    timeout
        Seconds, for files that are not local.

    Returns
    -------
    File
        The same with entries, UUID and stamp, or with a problem.
    """
    before = stamp(file.name)
    try:
        with uproot.open({file.name: None}, timeout=timeout) as source:
            if file.treename not in source:
                problem = f"no tree {file.treename!r}; it has {sorted(set(source.keys(cycle=False)))}"
                return replace(file, problem=problem)
            entries, uuid = source[file.treename].num_entries, source.file.fUUID
    except Exception as error:  # noqa: BLE001  whatever a broken file makes the reader say is its problem
        return replace(file, problem=problem_of(file.name, error))
    if file.stated is not None and file.stated != entries:
        return replace(file, problem=f"it has {entries} events, the fileset says {file.stated}; was it replaced?")
    if file.stated_uuid and file.stated_uuid.replace("-", "").lower() != uuid.hex():
        return replace(file, problem=f"its UUID is not {file.stated_uuid}, as the fileset says; was it replaced?")
    return replace(file, entries=entries, uuid=uuid, stamp=before)


def problem_of(name: str, error: Exception) -> str:
    """Why a file cannot be read.

    Parameters
    ----------
    name
        Its path or URL.
    error
        What the reader says.

    Returns
    -------
    str
        What is the matter, where it is known; else the words of the reader.
    """
    stem, colon, tree = name.rpartition(":")
    if colon and Path(stem).is_file():
        return f"no such file; {stem} is one, and its tree is named apart: {{{stem!r}: {tree!r}}}"
    return unreadable(name, error)


def look_at_all(fileset: Fileset, *, client: Any = None, resources: Mapping[str, float] | None = None) -> list[File]:
    """All files of a fileset, opened.

    Parameters
    ----------
    fileset
        In :func:`normal_form`.
    client
        Of Dask; its workers open the files. None: this process does.
    resources
        Of Dask, that the workers must have.

    Returns
    -------
    list of File
    """
    files = list_files(fileset)
    if client is None:
        return [look(file) for file in files]
    return list(client.gather(client.map(look, files, pure=False, resources=dict(resources or {}))))


def require_readable(files: Sequence[File], *, skip: bool) -> None:
    """Raise unless all files can be opened or, with ``skip``, at least one.

    Parameters
    ----------
    files
        Opened.
    skip
        Whether bad files may be left out.

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


def require_distinct(files: Sequence[File]) -> None:
    """Raise if a file is there twice, under whatever names: its events would be counted twice.

    Parameters
    ----------
    files
        Opened. A ROOT file is told by the UUID in its header, which copies and links share.

    Raises
    ------
    BadFileError
        Naming all files that are there more than once.
    """
    known = defaultdict(list)
    for file in files:
        if file.uuid and not file.problem:
            known[file.uuid, file.treename].append(file)
    lines = [
        "  " + " and ".join(f"{file.dataset}: {file.name}" for file in same) for same in known.values() if len(same) > 1
    ]
    if lines:
        msg = (
            f"{len(lines)} files are given more than once, told by the UUID in them:\n"
            + "\n".join(lines)
            + "\nName each once. Files that differ and share a UUID have to be written anew, as hadd does"
        )
        raise BadFileError(msg)


def plan_chunks(fileset: Fileset, files: Sequence[File], chunksize: int) -> list[WorkItem]:
    """Chunks of about a size, none across files, of all files without a problem.

    Parameters
    ----------
    fileset
        In :func:`normal_form`.
    files
        The same, opened.
    chunksize
        Events.

    Returns
    -------
    list of WorkItem

    Raises
    ------
    BadFileError
        If the metadata of a dataset has a name that coffea needs.
    """
    found: list[WorkItem] = []
    for dataset, entry in fileset.items():
        reserved = sorted(RESERVED & set(entry["metadata"]))
        if reserved:
            msg = f"dataset {dataset!r}: metadata {reserved[0]!r} is a name that coffea needs; call it otherwise"
            raise BadFileError(msg)
    for file in files:
        if file.problem or file.entries == 0:
            continue
        entry = fileset[file.dataset]
        metadata = {**entry["metadata"], STAMP: file.stamp}
        preload = None if entry["preload"] is None else frozenset(entry["preload"])
        size = math.ceil(file.entries / max(round(file.entries / chunksize), 1))
        for start in range(0, file.entries, size):
            where = (start, min(start + size, file.entries))
            found.append(WorkItem(file.dataset, file.name, file.treename, *where, file.uuid, metadata, preload))
    return found
