"""JetClass-II parquet files, one jet per row; the lists of parquet are flat columns and offsets already.

Schema: C. Li et al., arXiv:2405.12972.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jepa_coffea.errors import BadFileError
from training.data.classes import JETCLASS2
from training.data.columns import UNLABELLED, JetColumns, empty, order_by_pt
from training.data.readers.base import LARGEST_BLOCK, EmptyFileError, JetFile, even_blocks, naming
from training.data.readers.jetclass_root import EXTRA, JET, PARTICLES, fill_jets

LABEL = "jet_label"


MOST_OPEN = 4
"""Row groups that are kept open, of all files together."""


class RowGroup:
    """A row group read from front to back, some thousand rows at a time: it may be the whole of a large file.

    Parameters
    ----------
    path
        The file.
    number
        Which row group.
    columns
        Names of the columns to read.
    """

    def __init__(self, path: str, number: int, columns: list[str]) -> None:
        self.number = number
        # Buffered, or every column would be read as a whole, though not decoded.
        file = pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False)
        options = {"batch_size": LARGEST_BLOCK, "columns": columns, "use_threads": False}
        self._batches = file.iter_batches(row_groups=[number], **options)
        self._kept: list[pa.RecordBatch] = []
        self.first = 0
        """First row that can still be had."""

    def rows(self, start: int, stop: int) -> pa.Table:
        """Some rows of the group.

        Parameters
        ----------
        start, stop
            First row, not before ``first``, and one past the last.

        Returns
        -------
        pyarrow.Table
        """
        end = self.first + sum(batch.num_rows for batch in self._kept)
        while end < stop:
            self._kept.append(next(self._batches))
            end += self._kept[-1].num_rows
            while self._kept and self.first + self._kept[0].num_rows <= start:
                self.first += self._kept.pop(0).num_rows
        return pa.Table.from_batches(self._kept).slice(start - self.first, stop - start)


class JetClassParquet(JetFile):
    """One parquet file; see :class:`JetFile`.

    Blocks are mostly read in a row, so the row groups read last stay open.

    Parameters
    ----------
    path
        The file.
    """

    _recent: ClassVar[OrderedDict[JetClassParquet, RowGroup]] = OrderedDict()
    _recent_lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, path: str) -> None:
        self.path = self.source = path
        self._lock = threading.Lock()
        with naming(path), pq.ParquetFile(path) as file:
            names = set(file.schema_arrow.names)
            missing = [b for b in (*(b for bs in PARTICLES.values() for b in bs), *JET) if b not in names]
            if missing:
                msg = f"{path}: no column {', '.join(missing)}; expected the JetClass-II schema"
                raise BadFileError(msg)
            meta = file.metadata
            self.jets = int(meta.num_rows)
            if self.jets == 0:
                msg = f"{path}: no rows"
                raise EmptyFileError(msg)
            sizes = [meta.row_group(k).num_rows for k in range(meta.num_row_groups)]
            self._groups = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
            self._names = [name for name in names if name in {*(b for bs in PARTICLES.values() for b in bs), *JET}]
            self._extra = {name: column for name, column in EXTRA.items() if column in names}
            self._names += [*self._extra.values(), *([LABEL] if LABEL in names else [])]
            self.class_names = JETCLASS2 if LABEL in names else ()
            self.boundaries = even_blocks(self._groups)

    def _rows(self, number: int, start: int, stop: int) -> pa.Table:
        """Rows ``start:stop`` of a row group."""
        with self._lock:
            with self._recent_lock:
                group = self._recent.pop(self, None)
            if group is None or group.number != number or group.first > start:
                group = RowGroup(self.path, number, self._names)
            table = group.rows(start, stop)
            with self._recent_lock:
                self._recent[self] = group
                while len(self._recent) > MOST_OPEN:
                    self._recent.popitem(last=False)
            return table

    def _table(self, start: int, stop: int) -> pa.Table:
        first = int(np.searchsorted(self._groups, start, side="right")) - 1
        last = int(np.searchsorted(self._groups, stop, side="left"))
        edges = self._groups.tolist()
        parts = [
            self._rows(k, max(start, edges[k]) - edges[k], min(stop, edges[k + 1]) - edges[k])
            for k in range(first, last)
        ]
        return pa.concat_tables(parts)

    def read(self, start: int, stop: int) -> JetColumns:
        """As of every :class:`JetFile`.

        Parameters
        ----------
        start, stop
            Positions of the first jet, and one past the last.

        Returns
        -------
        JetColumns
        """
        with naming(self.path):
            table = self._table(start, stop)
            counts = self._counts(table["part_px"], start)
            offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
            arrays = empty(stop - start, int(offsets[-1]))
            for group, names in PARTICLES.items():
                for column, name in enumerate(names):
                    if not np.array_equal(self._counts(table[name], start), counts):
                        msg = f"{self.path}: column {name!r} has other numbers of particles than the momenta"
                        raise BadFileError(msg)
                    arrays[group][:, column] = _values(table[name])
            scalars = {name: _numbers(table[name]) for name in (*JET, *self._extra.values())}
            fill_jets(scalars, self._extra, counts, arrays)
            if self.class_names:
                arrays["labels"][:] = _known(_numbers(table[LABEL]))
            columns = JetColumns(offsets=offsets, **arrays)
            order_by_pt(columns)
            return columns

    def _counts(self, column: pa.ChunkedArray, start: int) -> NDArray[np.int64]:
        if column.null_count:
            msg = f"{self.path}: missing values (null) at or after row {start}"
            raise BadFileError(msg)
        return np.concatenate([chunk.value_lengths().to_numpy(zero_copy_only=False) for chunk in column.chunks])

    def labels(self) -> NDArray[np.int16]:
        """As of every :class:`JetFile`.

        Returns
        -------
        ndarray
            int16 [jets].
        """
        if not self.class_names:
            return np.full(self.jets, UNLABELLED, np.int16)
        with naming(self.path):
            return _known(_numbers(pq.read_table(self.path, columns=[LABEL])[LABEL]))


def _values(column: pa.ChunkedArray) -> NDArray[Any]:
    """All numbers of a column of lists."""
    return np.concatenate([chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks])


def _numbers(column: pa.ChunkedArray) -> NDArray[Any]:
    return column.to_numpy()


def _known(label: NDArray[Any]) -> NDArray[np.int16]:
    return np.where((label >= 0) & (label < len(JETCLASS2)), label, UNLABELLED).astype(np.int16)
