"""Results as plain JSON: frozen dataclasses whose fields are numbers, text, arrays or such dataclasses."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from jepa_coffea.files import write_text


class Record:
    """Gives a dataclass ``to_dict``. Arrays become lists; NaN and inf become text."""

    def to_dict(self) -> dict[str, Any]:
        """Field -> what JSON can say of it.

        Returns
        -------
        dict
        """
        return {field.name: plain(getattr(self, field.name)) for field in dataclasses.fields(self)}  # type: ignore[arg-type]


def plain(value: Any) -> Any:
    """Whatever a result holds, as JSON can say it.

    Parameters
    ----------
    value
        Dataclasses, mappings, sequences, arrays, numbers, text.

    Returns
    -------
    Any
        Dictionaries, lists, numbers and text; numbers that are not finite are text.

    Examples
    --------
    >>> plain({"a": np.array([1.0, np.inf])})
    {'a': [1.0, 'inf']}
    """
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


def write_json(path: str | Path, value: Any) -> None:
    """Write a record, or a list or dictionary of them.

    Parameters
    ----------
    path
        The file; it appears whole or not at all.
    value
        See :func:`plain`.
    """
    write_text(Path(path), json.dumps(plain(value), indent=1, allow_nan=False) + "\n")
