"""What a hunt has done already, so that an interruption costs little: finished experiments, and scores."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jepa_coffea.cwola.efficiency import WindowScores
from jepa_coffea.cwola.windows import Windows
from jepa_coffea.files import digest, replacing, write_text
from jepa_coffea.hunt.config import HuntError
from jepa_coffea.hunt.events import Events


def input_stamp(files: Sequence[str]) -> str:
    """A stamp of input files by name, size and time: whether a finished stage still belongs to its input.

    Parameters
    ----------
    files
        Their paths.

    Returns
    -------
    str
    """
    return digest([(str(f), Path(f).stat().st_size, Path(f).stat().st_mtime_ns) for f in files])


class Ledger:
    """Results of finished experiments by key, one JSON line each; each is on disk as soon as it is added.

    A line cut short by an interruption is left out and its experiment done again.

    Parameters
    ----------
    path
        The file; without one, results are kept in memory only.

    Raises
    ------
    HuntError
        If a line in the middle of the file is broken.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._entries: dict[str, Any] = {}
        if path is None or not path.is_file():
            return
        whole = path.read_text().split("\n")
        for number, line in enumerate(whole, 1):
            if not line:
                continue
            try:
                key, value = json.loads(line)
            except (json.JSONDecodeError, ValueError, TypeError):
                if number == len(whole):
                    # The last line has no end: the interruption fell into it. Without it, appending starts a new line.
                    write_text(path, "\n".join(whole[:-1]) + ("\n" if whole[:-1] and whole[-2] else ""))
                    break
                msg = f"hunt: line {number} of {path} is broken; delete the file to do its experiments again"
                raise HuntError(msg) from None
            self._entries[key] = value

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def __getitem__(self, key: str) -> Any:
        return self._entries[key]

    def add(self, key: str, value: Any) -> None:
        """Keep a result.

        Parameters
        ----------
        key
            Of the experiment.
        value
            What JSON can write.
        """
        self._entries[key] = value
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(json.dumps([key, value]) + "\n")


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
        pq.write_table(table, temporary)


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
    """
    if not path.is_file():
        return None
    table = pq.read_table(path)
    stored = json.loads((table.schema.metadata or {}).get(b"jepa_coffea_hunt", b"{}"))
    if stored.get("key") != key:
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
