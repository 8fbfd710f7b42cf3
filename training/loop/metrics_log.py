"""The metrics log of a run: a record for each look at it, as JSON lines and in TensorBoard."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from torch.utils.tensorboard import SummaryWriter

from jepa_coffea.errors import BadFileError, StorageError
from jepa_coffea.files import write_text, writing

METRICS = "metrics.jsonl"
"""Name of the metrics log in a run folder."""


class MetricsLog:
    """``metrics.jsonl`` and ``tensorboard/`` of a run folder: one record per call, on disk when the call returns.

    Records of later steps, left by a run that was killed after its last checkpoint, are removed first: the run that
    resumes writes them again.

    Parameters
    ----------
    folder
        The run folder.
    step
        Step that the run starts from; 0 for a new run.
    """

    def __init__(self, folder: Path, step: int) -> None:
        path = folder / METRICS
        kept = [record for record in read_metrics(folder) if record["step"] <= step] if step else []
        write_text(path, "".join(json.dumps(record) + "\n" for record in kept))
        self._path, before = path, threading.enumerate()
        with writing(path):
            self._file = path.open("a", encoding="utf-8")
            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)
        # TensorBoard's thread keeps an error for the next record, and then shows a traceback.
        self._threads = [thread for thread in threading.enumerate() if thread not in before]
        self._shows, threading.excepthook = threading.excepthook, self._show

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Add a record.

        Parameters
        ----------
        step
            Optimiser steps so far.
        values
            Numbers by name; NaN and infinities become null in the file.

        Raises
        ------
        StorageError
            If the disk is full or must not be written.
        """
        record = {name: value if math.isfinite(value) else None for name, value in values.items()}
        with writing(self._path):
            self._file.write(json.dumps({"step": step, **record}) + "\n")
            self._file.flush()
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        try:
            with writing(self._path), self._file:
                self._board.close()
        except StorageError:
            if error is None:  # else it was said before, or something else matters more
                raise
        finally:
            for thread in self._threads:
                thread.join(5)
            threading.excepthook = self._shows

    def _show(self, problem: threading.ExceptHookArgs) -> None:
        if not isinstance(problem.exc_value, OSError):
            self._shows(problem)


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """Records of a run's metrics log.

    Parameters
    ----------
    run
        The run folder.

    Returns
    -------
    list of dict
        Oldest first, each with its ``step``; none where there is no log. A last line that a killed run did not finish
        is left out.

    Raises
    ------
    BadFileError
        If another line is damaged.
    """
    path = run / METRICS
    if not path.is_file():
        return []
    records = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1], 1):
        try:
            record = json.loads(line)
            records.append({**record, "step": int(record["step"])})
        except (ValueError, KeyError, TypeError):
            msg = f"{path}: line {number} is damaged; remove the line, which only the curves need, and run again"
            raise BadFileError(msg) from None
    return records
