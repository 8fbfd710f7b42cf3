"""What a frozen encoder knows: linear and nearest-neighbour probes, beside the two baselines it has to beat.

The same probes of a randomly initialised encoder show what the architecture alone gives; gradient boosting on
high-level variables shows what is known without any encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jepa_coffea.errors import BadFileError
from jepa_coffea.progress import counted
from training.data.batch import Batch
from training.loop.batches import InMemory
from training.loop.metrics import auc
from training.models.encoders import AnyEncoder, build_encoder

NEIGHBOURS = 20
Floats = NDArray[np.floating[Any]]


@torch.no_grad()
def embed(
    encoder: AnyEncoder, jets: Batch, device: torch.device, batch_jets: int = 512, console: Console | None = None
) -> Floats:
    """Embeddings of jets, in fp32.

    Parameters
    ----------
    encoder
        On ``device``; it stays in the mode that it is in.
    jets
        What to embed.
    device
        Where to compute.
    batch_jets
        Jets at a time.
    console
        Where to show how far it is; nowhere if None.

    Returns
    -------
    ndarray
        float32 [jet, dim], in the order of ``jets``.
    """
    was_training = encoder.training
    encoder.eval()
    order = np.argsort(jets.mask.sum(1).cpu().numpy(), kind="stable")
    parts = []
    batches = InMemory(jets, batch_jets, seed=None)
    for batch in counted(batches, len(jets), "embedding", console or Console(quiet=True), size=len):
        moved = batch.to(device)
        parts.append(encoder(moved.particles, moved.mask, moved.jets).jet.float())
    encoder.train(was_training)
    embedded = torch.cat(parts).cpu().numpy()
    result = np.empty_like(embedded)
    result[order] = embedded
    return result


def scores(estimator: Any, X: Floats, y: NDArray[Any], X_test: Floats, y_test: NDArray[Any]) -> dict[str, float]:
    """Accuracy and AUC of a classifier, fitted to some jets and judged on others.

    Parameters
    ----------
    estimator
        With ``fit`` and ``predict_proba``, as in scikit-learn.
    X, y
        Features [jet, feature] and labels [jet] to fit to; labels need not be consecutive.
    X_test, y_test
        Those to judge on.

    Returns
    -------
    dict
        ``accuracy`` and ``auc`` on the test jets.

    Raises
    ------
    BadFileError
        If only one of the two sets has jets of some class.
    """
    classes, y = np.unique(y, return_inverse=True)
    found, y_test = np.unique(y_test, return_inverse=True)
    if not np.array_equal(classes, found):
        msg = f"jets to fit probes to are of classes {classes.tolist()}, those to judge on of {found.tolist()}"
        raise BadFileError(msg)
    probabilities = estimator.fit(X, y).predict_proba(X_test)
    return {"accuracy": float((probabilities.argmax(1) == y_test).mean()), "auc": auc(probabilities, y_test)}


def _high_level(observables: Floats, names: Sequence[str]) -> Floats:
    """What is usually cut on: masses, multiplicity, N-subjettiness and its ratios.

    Parameters
    ----------
    observables
        Those stored with the jets, [jet, observable].
    names
        Of the columns.

    Returns
    -------
    ndarray
        [jet, variable], without the direction of the jet; NaN stays NaN, which gradient boosting takes as missing.
    """
    column = {name: observables[:, i].astype(np.float64) for i, name in enumerate(names) if name != "eta"}
    with np.errstate(divide="ignore", invalid="ignore"):
        for n in (2, 3, 4):
            if f"tau{n}" in column and f"tau{n - 1}" in column:
                ratio = column[f"tau{n}"] / column[f"tau{n - 1}"]
                column[f"tau{n}{n - 1}"] = np.where(np.isfinite(ratio), ratio, np.nan)
    return np.stack(list(column.values()), 1)


def linear() -> Any:
    """Logistic regression on standardised embeddings.

    Returns
    -------
    Pipeline
    """
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300))


def _neighbours(jets: int) -> Any:
    """Nearest neighbours by the angle between embeddings."""
    return KNeighborsClassifier(min(NEIGHBOURS, jets), metric="cosine", weights="distance")


@dataclass
class Probe:
    """Probes on fixed labelled jets."""

    train: Batch
    """Jets to fit to."""
    test: Batch
    """Jets to judge on."""
    observables: Sequence[str]
    """Names of the observables that are stored with the jets."""
    device: torch.device
    """Where to embed."""
    seed: int = 0
    """Of the random encoder and of gradient boosting."""
    console: Console | None = None
    """Where to show how far it is; nowhere if None."""

    @cached_property
    def _labels(self) -> tuple[NDArray[Any], NDArray[Any]]:
        assert self.train.labels is not None
        assert self.test.labels is not None
        return self.train.labels.cpu().numpy(), self.test.labels.cpu().numpy()

    def encoder(self, encoder: AnyEncoder) -> dict[str, dict[str, float]]:
        """Linear and nearest-neighbour probe of an encoder.

        Parameters
        ----------
        encoder
            On the device of the probe.

        Returns
        -------
        dict
            ``linear`` and ``knn``, each with ``accuracy`` and ``auc``.
        """
        y, y_test = self._labels
        X, X_test = (embed(encoder, jets, self.device, console=self.console) for jets in (self.train, self.test))
        return {
            "linear": scores(linear(), X, y, X_test, y_test),
            "knn": scores(_neighbours(len(y)), X, y, X_test, y_test),
        }

    def random_encoder(self, like: AnyEncoder) -> dict[str, dict[str, float]]:
        """The same probes of an encoder that was never trained.

        Parameters
        ----------
        like
            An encoder of the same architecture.

        Returns
        -------
        dict
            As :meth:`encoder`.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            fresh = build_encoder(like.config).to(self.device)
        return self.encoder(fresh)

    def boosting(self) -> dict[str, float] | None:
        """Gradient boosting on the observables stored with the jets.

        Returns
        -------
        dict or None
            ``accuracy`` and ``auc``; None when the data have no observables.
        """
        if self.train.observables is None or self.test.observables is None or not self.observables:
            return None
        y, y_test = self._labels
        X, X_test = (
            _high_level(jets.cpu().numpy(), self.observables)
            for jets in (self.train.observables, self.test.observables)
        )
        return scores(HistGradientBoostingClassifier(random_state=self.seed), X, y, X_test, y_test)

    def compare(self, encoder: AnyEncoder) -> dict[str, Any]:
        """Everything side by side.

        Parameters
        ----------
        encoder
            On the device of the probe.

        Returns
        -------
        dict
            ``encoder``, ``random_encoder`` and ``boosting``; numbers of ``jets``, and names of the ``observables``.
        """
        return {
            "jets": {"train": len(self.train), "test": len(self.test)},
            "observables": list(self.observables),
            "encoder": self.encoder(encoder),
            "random_encoder": self.random_encoder(encoder),
            "boosting": self.boosting(),
        }


def flat(results: dict[str, dict[str, float]], prefix: str) -> dict[str, float]:
    """Results of probes by one name each, for the metrics log.

    Parameters
    ----------
    results
        As in ``{"linear": {"accuracy": 0.5}}``.
    prefix
        Begins the names.

    Returns
    -------
    dict
        As in ``{"prefix_linear_accuracy": 0.5}``.
    """
    return {f"{prefix}_{probe}_{name}": value for probe, group in results.items() for name, value in group.items()}
