"""Columns of a table of events as arrays, or one line that says why not."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jepa_coffea.errors import closest
from jepa_coffea.hunt.config import HuntError

Floats = npt.NDArray[Any]

LEFT_OUT = b"left_out"
"""Key of a table's metadata: JSON, columns of its file that it has not, and what they hold."""


def column(table: pa.Table, name: str, file: str | Path, option: str = "") -> Floats:
    """A column of one number, or of true and false, per event.

    Parameters
    ----------
    table
        Where it stands.
    name
        Its name.
    file
        Of the table, for messages.
    option
        That names the column, for messages.

    Returns
    -------
    array, (events,)

    Raises
    ------
    HuntError
        If there is no such column, it has missing values, or holds anything else. Where ``option`` is given, missing
        floating-point numbers are NaN instead, unless all are missing.
    """
    values, where = _found(table, name, file, option)
    if not _is_number(values.type):
        what, remedy = f"holds {values.type}, no numbers", "write it as numbers, or leave it out"
        if _is_list(values.type):
            what, remedy = f"holds lists ({values.type})", "write their elements as columns of their own"
        msg = f"{where}: column {name!r} {what}; expected one number per event: {remedy}"
        raise HuntError(msg)
    return values.to_numpy(zero_copy_only=False)


def vectors(table: pa.Table, name: str, file: str | Path, option: str = "") -> Floats:
    """A column of lists of numbers of one length.

    Parameters
    ----------
    table
        Where it stands.
    name
        Its name.
    file
        Of the table, for messages.
    option
        That names the column, for messages.

    Returns
    -------
    array, (events, size)

    Raises
    ------
    HuntError
        If there is no such column, it has missing values, or holds anything else.
    """
    values, where = _found(table, name, file, option)
    kind = values.type
    if not (_is_list(kind) and _is_number(kind.value_type)):
        msg = f"{where}: column {name!r} holds {kind}; expected a list of numbers of one length per event"
        raise HuntError(msg)
    if pa.types.is_fixed_size_list(kind):
        size = kind.list_size
    else:
        lengths = np.unique(pc.list_value_length(values).to_numpy())
        if len(lengths) > 1:
            msg = f"{where}: column {name!r} has lists of {lengths[0]} to {lengths[-1]} numbers, expected one length"
            raise HuntError(msg)
        size = int(lengths.sum())
    return values.flatten().to_numpy(zero_copy_only=False).reshape(table.num_rows, size)


def _found(table: pa.Table, name: str, file: str | Path, option: str) -> tuple[pa.Array, str]:
    """A column without missing values, and the beginning of what is to be said of it."""
    where = f"hunt: {option}: {file}" if option else f"hunt: {file}"
    left_out = json.loads((table.schema.metadata or {}).get(LEFT_OUT, b"{}"))
    if name in left_out:
        msg = (
            f"{where}: column {name!r} holds {left_out[name]!r}; expected in every entry one number, or as many of "
            "them: write what is wanted of it as a branch of numbers"
        )
        raise HuntError(msg)
    if name not in table.column_names:
        close = closest(name, table.column_names)
        hint = f" (did you mean {close!r}?)" if close else ""
        msg = f"{where} has no column {name!r}{hint}; it has {', '.join(table.column_names)}"
        raise HuntError(msg)
    if table.column_names.count(name) > 1:
        msg = f"{where} has {table.column_names.count(name)} columns {name!r}; expected one of a name"
        raise HuntError(msg)
    values = table.column(name).combine_chunks()
    # pandas writes NaN as missing. Masses and features that are no numbers are counted and said by who reads them.
    if option and 0 < values.null_count < len(values) and pa.types.is_floating(values.type):
        values = pc.fill_null(values, float("nan"))
    if values.null_count:
        msg = (
            f"{where}: column {name!r} has {values.null_count} missing values in {len(values)} events; write a number "
            "for each event, or leave out these events or the column"
        )
        raise HuntError(msg)
    return values, where


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind)


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
