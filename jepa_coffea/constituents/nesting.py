"""Flat columns to nested awkward arrays and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray


def record(columns: Mapping[str, NDArray[Any]]) -> ak.Array:
    """Flat record array with float32 fields."""
    return ak.zip({name: np.asarray(values, dtype=np.float32) for name, values in columns.items()})


def nest(columns: Mapping[str, NDArray[Any]], *counts: NDArray[np.int64]) -> ak.Array:
    """Float32 records nested by ``counts``, innermost first."""
    nested = record(columns)
    for level in counts:
        nested = ak.unflatten(nested, level)
    return nested


def nest_like(columns: Mapping[str, NDArray[Any]], like: ak.Array) -> ak.Array:
    """Float32 records nested as ``like``: flat, or one list an event."""
    return record(columns) if like.ndim == 1 else nest(columns, np.asarray(ak.num(like, axis=1), dtype=np.int64))
