"""Events from parquet or ROOT files: their identities, masses, and the features that a classifier sees."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jepa_coffea.cwola.features import symmetrised
from jepa_coffea.cwola.folds import event_hash, salted, uniform
from jepa_coffea.cwola.sample import Sample, make_sample
from jepa_coffea.cwola.windows import Windows
from jepa_coffea.errors import closest
from jepa_coffea.files import find_files
from jepa_coffea.files.parquet import read_rows
from jepa_coffea.hunt.config import FeatureConfig, HuntConfig, HuntError
from jepa_coffea.hunt.root_table import read_tree

Floats = npt.NDArray[Any]


@dataclass(frozen=True)
class Events:
    """Events of the hunt, one entry per event in each array."""

    sample: Sample
    identity: npt.NDArray[np.int64]
    """(events, 3): run, luminosity block, event."""
    truth: npt.NDArray[np.bool_] | None
    """Generated signal, where every file says so."""
    names: tuple[str, ...]
    """The features."""
    observables: Floats
    """(events, 6): masses and tau ratios of both jets, heavier first: what a search without embeddings would take;
    (events, 0) where the table has none."""
    models: tuple[str, ...]
    """Hashes of the encoders that made the embeddings."""
    dropped: int = 0
    """Events in the fit range that were left out because a feature is not finite."""
    no_mass: int = 0
    """Events that were left out because their mass is not finite."""
    unweighted: str = ""
    """What to say of events that were left out to make counts of weights."""

    def take(self, rows: npt.NDArray[Any]) -> "Events":
        """Some of the events.

        Parameters
        ----------
        rows
            Row numbers, or a mask of shape (events,).

        Returns
        -------
        Events
        """
        truth = None if self.truth is None else self.truth[rows]
        return replace(
            self,
            sample=self.sample.take(rows),
            identity=self.identity[rows],
            truth=truth,
            observables=self.observables[rows],
        )


def read_events(globs: Sequence[str], config: HuntConfig, what: str = "embedded events") -> Events:
    """Read the events in the fit range with the features of the configuration.

    Parameters
    ----------
    globs
        Of parquet or ROOT files.
    config
        The hunt.
    what
        What the events are, for messages.

    Returns
    -------
    Events

    Raises
    ------
    BadFileError
        If there are no files.
    HuntError
        If a column is missing or holds no numbers, no event is in the fit range, an event is there more than once,
        embeddings are of different encoders or sizes, events have different weights, or more than one event in a
        hundred has features that are not finite.
    """
    windows = config.mass.build()
    parts = [_read_file(file, config, windows) for file in find_files(globs, what)]
    dropped, no_mass = sum(part.dropped for part in parts), sum(part.no_mass for part in parts)
    sizes = {part.sample.X.shape[1] for part in parts if len(part.sample.mass)}
    models = tuple(sorted({model for part in parts for model in part.models}))
    if len(sizes) > 1 or len(models) > 1:
        msg = f"hunt: {what} are of different encoders (features {sorted(sizes)}, models {models}); embed them with one"
        raise HuntError(msg)
    parts = [part for part in parts if len(part.sample.mass)] or parts[:1]
    match = [part.sample.match for part in parts if part.sample.match is not None]
    X, mass, hashes, weights = (
        np.concatenate([getattr(part.sample, name) for part in parts]) for name in ("X", "mass", "hashes", "weights")
    )
    if not len(mass) and not dropped:
        low, high = windows.fit_range
        lost = f"; {no_mass} have no finite mass" if no_mass else ""
        msg = f"hunt: none of the {what} is in the fit range {low:g} to {high:g} GeV{lost}"
        raise HuntError(msg)
    sample = make_sample(X, mass, hashes, weights, np.concatenate(match) if match else None)
    if dropped > 0.01 * (len(sample.mass) + dropped):
        msg = (
            f"hunt: {dropped} of {len(sample.mass) + dropped} {what} have features that are not finite; more than one "
            "in a hundred is no accident: look at the selection and the embeddings of these files"
        )
        raise HuntError(msg)
    identity = np.concatenate([part.identity for part in parts])
    _check_unique(identity, sample.hashes, what)
    kept, note = hit_or_miss(sample, what, allowed=config.input.unweight, seed=config.seed)
    truth = [part.truth for part in parts if part.truth is not None]
    everything = Events(
        replace(sample, weights=np.ones(len(sample.mass))),
        identity,
        np.concatenate(truth) if len(truth) == len(parts) else None,
        parts[0].names,
        np.concatenate([part.observables for part in parts]),
        models,
        dropped,
        no_mass,
        note,
    )
    return everything.take(kept)


def _refuse_other_units(mass: npt.NDArray[np.float64], windows: Windows, file: str | Path) -> None:
    """Raise where no mass is in the fit range, but all would be if they were TeV or MeV and not GeV."""
    for unit, factor in (("TeV", 1e3), ("MeV", 1e-3)):
        share = float(np.mean(windows.inside(mass * factor)))
        if share > 0.5:
            msg = (
                f"hunt: no mass of {file} is in the fit range {windows.fit_range[0]:g} to {windows.fit_range[1]:g} GeV "
                f"and {share:.0%} would be if they were in {unit}; write them in GeV"
            )
            raise HuntError(msg)


def _check_unique(identity: npt.NDArray[np.int64], hashes: npt.NDArray[np.uint64], what: str) -> None:
    """Raise if events are there more than once: counts are then no Poisson counts, and every Z is too large."""
    order = np.argsort(hashes, kind="stable")
    again = order[1:][np.diff(hashes[order]) == 0]
    if len(again):
        run, block, event = identity[again.min()]
        msg = (
            f"hunt: {len(again)} of {len(hashes)} {what} have the run, luminosityBlock and event of another one "
            f"(for example {run}, {block}, {event}), and an event counts once. Do datasets overlap, or are files given "
            "twice? Simulated samples need numbers of their own"
        )
        raise HuntError(msg)


def _read_file(file: str | Path, config: HuntConfig, windows: Windows) -> Events:
    if str(file).endswith(".root"):
        table, everything = read_tree(file, config.input.tree, config.mass.column, windows)
    else:
        table = read_rows(file)
        everything = column(table, config.mass.column, file).astype(float)
        table = table.filter(pa.array(windows.inside(everything)))
    no_mass = int(np.count_nonzero(~np.isfinite(everything)))
    if len(everything) > no_mass and not len(table):
        _refuse_other_units(everything[np.isfinite(everything)], windows, file)
    mass = column(table, config.mass.column, file).astype(float)
    identity = np.stack([_whole(table, name, file) for name in ("run", "luminosityBlock", "event")], 1)
    if windows.windows:
        (X, names), observables = feature_matrix(table, config.features, file), _control(table, file)
    else:  # a scan looks at the mass alone
        X, names, observables = mass[:, None].astype(np.float32), (config.mass.column,), np.zeros((len(table), 0))
    match = None
    if config.features.match:
        match = np.stack([column(table, name, file).astype(float) for name in config.features.match], 1)
    read = np.concatenate([X, observables, match if match is not None else X[:, :0]], axis=1)
    good = np.isfinite(read).all(axis=1)
    truth = column(table, "truth_signal", file).astype(bool) if "truth_signal" in table.column_names else None
    metadata = json.loads((table.schema.metadata or {}).get(b"jepa_coffea", b"{}"))
    models = (str(metadata["model_hash"]),) if "model_hash" in metadata else ()
    weights = np.ones(len(mass))
    if "weight" in table.column_names:
        weights = column(table, "weight", file).astype(float)
    sample = Sample(X, mass, event_hash(*identity.T), weights, match)
    return Events(sample, identity, truth, names, observables, models, int((~good).sum()), no_mass).take(good)


def _whole(table: pa.Table, name: str, file: str | Path) -> npt.NDArray[np.int64]:
    """A column of an identity; raise where numbers are, or may be, rounded."""
    values = column(table, name, file)
    exact = values.dtype.kind in "ui"
    if values.dtype == np.float64:
        exact = bool((np.abs(values) < 2**53).all() and (values == np.floor(values)).all())
    if not exact:
        msg = f"hunt: {file}: {name!r} holds {values.dtype} that are no whole numbers; a rounded number is no identity"
        raise HuntError(msg)
    return values.astype(np.int64)


def _control(table: pa.Table, file: str | Path) -> npt.NDArray[np.float64]:
    """Masses and tau ratios of both jets, (events, 6); (events, 0) where the table is not of two jets."""
    needed = {f"{jet}_{name}" for jet in ("jet1", "jet2") for name in ("mass", "tau1", "tau2", "tau3")}
    if not needed <= set(table.column_names):
        return np.zeros((len(table), 0))
    return np.concatenate([per_jet(table, name, file) for name in ("mass", "tau21", "tau32")], axis=1)


def column(table: pa.Table, name: str, file: str | Path) -> Floats:
    """One column as an array.

    Parameters
    ----------
    table
        Where it stands.
    name
        Its name.
    file
        Of the table, for messages.

    Returns
    -------
    array, (events,), or (events, size) for lists of one length

    Raises
    ------
    HuntError
        If there is no such column, it has missing values, or holds no numbers.
    """
    if name not in table.column_names:
        close = closest(name, table.column_names)
        hint = f" (did you mean {close!r}?)" if close else ""
        msg = f"hunt: {file} has no column {name!r}{hint}; it has {', '.join(table.column_names)}"
        raise HuntError(msg)
    values = table.column(name).combine_chunks()
    if values.null_count:
        msg = f"hunt: {file}: column {name!r} has {values.null_count} missing values"
        raise HuntError(msg)
    kind, size = values.type, None
    if pa.types.is_fixed_size_list(kind):
        size, kind, values = kind.list_size, kind.value_type, values.flatten()
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        lengths = np.unique(pc.list_value_length(values).to_numpy())
        if len(lengths) > 1:
            msg = (
                f"hunt: {file}: column {name!r} has lists of {lengths[0]} to {lengths[-1]} numbers, expected one length"
            )
            raise HuntError(msg)
        size, kind, values = int(lengths.sum()), kind.value_type, values.flatten()
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        msg = f"hunt: {file}: column {name!r} holds {kind}, no numbers"
        raise HuntError(msg)
    array = values.to_numpy(zero_copy_only=False)
    return array if size is None else array.reshape(table.num_rows, size)


def per_jet(table: pa.Table, name: str, file: str | Path) -> npt.NDArray[np.float64]:
    """An observable of both jets, the heavier jet first.

    Parameters
    ----------
    table
        Where its columns stand.
    name
        A column without ``jet1_`` or ``jet2_`` before it. Made here are ``log_mass_over_pt`` and ratios ``tauNM`` =
        tau_N / tau_M; a jet with tau_M = 0 has ratio 0.
    file
        Of the table, for messages.

    Returns
    -------
    array of float, (events, 2)
    """

    both = np.stack([_of_jet(table, jet, name, file) for jet in ("jet1", "jet2")], axis=1)
    swap = column(table, "jet2_mass", file) > column(table, "jet1_mass", file)
    both[swap] = both[swap, ::-1]
    return both


def _of_jet(table: pa.Table, jet: str, name: str, file: str | Path) -> Floats:
    """An observable of one jet, (events,); see :func:`per_jet`."""

    def read(what: str) -> Floats:
        return column(table, f"{jet}_{what}", file).astype(float)

    ratio = re.fullmatch(r"tau(\d)(\d)", name)
    if ratio:
        over, under = read(f"tau{ratio[1]}"), read(f"tau{ratio[2]}")
        return np.divide(over, under, out=np.zeros_like(over), where=under > 0)
    if name == "log_mass_over_pt":
        return np.log(np.maximum(read("mass"), 0.1) / read("pt"))
    return read(name)


def scores_of(
    table: pa.Table, jet: str, scores: Sequence[str] | Mapping[str, str], file: str | Path
) -> npt.NDArray[np.float64]:
    """Scores of one of the jets, or sums of them.

    Parameters
    ----------
    table
        Where their columns stand.
    jet
        ``jet1`` or ``jet2``.
    scores
        Classes; or a name of each sum to a regular expression that matches the whole names of its classes.
    file
        Of the table, for messages.

    Returns
    -------
    array of float, (events, scores)

    Raises
    ------
    HuntError
        If a class is missing, no class matches, or one matches twice.
    """
    if not isinstance(scores, Mapping):
        return np.stack([column(table, f"{jet}_score_{name}", file).astype(float) for name in scores], axis=1)
    start = f"{jet}_score_"
    classes = [name.removeprefix(start) for name in table.column_names if name.startswith(start)]
    owner: dict[str, str] = {}
    sums = []
    for name, pattern in scores.items():
        own = [one for one in classes if re.fullmatch(pattern, one)]
        if not own:
            msg = f"scores.{name}: no class matches {pattern!r}; {file} has {', '.join(classes) or 'no scores'}"
            raise HuntError(msg)
        for one in own:
            if owner.setdefault(one, name) != name:
                msg = f"scores: {one} is in {owner[one]} and in {name}; a class may be in one sum only"
                raise HuntError(msg)
        sums.append(np.sum([column(table, start + one, file).astype(float) for one in own], axis=0))
    return np.stack(sums, axis=1)


def _log_odds(share: Floats) -> npt.NDArray[np.float64]:
    """log(p / (1 - p)) of probabilities, which half precision may round to 0 or 1."""
    p = share.astype(float).clip(1e-7, 1 - 1e-7)
    return np.log(p / (1 - p))


def feature_matrix(
    table: pa.Table, features: FeatureConfig, file: str | Path
) -> tuple[npt.NDArray[np.float32], tuple[str, ...]]:
    """The features of a table: symmetrised embeddings and scores, observables of both jets, columns of the event.

    Parameters
    ----------
    table
        Where their columns stand.
    features
        Which ones.
    file
        Of the table, for messages.

    Returns
    -------
    X : array of float32, (events, features)
    names : tuple of str

    Raises
    ------
    HuntError
        If a column is missing.
    """
    blocks: list[Floats] = []
    names: list[str] = []
    if "embedding" in features.kinds:
        embeddings = symmetrised(column(table, "jet1_embedding", file), column(table, "jet2_embedding", file))
        blocks.append(embeddings)
        half = embeddings.shape[1] // 2
        names += [f"embedding_mean_{i}" for i in range(half)] + [f"embedding_difference_{i}" for i in range(half)]
    if "scores" in features.kinds:
        first, second = (_log_odds(scores_of(table, jet, features.scores, file)) for jet in ("jet1", "jet2"))
        blocks.append(symmetrised(first, second))
        names += [f"score_{what}_{name}" for what in ("mean", "difference") for name in features.scores]
    if "observables" in features.kinds:
        for name in features.observables:
            blocks.append(per_jet(table, name, file))
            names += [f"heavier_{name}", f"lighter_{name}"]
    if "columns" in features.kinds:
        blocks.append(np.stack([column(table, name, file).astype(float) for name in features.columns], axis=1))
        names += features.columns
    return np.concatenate(blocks, axis=1).astype(np.float32), tuple(names)


def hit_or_miss(sample: Sample, what: str, *, allowed: bool, seed: int) -> tuple[npt.NDArray[np.bool_], str]:
    """Keep each event with the probability of its weight over the largest.

    Parameters
    ----------
    sample
        The events.
    what
        What they are, for messages.
    allowed
        Whether events may be left out.
    seed
        Decides, with the identity of an event, whether it is kept.

    Returns
    -------
    kept : array of bool, (events,)
        All where all weights are the same.
    note : str
        What is to be said about it; empty where all are kept.

    Raises
    ------
    HuntError
        If weights differ and ``allowed`` is not set.
    """
    weights = sample.weights
    if not len(weights) or np.ptp(weights) == 0:
        return np.ones(len(weights), bool), ""
    largest = float(weights.max())
    if not allowed:
        msg = (
            f"hunt: {what} have weights from {weights.min():g} to {largest:g}; sums of different weights are not "
            "Poisson counts and no p-value of them can be believed. Set input.unweight to keep each event with a "
            f"probability of its weight over the largest ({weights.sum() / largest:.0f} of {len(weights)} would be "
            "left)"
        )
        raise HuntError(msg)
    kept = uniform(salted(sample.hashes, "unweight", seed)) * largest < weights
    number = int(np.count_nonzero(kept))
    return kept, (
        f"Of {len(weights)} weighted {what} {number} are kept by hit or miss and count as one each: the weights "
        f"describe {weights.sum() / max(number, 1):.3g} times as many."
    )
