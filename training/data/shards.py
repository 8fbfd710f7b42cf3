"""Prepared shards: a folder of ``.npy`` columns per source file, written so that half a shard never looks whole."""

from __future__ import annotations

import json
import os
import shutil
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from jepa_coffea.constituents.record import JET_FIELDS, SUBJET
from jepa_coffea.errors import BadFileError
from jepa_coffea.files import sealed_document, synchronise_folder, unsealed_document, write_text
from training.data.checksums import Checksum, of_array
from training.data.columns import GROUPS, OBSERVABLES, JetColumns
from training.data.readers.base import JetFile, even_blocks, naming

_HEADERS = threading.Lock()
"""numpy reads headers with ``ast``, whose recursion check fails in CPython 3.11 when threads take turns in it."""

VERSION = 1
"""Version of the form of shards that this code writes and reads."""

DESCRIPTION = "shard.json"

SCHEMA: dict[str, tuple[str, tuple[str, ...]]] = {
    **{name: (kind, fields) for name, (fields, kind) in GROUPS.items()},
    "jets": ("<f4", JET_FIELDS),
    "labels": ("<i2", ()),
    "observables": ("<f4", OBSERVABLES),
    "offsets": ("<i8", ()),
    SUBJET: ("|i1", ()),
}
"""Column to its type on disk and the names along its second axis; no column loses precision."""


class Shard(BaseModel):
    """What a shard says of itself, ``shard.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = VERSION
    source: str
    """Path of the file that the jets are from."""
    source_bytes: int
    source_checksum: str
    options: dict[str, Any]
    """What of the preparation changes the content: layout, collection, subjets, skip_bad."""
    fields: tuple[str, ...]
    """What the source knows of a particle; columns of other fields hold 0."""
    class_names: tuple[str, ...]
    jets: int
    particles: int
    class_counts: dict[str, int]
    left_out: dict[str, list[int]]
    """Reason to the positions in the source of the jets that were left out."""
    columns: dict[str, list[str]]
    """Column to the names along its second axis; empty for one number per row."""
    checksums: dict[str, str]
    """Column to the checksum of its content."""


class ShardWriter:
    """Appends blocks of jets to a shard; it appears under its name only when it is whole.

    Use as a context manager: leaving it after an error, a full disk among them, removes what was written.

    Parameters
    ----------
    folder
        The shard.
    subjets
        Whether particles carry the index of their subjet.
    """

    def __init__(self, folder: Path, *, subjets: bool = False) -> None:
        self.folder = folder
        self.partial = folder.with_name(f".{folder.name}.partial-{os.getpid()}")
        self.names = [name for name in SCHEMA if name != SUBJET or subjets]
        self.rows = dict.fromkeys(self.names, 0)
        self.checksums = {name: Checksum() for name in self.names}

    def __enter__(self) -> Self:
        shutil.rmtree(self.partial, ignore_errors=True)
        self.partial.mkdir(parents=True)
        self.files = {name: (self.partial / f"{name}.npy").open("wb") for name in self.names}
        for name in self.names:
            self._header(name)
        self._write("offsets", np.zeros(1, np.int64))
        return self

    def append(self, columns: JetColumns) -> None:
        """Add jets at the end.

        Parameters
        ----------
        columns
            The jets.
        """
        arrays = columns.arrays()
        arrays["offsets"] = columns.offsets[1:] + self.rows["kinematics"]
        for name in self.names:
            self._write(name, arrays[name])

    def finish(self, **description: Any) -> Shard:
        """Make the shard whole and give it its name.

        Parameters
        ----------
        **description
            The remaining entries of :class:`Shard`.

        Returns
        -------
        Shard
        """
        for name, file in self.files.items():
            self._header(name)
            file.flush()
            os.fsync(file.fileno())
            file.close()
        shard = Shard(
            jets=self.rows["jets"],
            particles=self.rows["kinematics"],
            columns={name: list(SCHEMA[name][1]) for name in self.names},
            checksums={name: checksum.hex() for name, checksum in self.checksums.items()},
            **description,
        )
        write_text(self.partial / DESCRIPTION, json.dumps(sealed_document(shard.model_dump()), indent=1))
        shutil.rmtree(self.folder, ignore_errors=True)
        self.partial.rename(self.folder)
        synchronise_folder(self.folder.parent)
        return shard

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self.files.values():
            try:
                file.close()
            except OSError:  # a full disk fails again when what is buffered is written
                continue
        shutil.rmtree(self.partial, ignore_errors=True)

    def _write(self, name: str, array: NDArray[Any]) -> None:
        kind, _ = SCHEMA[name]
        data = np.ascontiguousarray(array, dtype=kind)
        view = data.reshape(-1).view(np.uint8).data if data.size else b""
        self.files[name].write(view)
        self.checksums[name].update(view)
        self.rows[name] += len(data)

    def _header(self, name: str) -> None:
        """Write or rewrite the header; numpy pads it so that a longer first axis still fits."""
        kind, fields = SCHEMA[name]
        shape = (self.rows[name], len(fields)) if fields else (self.rows[name],)
        file = self.files[name]
        before = file.tell()
        file.seek(0)
        npy.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": shape})
        if before and file.tell() != HEADER_BYTES:
            msg = f"{self.folder}: header of {name} has {file.tell()} bytes, expected {HEADER_BYTES}"
            raise BadFileError(msg)


HEADER_BYTES = 128
"""Size of the header of every column; the content follows."""


def describe_shard(folder: Path) -> Shard:
    """Read ``shard.json`` of a shard.

    Parameters
    ----------
    folder
        The shard.

    Returns
    -------
    Shard

    Raises
    ------
    BadFileError
        If it is missing, no description of a shard, or of another version.
    """
    path = folder / DESCRIPTION
    if not path.is_file():
        msg = f"{folder}: no {DESCRIPTION}; expected a shard written by training/prepare.py"
        raise BadFileError(msg)
    content = unsealed_document(path.read_bytes(), path)
    if content.get("version") != VERSION:
        msg = f"{path}: shard version {content.get('version')}, this code reads {VERSION}; prepare the data again"
        raise BadFileError(msg)
    try:
        return Shard.model_validate(content)
    except ValidationError as error:
        msg = f"{path}: not the description of a shard: {error}"
        raise BadFileError(msg) from None


class ShardFile(JetFile):
    """A shard opened for reading: memory-mapped, so that what is read is read once and shared by all processes.

    Parameters
    ----------
    folder
        The shard.
    """

    def __init__(self, folder: str) -> None:
        self.path = folder
        self.shard = describe_shard(Path(folder))
        self.source, self.jets, self.class_names = self.shard.source, self.shard.jets, self.shard.class_names
        self.fields = self.shard.fields
        with naming(folder):
            for name, fields in self.shard.columns.items():
                if name not in SCHEMA or tuple(fields) != SCHEMA[name][1]:
                    msg = (
                        f"{folder}: column {name!r} holds {fields}, expected {SCHEMA.get(name)}; prepare the data again"
                    )
                    raise BadFileError(msg)
            arrays = {name: self._open(name) for name in self.shard.columns}
        self.columns = JetColumns(**arrays)
        self.boundaries = even_blocks(np.append(np.arange(0, self.jets, 1024), self.jets))

    def _open(self, name: str) -> NDArray[Any]:
        kind, fields = SCHEMA[name]
        rows = {"jets": self.jets, "labels": self.jets, "observables": self.jets, "offsets": self.jets + 1}
        shape = (rows.get(name, self.shard.particles), *((len(fields),) if fields else ()))
        path = Path(self.path, f"{name}.npy")
        with _HEADERS:
            mapped = np.load(path, mmap_mode="r") if shape[0] else np.load(path)
        if mapped.shape != shape or mapped.dtype != np.dtype(kind):
            msg = f"{path}: holds {mapped.dtype}{mapped.shape}, the shard's description says {kind}{shape}"
            raise BadFileError(msg)
        return np.asarray(mapped)

    def read(self, start: int, stop: int) -> JetColumns:
        """As of every :class:`JetFile`, without a copy.

        Parameters
        ----------
        start, stop
            Positions of the first jet, and one past the last.

        Returns
        -------
        JetColumns
        """
        return self.columns.slice(start, stop)

    def labels(self) -> NDArray[np.int16]:
        """As of every :class:`JetFile`.

        Returns
        -------
        ndarray
            int16 [jets].
        """
        return self.columns.labels

    def verify(self) -> None:
        """Compare the content of all columns with their checksums.

        Raises
        ------
        BadFileError
            If one differs.
        """
        for name, column in self.columns.arrays().items():
            found = of_array(column)
            if found != self.shard.checksums.get(name):
                msg = (
                    f"{self.path}/{name}.npy: checksum {found}, expected {self.shard.checksums.get(name)}; the shard "
                    "is damaged, remove it and run training/prepare.py again"
                )
                raise BadFileError(msg)
