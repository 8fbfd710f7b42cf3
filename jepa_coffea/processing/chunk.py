"""Bookkeeping of a chunk: its events, weights and times, by which a run proves that it lost nothing."""

from __future__ import annotations

import os
import socket
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from jepa_coffea.constituents.ragged import EventColumns, reading_seconds
from jepa_coffea.constituents.record import LayoutError
from jepa_coffea.processing.filesets import source_of


class Chunk:
    """One chunk in the hands of a processor: who its events are, what they weigh, where the time goes.

    Parameters
    ----------
    events
        NanoEvents with coffea's metadata: dataset, fileuuid, entrystart, entrystop; optionally ``weight``, a factor on
        every event of the dataset such as cross-section times luminosity over the sum of generator weights.

    Raises
    ------
    LayoutError
        If a ``genWeight`` is not finite.
    """

    def __init__(self, events: ak.Array) -> None:
        self._begin = time.perf_counter()
        self._read = reading_seconds()
        self._seconds: dict[str, float] = defaultdict(float)
        self.events = events
        self.columns = EventColumns(events)
        self.metadata: dict[str, Any] = dict(events.metadata)
        self.dataset = str(self.metadata["dataset"])
        self.size = len(events)
        self.weight = self._weights()

    def _weights(self) -> NDArray[np.float64]:
        scale = float(self.metadata.get("weight", 1.0))
        if "genWeight" not in self.columns.events.fields:
            return np.full(self.size, scale)
        weights = np.asarray(ak.to_numpy(self.columns.top("genWeight")), dtype=np.float64)
        bad = ~np.isfinite(weights)
        if bad.any():
            first = int(np.argmax(bad))
            msg = (
                f"genWeight of {int(bad.sum())} of {self.size} events of dataset {self.dataset!r} is not finite; the "
                f"first is {weights[first]} in entry {int(self.metadata.get('entrystart', 0)) + first} of "
                f"{self.metadata.get('filename', 'the file')}. Sums of weights would be meaningless: select such "
                "events away, or mend the file"
            )
            raise LayoutError(msg)
        return scale * weights

    def source(self) -> dict[str, Any]:
        """What the events come from, besides their file: its tree, and what the user says of the dataset.

        Returns
        -------
        dict
            As :func:`jepa_coffea.processing.filesets.source_of` gives it for a chunk that is still to come.
        """
        return source_of(self.metadata["treename"], self.metadata)

    def identity(self) -> dict[str, NDArray[Any]]:
        """Run, luminosity block and event number of every event, and ``truth_signal`` where the generator says so.

        Returns
        -------
        dict of numpy.ndarray
            One entry per event.

        Raises
        ------
        LayoutError
            If the events lack one of the three numbers.
        """
        names = ("run", "luminosityBlock", "event")
        lacking = [name for name in names if name not in self.columns.events.fields]
        if lacking:
            msg = (
                f"the events of dataset {self.dataset!r} have no {', '.join(lacking)} in their tree; "
                "without these numbers an event that is there twice cannot be found. Write them into the files, or use "
                "JEPAEmbedder in a processor of your own (Delphes has none of them)"
            )
            raise LayoutError(msg)
        found = {name: np.asarray(ak.to_numpy(self.columns.top(name))) for name in names}
        if "truth_signal" in self.columns.events.fields:
            found["truth_signal"] = np.asarray(ak.to_numpy(self.columns.top("truth_signal")), dtype=bool)
        elif self.columns.has("truth", "signal"):  # coffea makes a record of branches with a common prefix
            found["truth_signal"] = np.asarray(ak.to_numpy(self.columns.get("truth", "signal")), dtype=bool)
        return found

    @contextmanager
    def clock(self, step: str) -> Iterator[None]:
        """Count the seconds of a step, less those of reading, which are counted where they happen.

        Parameters
        ----------
        step
            Its name in the report.
        """
        begin, read = time.perf_counter(), reading_seconds()
        try:
            yield
        finally:
            self._seconds[step] += time.perf_counter() - begin - (reading_seconds() - read)

    def report(self, model: Mapping[str, Any], selected: int) -> dict[str, Any]:
        """The entries ``bookkeeping`` and ``metrics`` of the processor's output; both add up over chunks.

        Parameters
        ----------
        model
            ``embedder.metrics()``, of an embedder that has seen this chunk only.
        selected
            Number of events that passed the cuts.

        Returns
        -------
        dict
        """
        reading = reading_seconds() - self._read
        seconds = dict(self._seconds)
        seconds["reading"] = reading
        seconds["model"] = float(model["session_seconds"])
        # What the embedder did besides running the model: grouping, ordering, padding.
        seconds["packing"] = max(seconds.pop("embedding", 0.0) - seconds["model"], 0.0)
        seconds["total"] = time.perf_counter() - self._begin
        counts = {name: value for name, value in model.items() if isinstance(value, int)}
        provider = {str(model["provider"]): 1} if model["provider"] else {}
        worker = {"chunks": 1, "events": self.size, "provider": provider, "seconds": seconds} | counts
        totals = {
            "events": self.size,
            "chunks": 1,
            "selected": selected,
            "sumw": float(self.weight.sum()),
            "sumw2": float((self.weight**2).sum()),
        }
        return {
            "bookkeeping": {self.dataset: totals},
            "metrics": {f"{socket.gethostname()}:{os.getpid()}": worker},
        }
