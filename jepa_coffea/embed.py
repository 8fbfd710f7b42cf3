"""Dijet events of a chunk, embedded and written: what ready processors build upon, and a command runs as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from coffea.processor import ProcessorABC
from numpy.typing import NDArray

from jepa_coffea import embedded
from jepa_coffea.bookkeeping import Chunk
from jepa_coffea.constituents import constituents_of
from jepa_coffea.dijets import Dijets, DijetSelection, select_dijets
from jepa_coffea.embedder import JEPAEmbedder


class DijetEmbedder(ProcessorABC):
    """Selects dijet events, embeds their two leading jets and writes them to parquet.

    Parameters
    ----------
    embedder
        The model.
    output
        Folder for embedded events, seen by all workers, or URL such as ``root://...``; None writes none.
    selection
        Cuts on jets and on m_jj.
    collection
        Jet collection.
    """

    def __init__(
        self,
        embedder: JEPAEmbedder,
        output: str | Path | None = None,
        *,
        selection: DijetSelection | None = None,
        collection: str = "FatJet",
    ) -> None:
        self.embedder = embedder
        self.output = None if output is None else str(output) if "://" in str(output) else str(Path(output).absolute())
        self.selection = selection or DijetSelection()
        self.collection = collection

    def identity(self) -> dict[str, Any]:
        """Everything that decides what a chunk gives: part of the key of a checkpoint, and written into every file."""
        return {
            "processor": type(self).__name__,
            "model": self.embedder.path.name,
            "model_hash": self.embedder.digest,
            "collection": self.collection,
            "selection": self.selection.model_dump(),
            "output": self.output,
        }

    def process(self, events: ak.Array) -> dict[str, Any]:
        """``cutflow``, ``files``, ``bookkeeping`` and ``metrics`` of one chunk; all of them add up over chunks."""
        chunk = Chunk(events)
        jets = chunk.jets(self.collection, optional=embedded.SUBSTRUCTURE)
        with chunk.clock("selection"):
            dijets = select_dijets(jets, self.selection)
        with chunk.clock("embedding"):
            pairs = self.embed(events[dijets.events], dijets.jets)
        with chunk.clock("writing"):
            files = self.write(chunk, dijets, pairs)
        return self.summary(chunk, dijets) | {"files": files}

    def embed(self, events: ak.Array, pairs: ak.Array) -> ak.Array:
        """``events * 2 * jet`` with embeddings, scores, and the number of constituents."""
        particles = constituents_of(events, self.collection, jets=pairs, layout=self.embedder.layout, fields=["px"])
        pairs = ak.with_field(pairs, ak.num(particles, axis=2), "n_constituents")
        return self.embedder(events, collection=self.collection, jets=pairs)

    def write(self, chunk: Chunk, dijets: Dijets, pairs: ak.Array) -> dict[str, set[str]]:
        """Embedded events to parquet; dataset to the names of the files written."""
        if self.output is None:
            return {chunk.dataset: set()}
        columns: dict[str, NDArray[Any]] = {name: values[dijets.events] for name, values in chunk.identity().items()}
        columns |= {"weight": chunk.weight[dijets.events], "mjj": dijets.mjj}
        rows = embedded.table(columns, pairs, {**self.identity(), "dataset": chunk.dataset})
        names = embedded.write(rows, self.output, chunk.dataset, embedded.chunk_name(chunk.metadata))
        return {chunk.dataset: set(names)}

    def summary(self, chunk: Chunk, dijets: Dijets) -> dict[str, Any]:
        """The entries of the output that every processor has: ``cutflow`` (sums of weights), bookkeeping, metrics."""
        cutflow = {cut: float(np.sum(chunk.weight[passed])) for cut, passed in dijets.cutflow.items()}
        report = chunk.report(self.embedder.metrics(), selected=len(dijets.events))
        return {"cutflow": {chunk.dataset: cutflow}, **report}

    def postprocess(self, accumulator: dict[str, Any]) -> dict[str, Any]:
        """Nothing to do after the chunks are added up."""
        return accumulator
