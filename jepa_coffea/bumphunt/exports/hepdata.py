"""HEPData submissions: one YAML file per table and the ``submission.yaml`` that describes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from jepa_coffea.errors import HistogramError
from jepa_coffea.files import write_text


@dataclass(frozen=True, eq=False)
class HEPDataColumn:
    """One column of a table."""

    name: str
    values: npt.ArrayLike
    """[row], or [row, 2] for the bins of an independent variable; or [row] text."""
    units: str = ""
    errors: Mapping[str, npt.ArrayLike] = field(default_factory=dict)
    """Label -> [row] symmetric errors, or [row, 2] errors downwards and upwards, both positive."""


@dataclass(frozen=True, eq=False)
class HEPDataTable:
    """A table of a submission."""

    name: str
    description: str
    independent: Sequence[HEPDataColumn]
    dependent: Sequence[HEPDataColumn]
    location: str = ""
    """Where to find it in the publication, for instance the number of a figure."""


def write_hepdata(folder: str | Path, tables: Sequence[HEPDataTable], comment: str = "") -> Path:
    """Write ``submission.yaml`` and a data file per table.

    Parameters
    ----------
    folder
        Where to write.
    tables
        The tables, in order.
    comment
        On the whole submission.

    Returns
    -------
    Path
        Of ``submission.yaml``.

    Raises
    ------
    HistogramError
        When the columns of a table differ in length.
    """
    target = Path(folder)
    documents: list[dict[str, Any]] = [{"comment": comment or "Results of a bump hunt", "record_ids": []}]
    for index, table in enumerate(tables):
        lengths = {len(np.asarray(column.values)) for column in (*table.independent, *table.dependent)}
        if len(lengths) != 1:
            msg = f"the columns of table {table.name!r} have different lengths: {sorted(lengths)}"
            raise HistogramError(msg)
        file = f"table_{index + 1}.yaml"
        body = {
            "independent_variables": [_column(column) for column in table.independent],
            "dependent_variables": [_column(column) for column in table.dependent],
        }
        write_text(target / file, yaml.safe_dump(body, sort_keys=False))
        documents.append(
            {
                "name": table.name,
                "location": table.location or f"Table {index + 1}",
                "description": table.description,
                "keywords": [],
                "data_file": file,
            }
        )
    path = target / "submission.yaml"
    write_text(path, yaml.safe_dump_all(documents, sort_keys=False))
    return path


def _column(column: HEPDataColumn) -> dict[str, Any]:
    header = {"name": column.name} | ({"units": column.units} if column.units else {})
    values = np.asarray(column.values)
    errors = {label: np.asarray(array, dtype=float) for label, array in column.errors.items()}
    entries: list[dict[str, Any]] = []
    for row, value in enumerate(values):
        if values.ndim == 2:
            entries.append({"low": float(value[0]), "high": float(value[1])})
            continue
        if values.dtype.kind not in "biuf":
            entries.append({"value": str(value)})
            continue
        # "-" is HEPData's word for a number that is missing.
        entry: dict[str, Any] = {"value": float(value) if np.isfinite(value) else "-"}
        if errors and np.isfinite(value):
            entry["errors"] = [_error(label, array[row]) for label, array in errors.items()]
        entries.append(entry)
    return {"header": header, "values": entries}


def _error(label: str, size: npt.NDArray[np.float64]) -> dict[str, Any]:
    if np.ndim(size) == 0:
        return {"symerror": float(size), "label": label}
    return {"asymerror": {"minus": -float(size[0]), "plus": float(size[1])}, "label": label}
