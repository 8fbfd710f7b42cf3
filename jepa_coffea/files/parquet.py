"""Tables in parquet whose every bit is checked: pages by checksums, columns and what the file says of itself by a seal.

Not part of ``jepa_coffea.files`` itself, since what only opens a model needs no pyarrow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from jepa_coffea.errors import BadFileError
from jepa_coffea.files.hashes import digest

SEAL = b"jepa_coffea.seal"
"""Key of the metadata under which a file keeps a hash of its other metadata and of its columns' names and types."""


def write_rows(rows: pa.Table, target: Path | IO[bytes], *, compression: str = "zstd") -> None:
    """Write a table with a checksum of every page and a seal.

    Parameters
    ----------
    rows
        With what the file shall say of itself in the metadata of its schema.
    target
        Local path, or an open file.
    compression
        As parquet calls it.
    """
    sealed = rows.replace_schema_metadata({**(rows.schema.metadata or {}), SEAL: _seal(rows.schema).encode()})
    pq.write_table(sealed, target, compression=compression, write_page_checksum=True)


def read_rows(path: str | Path, columns: Sequence[str] | None = None, *, remedy: str = "write it again") -> pa.Table:
    """Read a table, and look at every checksum that it has.

    Parameters
    ----------
    path
        Of the parquet file, or a URL; one that was not written here has no checksums, and is read as it is.
    columns
        Which; default: all.
    remedy
        What to do with a damaged file, for the message.

    Returns
    -------
    pyarrow.Table
        With the metadata of the file.

    Raises
    ------
    BadFileError
        If the file is damaged, or no parquet.
    FileNotFoundError
        If there is none.
    """
    try:
        with opened(path) as source, pq.ParquetFile(source, page_checksum_verification=True) as file:
            rows = file.read(columns=None if columns is None else [*columns])
            schema = file.schema_arrow.with_metadata(rows.schema.metadata)
            stored = (schema.metadata or {}).get(SEAL)
            intact = (stored is None or stored.decode() == _seal(schema)) and rows.num_rows == file.metadata.num_rows
    except FileNotFoundError:
        raise
    except (OSError, ValueError, pa.ArrowException) as error:
        msg = f"{path} is damaged, or no parquet ({str(error).strip()}); {remedy}"
        raise BadFileError(msg) from None
    if not intact:
        msg = f"{path} is damaged: its columns or what it says of itself changed since it was written; {remedy}"
        raise BadFileError(msg)
    return rows


@contextmanager
def opened(path: str | Path) -> Iterator[Any]:
    """What pyarrow reads from.

    Parameters
    ----------
    path
        Local path or URL.

    Yields
    ------
    Any
        A local path as it is, a URL as a file of fsspec.
    """
    if "://" not in str(path):
        yield path
        return
    with fsspec.open(str(path), "rb") as source:
        yield source


def _seal(schema: pa.Schema) -> str:
    metadata = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items() if key != SEAL}
    # Parquet calls the items of a list otherwise than Arrow.
    return digest(metadata, [(field.name, re.sub(r"<\w+: ", "<", str(field.type))) for field in schema])
