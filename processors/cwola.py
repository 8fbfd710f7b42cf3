"""Apply trained CWoLa classifiers event by event, out of fold, and fill the spectra that a bump hunt fits."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import awkward as ak
import hist
import numpy as np
from numpy.typing import NDArray

from jepa_coffea import JEPAEmbedder
from jepa_coffea.cwola.ensemble import Ensemble, train_ensembles
from jepa_coffea.cwola.folds import event_hash
from jepa_coffea.files import bytes_hash
from jepa_coffea.hunt.config import FeatureConfig, HuntConfig, HuntError
from jepa_coffea.hunt.events import feature_matrix, read_events
from jepa_coffea.processing import DijetSelection, embedded_events
from jepa_coffea.processing.chunk import Chunk
from jepa_coffea.processing.processor import DijetEmbedder, EmbeddedDijets
from jepa_coffea.processing.systematics import NOMINAL, Systematics

REGIONS = {-1: "low sideband", 0: "window", 1: "high sideband"}


def train(config: HuntConfig, *, client: Any = None, progress: bool = False) -> list[Ensemble]:
    """Train the classifiers of a hunt document on its embedded events.

    Parameters
    ----------
    config
        The document.
    client
        A Dask client to train on; without one, the training runs here.
    progress
        Show a progress bar.

    Returns
    -------
    list of Ensemble
        One per window.
    """
    sample = read_events(config.input.events, config).sample
    return train_ensembles(config.recipe(), sample, config.efficiencies, client=client, progress=progress)


class Scored(NamedTuple):
    """Selected events as the classifiers see them."""

    hashes: NDArray[np.uint64]
    """Their identities, which decide who judges them."""
    finite: NDArray[np.bool_]
    """Whether all features are finite."""
    scores: list[NDArray[np.float64]]
    """One array per window."""


class CWoLaProcessor(DijetEmbedder):
    """Spectra of the events that trained classifiers select.

    Parameters
    ----------
    embedder
        As for :class:`jepa_coffea.processing.DijetEmbedder`.
    ensembles
        Trained classifiers, one ensemble per window; see :func:`train`.
    features
        The features that they were trained on, of the jets ``jet1`` and ``jet2`` or one of them.
    mjj_edges
        Bin edges of m_jj, GeV: those of the background fit.
    selection, collection
        As for :class:`jepa_coffea.processing.DijetEmbedder`; the selection should be that of the training.
    systematics
        Variations, each a category of the axis ``systematic``; events are scored with the momenta that it gives them.

    Raises
    ------
    HuntError
        If the features are of jets of other names: those of another table, not the two leading jets of this processor.

    Notes
    -----
    ``process`` gives ``mjj`` by dataset, window, variation and efficiency (``"all"`` is without a classifier),
    ``cwola`` (scores by dataset, window, variation and region), and ``cutflow``, ``bookkeeping`` and ``metrics``; all
    of them add up over chunks.
    The cutflow tells scored events from those whose features are not finite or whose fold has no classifier.
    """

    def __init__(
        self,
        embedder: JEPAEmbedder,
        ensembles: Sequence[Ensemble],
        *,
        features: FeatureConfig,
        mjj_edges: Sequence[float],
        selection: DijetSelection | None = None,
        collection: str = "FatJet",
        systematics: Systematics | None = None,
    ) -> None:
        others = [name for name in features.jets if name not in embedded_events.JETS]
        if others:
            msg = (
                f"CWoLaProcessor: the classifiers were trained on features.jets {', '.join(features.jets)}; here are "
                f"{' and '.join(embedded_events.JETS)}, and nobody knows whether {others[0]} is one of them. Train on "
                "events that were embedded with this selection"
            )
            raise HuntError(msg)
        super().__init__(embedder, selection=selection, collection=collection)
        self.systematics = systematics or Systematics()
        self.ensembles = tuple(ensembles)
        self.features = features
        self.mjj_edges = tuple(float(edge) for edge in mjj_edges)

    def identity(self) -> dict[str, Any]:
        """Everything that decides the output of a chunk, the trained classifiers included.

        Returns
        -------
        dict
        """
        trained = bytes_hash(pickle.dumps(self.ensembles))
        own = {"ensembles": trained, "features": self.features.model_dump(), "mjj_edges": self.mjj_edges}
        return super().identity() | own | {"systematics": self.systematics.identity()}

    def process(self, events: ak.Array) -> dict[str, Any]:
        """Score, select and fill one chunk of one dataset.

        Parameters
        ----------
        events
            The chunk.

        Returns
        -------
        dict
            See the class.
        """
        chunk = Chunk(events)
        found = self.embedded_dijets(chunk, self.systematics)
        with chunk.clock("scoring"):
            scored = {name: self.score(chunk, varied) for name, varied in found.items()}
        with chunk.clock("filling"):
            hists = self.fill(chunk.dataset, found, scored)
        nominal, (_, finite, scores) = found[NOMINAL], scored[NOMINAL]
        output = self.summary(chunk, nominal)
        cuts = {"finite features": finite}
        cuts |= {
            f"scored in {e.window.name}": np.isfinite(score) for e, score in zip(self.ensembles, scores, strict=True)
        }
        for cut, passed in cuts.items():
            output["cutflow"][chunk.dataset][cut] = float(nominal.weight[passed].sum())
            output["passed"][chunk.dataset][cut] = int(np.count_nonzero(passed))
        return {**hists, **output}

    def score(self, chunk: Chunk, found: EmbeddedDijets) -> Scored:
        """Out-of-fold scores of selected events.

        Parameters
        ----------
        chunk
            The chunk.
        found
            Its selected events.

        Returns
        -------
        Scored
            NaN for events that no classifier may judge.
        """
        X, hashes, finite = self.inputs(chunk, found)
        scores = [np.full(len(finite), np.nan) for _ in self.ensembles]
        for score, ensemble in zip(scores, self.ensembles, strict=True):
            score[finite] = ensemble.score(X[finite], hashes[finite])
        return Scored(hashes, finite, scores)

    def inputs(
        self, chunk: Chunk, found: EmbeddedDijets
    ) -> tuple[NDArray[np.float32], NDArray[np.uint64], NDArray[np.bool_]]:
        """What the classifiers need of selected events.

        Parameters
        ----------
        chunk
            The chunk.
        found
            Its selected events.

        Returns
        -------
        X : array of float32, (events, features)
        hashes : array of uint64, (events,)
            Identities.
        finite : array of bool, (events,)
            Which events have only finite features.
        """
        who = {name: values[found.dijets.events] for name, values in chunk.identity().items()}
        hashes = event_hash(who["run"], who["luminosityBlock"], who["event"])
        if not len(hashes):
            return np.zeros((0, 1), np.float32), hashes, np.zeros(0, bool)
        # The same function on the same columns as in training.
        rows = embedded_events.table({"mjj": found.dijets.mjj}, found.pairs, {})
        X, _ = feature_matrix(rows, self.features, Path(chunk.metadata["filename"]))
        return X, hashes, np.asarray(np.isfinite(X).all(axis=1))

    def fill(
        self, dataset: str, found: Mapping[str, EmbeddedDijets], scored: Mapping[str, Scored]
    ) -> dict[str, hist.Hist]:
        """Fill the histograms.

        Parameters
        ----------
        dataset
            Of the chunk.
        found, scored
            Selected events and their scores, by systematic variation.

        Returns
        -------
        dict
            ``mjj``: spectra by window and efficiency; ``cwola``: scores by window and region.
        """
        axes = [
            hist.axis.StrCategory([], growth=True, name="dataset", label="Dataset"),
            hist.axis.StrCategory([], growth=True, name="window", label="Window"),
            hist.axis.StrCategory([], growth=True, name="systematic", label="Systematic variation"),
        ]
        mjj = hist.Hist(
            *axes,
            hist.axis.StrCategory([], growth=True, name="efficiency", label="Sideband efficiency"),
            hist.axis.Variable(self.mjj_edges, name="mjj", label=r"$m_{jj}$ [GeV]"),
            storage=hist.storage.Weight(),
        )
        cwola = hist.Hist(
            *axes,
            hist.axis.StrCategory([], growth=True, name="region", label="Region"),
            hist.axis.Regular(50, 0, 1, name="score", label="CWoLa score"),
            storage=hist.storage.Weight(),
        )
        for systematic, (dijets, _, weight) in found.items():
            hashes, _, scores = scored[systematic]
            for ensemble, score in zip(self.ensembles, scores, strict=True):
                where = {"dataset": dataset, "window": ensemble.window.name, "systematic": systematic}
                mjj.fill(**where, efficiency="all", mjj=dijets.mjj, weight=weight)
                for efficiency in ensemble.thresholds:
                    passed = ensemble.selected(score, hashes, efficiency)
                    mjj.fill(**where, efficiency=f"{efficiency:g}", mjj=dijets.mjj[passed], weight=weight[passed])
                region = ensemble.window.region(dijets.mjj)
                for code, name in REGIONS.items():
                    rows = np.isfinite(score) & (region == code)
                    below_one = np.minimum(score[rows], np.nextafter(1, 0))
                    cwola.fill(**where, region=name, score=below_one, weight=weight[rows])
        return {"mjj": mjj, "cwola": cwola}
