"""Embedded events on disk: parquet partitioned by dataset, one file per chunk, one row per event."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray

from jepa_coffea.errors import BadFileError, StorageError
from jepa_coffea.files import quoted, replacing, versions
from jepa_coffea.files.folders import filesystem
from jepa_coffea.files.parquet import opened, write_rows

METADATA = b"jepa_coffea"
"""Key of the parquet metadata under which a file says, in JSON, where its embeddings came from."""

PACKAGES = ("jepa-coffea", "coffea", "awkward", "numpy")
"""What decides the numbers in a file; their versions are kept in it."""

JETS = ("jet1", "jet2")
"""What stands before the columns of the two jets, leading first."""

KINEMATICS = ("pt", "eta", "phi", "mass")
SUBSTRUCTURE = ("msoftdrop", "tau1", "tau2", "tau3", "tau4")
"""Written where the jets have them."""


def jet_columns(jets: ak.Array, position: int) -> dict[str, pa.Array]:
    """Columns ``jet<n>_*`` of one of the two jets of each event.

    Parameters
    ----------
    jets
        ``events * 2 * jet`` with kinematics, ``embedding``, ``score_<class>``, and what else the model gives.
    position
        0 or 1, in ``JETS``.

    Returns
    -------
    dict of pyarrow.Array
    """
    jet = jets[:, position]
    known = [name for name in (*KINEMATICS, *SUBSTRUCTURE, "n_constituents") if name in jet.fields]
    numbers, vectors = {}, {}
    for name in (*known, *(name for name in jet.fields if name not in known)):
        values, column = floats(jet[name]), f"{JETS[position]}_{name}"
        if values.ndim == 1:
            numbers[column] = pa.array(values)
        else:
            vectors[column] = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
    return numbers | vectors


def floats(column: ak.Array) -> NDArray[np.float32]:
    """A column as float32, [event] or [event, dim].

    Parameters
    ----------
    column
        Numbers, or vectors of one length, one per event.

    Returns
    -------
    numpy.ndarray
    """
    return np.asarray(ak.to_numpy(ak.to_regular(column, axis=None)), dtype=np.float32)


def table(event_columns: Mapping[str, ArrayLike], jets: ak.Array, provenance: Mapping[str, Any]) -> pa.Table:
    """One row per event: the columns given, and those of both jets; ``provenance`` goes into the metadata.

    Parameters
    ----------
    event_columns
        Name to values, [event].
    jets
        ``events * 2 * jet``, see :func:`jet_columns`.
    provenance
        What JSON can write.

    Returns
    -------
    pyarrow.Table
    """
    columns = {name: pa.array(np.asarray(values)) for name, values in event_columns.items()}
    for position in (0, 1):
        columns |= jet_columns(jets, position)
    text = json.dumps({**provenance, "versions": versions(*PACKAGES)}, sort_keys=True)
    return pa.table(columns).replace_schema_metadata({METADATA: text.encode()})


def chunk_name(metadata: Mapping[str, Any]) -> str:
    """File name of a chunk from coffea's metadata: the same for every attempt, different for every range of entries.

    Parameters
    ----------
    metadata
        With ``fileuuid``, ``entrystart`` and ``entrystop``.

    Returns
    -------
    str
    """
    return f"{metadata['fileuuid']}-{metadata['entrystart']}-{metadata['entrystop']}.parquet"


def write(rows: pa.Table, folder: str | Path, dataset: str, name: str) -> list[str]:
    """Write a chunk's rows to ``<folder>/dataset=<dataset>/<name>`` so that the file appears whole or not at all.

    A second attempt replaces the file of the first. A chunk without rows leaves no file. The name of the dataset is
    quoted, and every page of the file has a checksum.

    Parameters
    ----------
    rows
        One per event.
    folder
        Path or URL.
    dataset
        Any text.
    name
        Of the file.

    Returns
    -------
    list of str
        The path, relative to ``folder``, or nothing.

    Raises
    ------
    StorageError
        If the disk is full or must not be written.
    """
    place = f"dataset={quoted(dataset)}/{name}"
    if "://" in str(folder):
        _write_remote(rows, f"{folder}/{place}")
        return [place] if rows.num_rows else []
    path = Path(folder) / place
    if rows.num_rows == 0:
        path.unlink(missing_ok=True)
        return []
    with replacing(path, rows.nbytes) as partial:
        write_rows(rows, partial)
    return [place]


def _write_remote(rows: pa.Table, url: str) -> None:
    """The same for ``root://`` and other URLs that fsspec knows: upload under another name, then rename."""
    files, path = filesystem(url)
    folder, _, name = path.rpartition("/")
    partial = f"{folder}/.{name}.{uuid.uuid4().hex}.part"
    try:
        if files.exists(path):
            files.rm(path)
        if rows.num_rows == 0:
            return
        files.makedirs(folder, exist_ok=True)
        with files.open(partial, "wb") as target:
            write_rows(rows, target)
        files.mv(partial, path)
    except OSError as error:
        msg = f"{url} cannot be written ({error}); run again when it can"
        raise StorageError(msg) from None


def written(folder: str | Path) -> list[str]:
    """All files of embedded events in a folder.

    Parameters
    ----------
    folder
        Path or URL.

    Returns
    -------
    list of str
        Paths or URLs, sorted.
    """
    if "://" not in str(folder):
        return sorted(map(str, Path(folder).glob("dataset=*/*.parquet")))
    files, path = filesystem(str(folder))
    files.invalidate_cache()
    return sorted(files.unstrip_protocol(str(name)) for name in files.glob(f"{path}/dataset=*/*.parquet"))


def present(folder: str | Path, dataset: str) -> set[str]:
    """Names of the files of a dataset that are in a folder.

    Parameters
    ----------
    folder
        Path or URL.
    dataset
        As it was given to :func:`write`.

    Returns
    -------
    set of str
    """
    place = f"dataset={quoted(dataset)}"
    if "://" not in str(folder):
        return {path.name for path in (Path(folder) / place).glob("*.parquet")}
    files, path = filesystem(f"{folder}/{place}")
    files.invalidate_cache(path)
    names = (str(name).rpartition("/")[2] for name in (files.ls(path, detail=False) if files.isdir(path) else ()))
    return {name for name in names if name.endswith(".parquet")}


def read_provenance(path: str | Path) -> dict[str, Any]:
    """What a file of embedded events says of where it came from: model and its hash, dataset, configuration, versions.

    Parameters
    ----------
    path
        Of the file, or a URL.

    Returns
    -------
    dict

    Raises
    ------
    BadFileError
        If it was not written by this project, or cannot be read.
    """
    try:
        with opened(path) as source:
            found = (pq.read_schema(source).metadata or {}).get(METADATA)
    except (OSError, ValueError, pa.ArrowException) as error:
        msg = f"{path} is damaged, or no parquet ({str(error).strip()})"
        raise BadFileError(msg) from None
    if found is None:
        msg = f"{path}: no embedded events; its parquet metadata has no entry {METADATA.decode()!r}"
        raise BadFileError(msg)
    return dict(json.loads(found))
