"""Tables whose every bit is checked, wherever they lie."""

import random
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jepa_coffea.errors import BadFileError
from jepa_coffea.files.parquet import read_rows, write_rows


def table() -> pa.Table:
    draw = np.random.default_rng(1)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(draw.normal(size=160).astype(np.float32)), 8)
    rows = pa.table({"event": pa.array(range(20)), "vector": vectors, "name": ["a"] * 20})
    return rows.replace_schema_metadata({b"about": b"something"})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_rows(table(), tmp_path / "a")
    rows = read_rows(tmp_path / "a")
    assert rows.to_pydict() == table().to_pydict()
    assert rows.schema.metadata[b"about"] == b"something"
    assert read_rows(tmp_path / "a", ["name"]).column_names == ["name"]


def test_every_flip_is_found_or_changes_nothing(tmp_path: Path) -> None:
    path, draw, noticed = tmp_path / "a", random.Random(1), 0
    write_rows(table(), path)
    whole = path.read_bytes()
    for _ in range(400):
        damaged = bytearray(whole)
        damaged[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        try:
            rows = read_rows(path)
        except BadFileError:
            noticed += 1
            continue
        assert rows.to_pydict() == table().to_pydict()
        assert rows.schema.metadata[b"about"] == b"something"
    assert noticed > 200


def test_tables_of_others_are_read_as_they_are(tmp_path: Path) -> None:
    pq.write_table(table(), tmp_path / "a")
    assert read_rows(tmp_path / "a").to_pydict() == table().to_pydict()


def test_a_url() -> None:
    with fsspec.open("memory://tables/a.parquet", "wb") as file:
        write_rows(table(), file)
    assert read_rows("memory://tables/a.parquet").to_pydict() == table().to_pydict()


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no parquet at all, but longer than its smallest file"])
def test_no_parquet(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(BadFileError, match=r"a is damaged, or no parquet .*; delete it"):
        read_rows(tmp_path / "a", remedy="delete it")
    with pytest.raises(FileNotFoundError):
        read_rows(tmp_path / "none")
