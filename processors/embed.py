"""Select dijet events, embed their two leading jets, fill histograms and write the embedded events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import awkward as ak
import hist
import numpy as np

from jepa_coffea import JEPAEmbedder
from jepa_coffea.processing import DijetSelection, embedded_events
from jepa_coffea.processing.chunk import Chunk
from jepa_coffea.processing.processor import DijetEmbedder, EmbeddedDijets
from jepa_coffea.processing.systematics import NOMINAL, Systematics

WINDOW = {
    "inclusive": ((0.0, np.inf),),
    "window": ((2500.0, 3100.0),),
    "sideband": ((2200.0, 2500.0), (3100.0, 3400.0)),
}
"""Regions in m_jj, GeV: name to the ranges that it is made of."""


class EmbedProcessor(DijetEmbedder):
    """Dijet events with embedded jets, in histograms and in files.

    ``process`` gives ``mjj`` and, when the model has classes, ``score`` (hists), and ``cutflow``, ``bookkeeping``,
    ``metrics`` and ``files``; all of them add up over chunks.

    Parameters
    ----------
    embedder, output, selection, collection
        As for :class:`jepa_coffea.processing.processor.DijetEmbedder`.
    systematics
        Variations of jets, weights and constituents, each with a bin of its own on the axis ``systematic``, filled with
        the events that pass then.
    regions
        Ranges of m_jj for the axis ``region``; they may overlap.
    mjj_edges
        Bin edges of m_jj, GeV.
    """

    def __init__(
        self,
        embedder: JEPAEmbedder,
        output: str | Path | None = None,
        *,
        selection: DijetSelection | None = None,
        collection: str = "FatJet",
        systematics: Systematics | None = None,
        regions: Mapping[str, Sequence[Sequence[float]]] = WINDOW,
        mjj_edges: Sequence[float] = tuple(np.arange(1000.0, 8001.0, 50.0)),
    ) -> None:
        super().__init__(embedder, output, selection=selection, collection=collection)
        self.systematics = systematics or Systematics()
        self.regions = {name: tuple((float(a), float(b)) for a, b in ranges) for name, ranges in regions.items()}
        self.mjj_edges = tuple(float(edge) for edge in mjj_edges)

    def identity(self) -> dict[str, Any]:
        """Everything that decides the output of a chunk.

        Returns
        -------
        dict
        """
        own = {"regions": self.regions, "mjj_edges": self.mjj_edges, "systematics": self.systematics.identity()}
        return super().identity() | own

    def process(self, events: ak.Array) -> dict[str, Any]:
        """One chunk of one dataset.

        Parameters
        ----------
        events
            NanoEvents of one chunk.

        Returns
        -------
        dict
        """
        chunk = Chunk(events)
        found = self.embedded_dijets(chunk, self.systematics)
        with chunk.clock("filling"):
            hists = self.fill(chunk.dataset, found)
        nominal = found[NOMINAL]
        return {**hists, "files": self.write(chunk, nominal), **self.summary(chunk, nominal)}

    def fill(self, dataset: str, found: Mapping[str, EmbeddedDijets]) -> dict[str, hist.Hist]:
        """Histograms of m_jj and, when the model has classes, of the scores of both jets.

        Parameters
        ----------
        dataset
            Name of the dataset.
        found
            Selected events by name of the variation.

        Returns
        -------
        dict of hist.Hist
        """
        axes = [
            hist.axis.StrCategory([], growth=True, name="dataset", label="Dataset"),
            hist.axis.StrCategory([], growth=True, name="region", label="Region"),
            hist.axis.StrCategory([], growth=True, name="systematic", label="Systematic variation"),
        ]
        mjj = hist.Hist(
            *axes,
            hist.axis.Variable(self.mjj_edges, name="mjj", label=r"$m_{jj}$ [GeV]"),
            storage=hist.storage.Weight(),
        )
        score = hist.Hist(
            *axes,
            hist.axis.StrCategory([], growth=True, name="class", label="Class"),
            hist.axis.IntCategory([1, 2], name="jet", label="Jet"),
            hist.axis.Regular(50, 0, 1, name="score", label="Score"),
            storage=hist.storage.Weight(),
        )
        fields = found[NOMINAL].pairs.fields
        classes = [name.removeprefix("score_") for name in fields if name.startswith("score_")]
        for systematic, (dijets, pairs, weight) in found.items():
            for region, ranges in self.regions.items():
                inside = np.any([(dijets.mjj >= low) & (dijets.mjj < high) for low, high in ranges], axis=0)
                where = {"dataset": dataset, "region": region, "systematic": systematic}
                mjj.fill(**where, mjj=dijets.mjj[inside], weight=weight[inside])
                for name in classes:
                    scores = pairs[f"score_{name}"][inside]
                    for jet in (1, 2):
                        # A score of exactly 1 belongs into the last bin, not beyond it.
                        values = np.minimum(
                            embedded_events.floats(scores[:, jet - 1]), np.nextafter(1, 0, dtype=np.float32)
                        )
                        score.fill(**where, **{"class": name, "jet": jet}, score=values, weight=weight[inside])
        return {"mjj": mjj, "score": score} if classes else {"mjj": mjj}
