"""Results as plain JSON and back: frozen dataclasses whose fields are numbers, text, arrays or such dataclasses."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T", bound="Record")


class Record:
    """Gives a dataclass ``to_dict`` and ``from_dict``. Arrays become lists; NaN and inf become text."""

    def to_dict(self) -> dict[str, Any]:
        return {field.name: plain(getattr(self, field.name)) for field in dataclasses.fields(self)}  # type: ignore[arg-type]

    @classmethod
    def from_dict(cls: type[T], document: dict[str, Any]) -> T:
        """Inverse of ``to_dict`` for records whose fields are numbers, text and arrays (lists become arrays)."""
        return cls(**{name: _unplain(value) for name, value in document.items()})


def plain(value: Any) -> Any:
    """Whatever a result holds, as JSON can say it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value


def _unplain(value: Any) -> Any:
    if isinstance(value, str) and value in ("nan", "inf", "-inf"):
        return float(value)
    if isinstance(value, list):
        entries = [_unplain(entry) for entry in value]
        if any(isinstance(entry, str) for entry in entries):
            return tuple(entries)
        return np.asarray(entries)
    return value


def write_json(path: str | Path, value: Any) -> None:
    """Write a record, or a list or dictionary of them."""
    Path(path).write_text(json.dumps(plain(value), indent=1, allow_nan=False) + "\n")
