"""The processor of ``jepa-coffea embed``, on which others build: selects dijet events, embeds and writes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
from coffea.processor import ProcessorABC
from numpy.typing import NDArray

from jepa_coffea.constituents.layout import find_layout
from jepa_coffea.constituents.ragged import EventColumns
from jepa_coffea.documents import in_gev
from jepa_coffea.embedding.embedder import JEPAEmbedder
from jepa_coffea.processing import embedded_events
from jepa_coffea.processing.chunk import Chunk
from jepa_coffea.processing.dijets import Dijets, DijetSelection, select_dijets
from jepa_coffea.processing.systematics import NOMINAL, Systematics


class EmbeddedDijets(NamedTuple):
    """The selected events of a chunk."""

    dijets: Dijets
    pairs: ak.Array
    """Their two leading jets, ``events * 2 * jet``, with ``embedding``, ``score_<class>`` and ``n_constituents``."""
    weight: NDArray[np.float64]
    """One per event."""


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
    sqrt_s
        Centre-of-mass energy of the collisions, GeV, for the metadata of the files; None where it is not known.

    Raises
    ------
    ValueError
        If ``sqrt_s`` looks like an energy in TeV or MeV.
    """

    def __init__(
        self,
        embedder: JEPAEmbedder,
        output: str | Path | None = None,
        *,
        selection: DijetSelection | None = None,
        collection: str = "FatJet",
        sqrt_s: float | None = None,
    ) -> None:
        self.embedder = embedder
        self.sqrt_s = None if sqrt_s is None else in_gev(sqrt_s)
        self.output = None if output is None else str(output) if "://" in str(output) else str(Path(output).absolute())
        self.selection = selection or DijetSelection()
        self.collection = collection

    def identity(self) -> dict[str, Any]:
        """Everything that decides the output of a chunk: part of the key of a checkpoint, and written into every file.

        Returns
        -------
        dict
        """
        return {
            "processor": type(self).__name__,
            "model": self.embedder.path.name,
            "model_hash": self.embedder.digest,
            "collection": self.collection,
            "selection": self.selection.model_dump(),
            "sqrt_s": self.sqrt_s,
            "output": self.output,
        }

    def process(self, events: ak.Array) -> dict[str, Any]:
        """``cutflow``, ``files``, ``bookkeeping`` and ``metrics`` of one chunk; all of them add up over chunks.

        Parameters
        ----------
        events
            NanoEvents of one chunk.

        Returns
        -------
        dict
        """
        chunk = Chunk(events)
        found = self.embedded_dijets(chunk, Systematics())[NOMINAL]
        return self.summary(chunk, found) | {"files": self.write(chunk, found)}

    def embedded_dijets(self, chunk: Chunk, systematics: Systematics) -> dict[str, EmbeddedDijets]:
        """The selected events of a chunk, ``nominal`` and in every variation, with their jets embedded.

        Parameters
        ----------
        chunk
            The chunk.
        systematics
            Variations of jets, weights and constituents.

        Returns
        -------
        dict of EmbeddedDijets
            By name of the variation.
        """
        jets = self.jets(chunk.events)
        with chunk.clock("selection"):
            varied = {NOMINAL: jets}
            varied |= {name: systematics.varied_jets(name, chunk.events, jets) for name in systematics.jets}
            selected = {name: select_dijets(these, self.selection) for name, these in varied.items()}
        with chunk.clock("embedding"):
            pairs = self.embed(chunk.events, jets, selected)
        found = {name: EmbeddedDijets(d, pairs[name], chunk.weight[d.events]) for name, d in selected.items()}
        nominal = found[NOMINAL]
        for name in systematics.weights:
            factor = systematics.factor(name, chunk.events)[nominal.dijets.events]
            found[name] = nominal._replace(weight=nominal.weight * factor)
        for name in systematics.constituents:
            with chunk.clock("selection"):
                events = systematics.varied_events(name, chunk.events)
                jets = self.jets(events)
                dijets = select_dijets(jets, self.selection)
            with chunk.clock("embedding"):
                pairs = self.embed(events, jets, {name: dijets})
            found[name] = EmbeddedDijets(dijets, pairs[name], chunk.weight[dijets.events])
        return found

    def jets(self, events: ak.Array) -> ak.Array:
        """All jets with ``pt eta phi mass``, and the substructure that the file has, in memory.

        Parameters
        ----------
        events
            NanoEvents.

        Returns
        -------
        ak.Array
            ``events * jets``, GeV.
        """
        columns = EventColumns(events)
        form = find_layout(events, self.embedder.layout)
        found = {name: columns.get(self.collection, *form.spellings(name)) for name in ("pt", "eta", "phi", "mass")}
        extra = [name for name in embedded_events.SUBSTRUCTURE if columns.has(self.collection, name)]
        return ak.zip(found | {name: columns.get(self.collection, name) for name in extra})

    def embed(self, events: ak.Array, jets: ak.Array, selected: Mapping[str, Dijets]) -> dict[str, ak.Array]:
        """Pairs of jets of each selection, with embeddings, scores, and the number of constituents.

        A jet that several selections want is embedded once, with the four-momentum that it has in ``jets``. The pairs
        keep the momenta of their own selection.

        Parameters
        ----------
        events
            NanoEvents.
        jets
            All jets, as :meth:`jets` gives them.
        selected
            Name to a selection of them.

        Returns
        -------
        dict of ak.Array
            ``events * 2 * jet`` by name of the selection.
        """
        counts = np.asarray(ak.num(jets, axis=1), dtype=np.int64)
        first = np.cumsum(counts) - counts
        place = {name: (first[dijets.events, None] + dijets.places).ravel() for name, dijets in selected.items()}
        wanted = np.unique(np.concatenate([*place.values()]))
        mask = np.zeros(int(counts.sum()), dtype=bool)
        mask[wanted] = True
        chosen = ak.unflatten(mask, counts)
        rows = np.flatnonzero(ak.any(chosen, axis=1))
        some, these = events[rows], jets[chosen][rows]
        table = self.embedder.inputs(some, collection=self.collection, jets=these)
        columns = self.embedder.embed(table) | {"n_constituents": table.counts}
        new = {name: ak.from_numpy(column, regulararray=True) for name, column in columns.items()}
        pairs = {}
        for name, dijets in selected.items():
            at = np.searchsorted(wanted, place[name])
            own = {column: dijets.jets[column] for column in jets.fields}
            attached = {column: ak.unflatten(new[column][at], np.full(len(dijets.events), 2)) for column in new}
            pairs[name] = ak.zip(own | attached, depth_limit=2)
        return pairs

    def write(self, chunk: Chunk, found: EmbeddedDijets) -> dict[str, set[str]]:
        """Embedded events to parquet; dataset to the names of the files written.

        Parameters
        ----------
        chunk
            The chunk.
        found
            Its selected events.

        Returns
        -------
        dict of set
        """
        if self.output is None:
            return {chunk.dataset: set()}
        with chunk.clock("writing"):
            events = found.dijets.events
            columns: dict[str, NDArray[Any]] = {name: values[events] for name, values in chunk.identity().items()}
            columns |= {"weight": found.weight, "mjj": found.dijets.mjj}
            provenance = {**self.identity(), **chunk.source(), "dataset": chunk.dataset}
            rows = embedded_events.table(columns, found.pairs, provenance)
            names = embedded_events.write(rows, self.output, chunk.dataset, embedded_events.chunk_name(chunk.metadata))
        return {chunk.dataset: set(names)}

    def summary(self, chunk: Chunk, found: EmbeddedDijets) -> dict[str, Any]:
        """The entries of the output that every processor has.

        They are ``cutflow`` (sums of weights), ``passed`` (events of the same cuts), bookkeeping and metrics.

        Parameters
        ----------
        chunk
            The chunk.
        found
            Its selected events.

        Returns
        -------
        dict
        """
        flow = found.dijets.cutflow
        cutflow = {cut: float(np.sum(chunk.weight[passed])) for cut, passed in flow.items()}
        events = {cut: int(np.count_nonzero(passed)) for cut, passed in flow.items()}
        report = chunk.report(self.embedder.metrics(), selected=len(found.dijets.events))
        return {"cutflow": {chunk.dataset: cutflow}, "passed": {chunk.dataset: events}, **report}

    def postprocess(self, accumulator: dict[str, Any]) -> dict[str, Any]:
        """Nothing to do after the chunks are added up.

        Parameters
        ----------
        accumulator
            Output of all chunks.

        Returns
        -------
        dict
        """
        return accumulator
