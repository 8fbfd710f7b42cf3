"""Scores of a finished training, and the stamp of the input that they were made from."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jepa_coffea.cwola.efficiency import WindowScores
from jepa_coffea.cwola.windows import Windows
from jepa_coffea.files import digest, replacing
from jepa_coffea.files.parquet import read_rows, write_rows
from jepa_coffea.folders import filesystem
from jepa_coffea.hunt.events import Events


def input_stamp(files: Sequence[str]) -> str:
    """A stamp of input files by name, size and time: whether a finished stage still belongs to its input.

    Parameters
    ----------
    files
        Their paths or URLs.

    Returns
    -------
    str
    """
    return digest([(str(file), _stamp(str(file))) for file in files])


def _stamp(file: str) -> Any:
    if "://" in file:
        files, path = filesystem(file)
        return files.ukey(path)
    found = Path(file).stat()
    return found.st_size, found.st_mtime_ns


def write_scores(path: Path, key: str, events: Events, scores: Sequence[WindowScores]) -> None:
    """Write out-of-fold scores as parquet: one row per event.

    Columns are run, luminosityBlock, event, mass, fold, and score and fraction of each window.

    Parameters
    ----------
    path
        The file.
    key
        Says what the scores were made from; kept in the file's metadata with the chosen classifiers.
    events
        The events.
    scores
        One a window.
    """
    columns = dict(zip(("run", "luminosityBlock", "event"), events.identity.T, strict=True))
    columns |= {"mass": events.sample.mass, "fold": scores[0].fold}
    for of_window in scores:
        columns[f"score_{of_window.window.name}"] = of_window.score
        columns[f"fraction_{of_window.window.name}"] = of_window.fraction
    choice = [{"chosen": s.chosen, "argos": s.argos, "problem": s.problem} for s in scores]
    metadata = {b"jepa_coffea_hunt": json.dumps({"key": key, "models": events.models, "choice": choice}).encode()}
    table = pa.table({name: pa.array(values) for name, values in columns.items()}).replace_schema_metadata(metadata)
    with replacing(path) as temporary:
        write_rows(table, temporary)


def read_scores(path: Path, key: str, events: Events, windows: Windows) -> list[WindowScores] | None:
    """Read the scores of a finished training.

    Parameters
    ----------
    path
        The file.
    key
        As it was written.
    events
        The events.
    windows
        The windows.

    Returns
    -------
    list of WindowScores or None
        None if there are none, or they were made from something else.

    Raises
    ------
    BadFileError
        If the file is damaged.
    """
    if not path.is_file():
        return None
    table = read_rows(path, remedy="delete it to train again")
    stored = json.loads((table.schema.metadata or {}).get(b"jepa_coffea_hunt", b'{"key": ""}'))
    if stored["key"] != key:
        return None
    return [
        WindowScores(
            window,
            table[f"score_{window.name}"].to_numpy(),
            table[f"fraction_{window.name}"].to_numpy(),
            window.region(events.sample.mass),
            table["fold"].to_numpy().astype(np.int64),
            tuple(choice["chosen"]),
            tuple(choice["argos"]),
            choice["problem"],
        )
        for window, choice in zip(windows.windows, stored["choice"], strict=True)
    ]
