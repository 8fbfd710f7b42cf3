"""How well a linear fit tells the dijet mass from the embeddings of both jets, for the card."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jepa_coffea.encoder.card import MassLeakage, ModelCard, card_in, load_model, save_model, write_card
from jepa_coffea.files import file_hash, replacing
from training.data.sources import expand
from training.exporting.onnx_graph import ExportError

FOLDS = 5
EVENTS_PER_NUMBER = 5
"""Fewest events for each number that the fit is given."""

ABOUT, COLUMNS = b"jepa_coffea", ["mjj", "jet1_embedding", "jet2_embedding"]
"""Entry of the metadata of embedded events that names the model, and the columns that are read."""


def with_leakage(source: str | Path, output: str | Path, dijets: Sequence[str]) -> ModelCard:
    """Write an exported file again, with the leakage of the dijet mass in its card.

    Parameters
    ----------
    source
        Encoder file.
    output
        The file to write; it may be the same.
    dijets
        Globs of events embedded with that file, of background without signal.

    Returns
    -------
    ModelCard
        The new card.

    Raises
    ------
    ModelError
        If the source is no encoder file.
    ExportError
        If the events are of another model, or too few.
    """
    model = load_model(source)
    leakage = mass_leakage(expand(dijets), file_hash(source))
    card = card_in(model, str(source)).model_copy(update={"mass_leakage": leakage})
    write_card(model, card)
    with replacing(Path(output)) as temporary:
        save_model(model, temporary)
    return card


def mass_leakage(files: Sequence[str], model_hash: str) -> MassLeakage:
    """R^2 of a linear fit of m_jj to the embeddings of both jets, on events that it was not fitted to.

    Parameters
    ----------
    files
        Embedded events.
    model_hash
        Of the file that they must be embedded with.

    Returns
    -------
    MassLeakage

    Raises
    ------
    ExportError
        If a file is no such events, of another model, or there are too few.
    """
    masses, embeddings = [], []
    for path in files:
        try:
            rows = pq.read_table(path, columns=COLUMNS, partitioning=None)
            said = json.loads((rows.schema.metadata or {})[ABOUT])
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            msg = f"{path}: expected events that `jepa-coffea embed` or examples/embed_events.py wrote ({error})"
            raise ExportError(msg) from None
        if said.get("model_hash") != model_hash:
            msg = f"{path}: its events were embedded with {said.get('model')}, not with this file; embed them anew"
            raise ExportError(msg)
        jets = [np.stack(rows[name].to_numpy()) for name in COLUMNS[1:]] if rows.num_rows else []
        if jets:
            masses.append(rows["mjj"].to_numpy())
            embeddings.append(np.concatenate(jets, axis=1))
    y, X = np.concatenate(masses or [np.empty(0)]), np.concatenate(embeddings or [np.empty((0, 1))])
    good = np.isfinite(y) & np.isfinite(X).all(axis=1)
    y, X = y[good], X[good].astype(np.float64)
    if len(y) < EVENTS_PER_NUMBER * X.shape[1]:
        msg = f"--dijets: {len(y)} events for a fit to {X.shape[1]} numbers; at least {EVENTS_PER_NUMBER} for each"
        raise ExportError(msg)
    order = np.random.default_rng(0).permutation(len(y))
    fit = make_pipeline(StandardScaler(), Ridge(1.0))
    predicted = cross_val_predict(fit, X[order], y[order], cv=FOLDS)
    return MassLeakage(
        r2=float(1 - np.mean((y[order] - predicted) ** 2) / np.var(y)),
        events=len(y),
        mjj=(float(y.min()), float(y.max())),
        sample=str(said.get("dataset", "")),
    )
