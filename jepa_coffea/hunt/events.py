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

from jepa_coffea.cwola.features import symmetrised
from jepa_coffea.cwola.folds import event_hash, salted, uniform
from jepa_coffea.cwola.sample import Sample, make_sample
from jepa_coffea.cwola.windows import Windows
from jepa_coffea.errors import closest
from jepa_coffea.files import find_files
from jepa_coffea.files.parquet import read_rows
from jepa_coffea.hunt.columns import Floats, column, vectors
from jepa_coffea.hunt.config import FeatureConfig, HuntConfig, HuntError, ScoreRatio
from jepa_coffea.hunt.root_table import read_tree

PLACES = {1: [2], 2: [0, 2], 3: [0, 1, 2]}
"""Of how many numbers of an identity to which of run, luminosity block and event they are."""


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
    """(events, 3 * jets): masses and tau ratios of the jets, heavier first: what a search without embeddings would
    take; (events, 0) where the table has none."""
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
    _check_unique(identity, sample.hashes, config.input.identity, what)
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


def _check_unique(
    identity: npt.NDArray[np.int64], hashes: npt.NDArray[np.uint64], names: Sequence[str], what: str
) -> None:
    """Raise if events are there more than once: counts are then no Poisson counts, and every Z is too large."""
    order = np.argsort(hashes, kind="stable")
    again = order[1:][np.diff(hashes[order]) == 0]
    if len(again):
        numbers = identity[again.min(), PLACES[len(names)]]
        msg = (
            f"hunt: {len(again)} of {len(hashes)} {what} have the {_and(names)} of another one "
            f"(for example {', '.join(map(str, numbers))}), and an event counts once. Do datasets overlap, or are "
            "files given twice? Simulated samples need numbers of their own"
        )
        raise HuntError(msg)


def _read_file(file: str | Path, config: HuntConfig, windows: Windows) -> Events:
    if str(file).endswith(".root"):
        table, everything = read_tree(file, config.input.tree, config.mass.column, windows)
    else:
        table = read_rows(file)
        everything = column(table, config.mass.column, file, "mass.column").astype(float)
        table = table.filter(pa.array(windows.inside(everything)))
    no_mass = int(np.count_nonzero(~np.isfinite(everything)))
    if len(everything) > no_mass and not len(table):
        _refuse_other_units(everything[np.isfinite(everything)], windows, file)
    mass = column(table, config.mass.column, file, "mass.column").astype(float)
    identity = _identity(table, config.input.identity, file)
    if windows.windows:
        (X, names), observables = feature_matrix(table, config.features, file), _control(table, config, file)
    else:  # a scan looks at the mass alone
        X, names, observables = mass[:, None].astype(np.float32), (config.mass.column,), np.zeros((len(table), 0))
    match = None
    if config.features.match:
        match = _numbers(table, config.features.match, file, "features.match")
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


def _and(names: Sequence[str]) -> str:
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


def _identity(table: pa.Table, names: Sequence[str], file: str | Path) -> npt.NDArray[np.int64]:
    """Numbers of run, luminosity block and event, (events, 3); 0 where the table does not have them."""
    found = np.zeros((len(table), 3), np.int64)
    found[:, PLACES[len(names)]] = np.stack([_whole(table, name, file) for name in names], 1)
    return found


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


def _control(table: pa.Table, config: HuntConfig, file: str | Path) -> npt.NDArray[np.float64]:
    """Masses and tau ratios of the jets, (events, 3 * jets); (events, 0) where the table does not have them."""
    jets = config.features.jets
    needed = {f"{jet}_{name}" for jet in jets for name in ("mass", "tau1", "tau2", "tau3")}
    if not needed <= set(table.column_names):
        return np.zeros((len(table), 0))
    return np.concatenate([per_jet(table, jets, name, file) for name in ("mass", "tau21", "tau32")], axis=1)


def _numbers(table: pa.Table, names: Sequence[str], file: str | Path, option: str) -> npt.NDArray[np.float64]:
    """Columns side by side, (events, names)."""
    return np.stack([column(table, name, file, option).astype(float) for name in names], axis=1)


def per_jet(table: pa.Table, jets: Sequence[str], name: str, file: str | Path) -> npt.NDArray[np.float64]:
    """An observable of each jet, the heavier of two first.

    Parameters
    ----------
    table
        Where its columns stand.
    jets
        Names of one or two jets: what stands before the ``_`` of their columns.
    name
        A column without the name of the jet before it. Made here are ``log_mass_over_pt`` and ratios ``tauNM`` =
        tau_N / tau_M; a jet with tau_M = 0 has ratio 0.
    file
        Of the table, for messages.

    Returns
    -------
    array of float, (events, jets)
    """
    values = np.stack([_of_jet(table, jet, name, file) for jet in jets], axis=1)
    if len(jets) == 2:
        first, second = (column(table, f"{jet}_mass", file, "order of features.jets by mass") for jet in jets)
        swap = second > first
        values[swap] = values[swap, ::-1]
    return values


def _of_jet(table: pa.Table, jet: str, name: str, file: str | Path) -> Floats:
    """An observable of one jet, (events,); see :func:`per_jet`."""

    def read(what: str) -> Floats:
        return column(table, f"{jet}_{what}", file, "features.observables of features.jets").astype(float)

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
    """Scores of a jet, or sums of them.

    Parameters
    ----------
    table
        Where their columns stand.
    jet
        Its name: what stands before ``_score_``.
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
        return _sums(table, jet, [[name] for name in scores], file)
    owner: dict[str, str] = {}
    classes = [_classes(table, jet, pattern, f"features.scores.{name}", file) for name, pattern in scores.items()]
    for name, own in zip(scores, classes, strict=True):
        for one in own:
            if owner.setdefault(one, name) != name:
                msg = f"hunt: features.scores: {one} is in {owner[one]} and in {name}; a class may be in one sum only"
                raise HuntError(msg)
    return _sums(table, jet, classes, file)


def _classes(table: pa.Table, jet: str, pattern: str, option: str, file: str | Path) -> list[str]:
    """The classes whose whole name a regular expression matches."""
    start = f"{jet}_score_"
    known = [name.removeprefix(start) for name in table.column_names if name.startswith(start)]
    found = [name for name in known if re.fullmatch(pattern, name)]
    if not found:
        close = closest(pattern, known)
        hint = f" (did you mean {close!r}?)" if close else ""
        there = ", ".join(known) or f"no columns {start}... (features.jets)"
        msg = f"hunt: {option}: no class matches {pattern!r}{hint}; {file} has {there}"
        raise HuntError(msg)
    return found


def _sums(table: pa.Table, jet: str, groups: Sequence[Sequence[str]], file: str | Path) -> npt.NDArray[np.float64]:
    """Sums of the probabilities of groups of classes, (events, groups)."""
    option = "features.scores of features.jets"
    sums = [_numbers(table, [f"{jet}_score_{name}" for name in group], file, option).sum(axis=1) for group in groups]
    return np.array(sums, float).reshape(len(groups), len(table)).T


SMALLEST_SHARE = 1e-7
"""Of classes, in logarithms: half precision may round a probability to 0 or 1."""


def _discriminants(
    table: pa.Table, jet: str, scores: Sequence[str] | Mapping[str, str | ScoreRatio], file: str | Path
) -> npt.NDArray[np.float64]:
    """Log-odds of classes or of sums of them, or logarithms of ratios of sums; (events, scores)."""
    if not isinstance(scores, Mapping):
        return _log_odds(scores_of(table, jet, scores, file))
    alone = {name: one for name, one in scores.items() if isinstance(one, str)}
    found = dict(zip(alone, _log_odds(scores_of(table, jet, alone, file)).T, strict=True))
    ratios = {name: one for name, one in scores.items() if isinstance(one, ScoreRatio)}
    found |= {name: _log_ratio(table, jet, name, ratio, file) for name, ratio in ratios.items()}
    return np.stack([found[name] for name in scores], axis=1)


def _log_odds(share: Floats) -> npt.NDArray[np.float64]:
    """log(p / (1 - p)) of probabilities."""
    p = share.clip(SMALLEST_SHARE, 1 - SMALLEST_SHARE)
    return np.log(p / (1 - p))


def _log_ratio(table: pa.Table, jet: str, name: str, ratio: ScoreRatio, file: str | Path) -> npt.NDArray[np.float64]:
    """log(p of the classes / p of those against them), (events,)."""
    option = f"features.scores.{name}"
    classes = _classes(table, jet, ratio.classes, f"{option}.classes", file)
    against = _classes(table, jet, ratio.against, f"{option}.against", file)
    shared = [one for one in classes if one in against]
    if shared:
        msg = (
            f"hunt: {option}: {shared[0]} matches classes {ratio.classes!r} and against {ratio.against!r}; expected no "
            "class on both sides"
        )
        raise HuntError(msg)
    over, under = np.log(np.maximum(_sums(table, jet, [classes, against], file), SMALLEST_SHARE)).T
    return over - under


def feature_matrix(
    table: pa.Table, features: FeatureConfig, file: str | Path
) -> tuple[npt.NDArray[np.float32], tuple[str, ...]]:
    """The features of a table: embeddings, scores and observables of one or two jets, and columns of the event.

    Embeddings and scores of two jets are symmetrised, of their observables those of the heavier jet come first.

    Parameters
    ----------
    table
        Where their columns stand.
    features
        Which ones, and of which jets.
    file
        Of the table, for messages.

    Returns
    -------
    X : array of float32, (events, features)
    names : tuple of str

    Raises
    ------
    HuntError
        If a column is missing, or does not hold what it should.
    """
    blocks: list[Floats] = []
    names: list[str] = []
    jets = features.jets
    two = len(jets) == 2
    parts = ("mean_", "difference_") if two else ("",)
    if "embedding" in features.kinds:
        option = "features.use: embedding of features.jets"
        block = _joined([vectors(table, f"{jet}_embedding", file, option) for jet in jets])
        size = block.shape[1] // len(jets)
        blocks.append(block)
        names += [f"embedding_{what}{i}" for what in parts for i in range(size)]
    if "scores" in features.kinds:
        blocks.append(_joined([_discriminants(table, jet, features.scores, file) for jet in jets]))
        names += [f"score_{what}{name}" for what in parts for name in features.scores]
    if "observables" in features.kinds:
        blocks += [per_jet(table, jets, name, file) for name in features.observables]
        names += [f"{jet}_{name}" for name in features.observables for jet in (("heavier", "lighter") if two else jets)]
    if "columns" in features.kinds:
        blocks.append(_numbers(table, features.columns, file, "features.columns"))
        names += features.columns
    return np.concatenate(blocks, axis=1).astype(np.float32), tuple(names)


def _joined(of_jets: Sequence[Floats]) -> Floats:
    """Features of one jet as they are, of two without the order of the jets."""
    return symmetrised(*of_jets) if len(of_jets) == 2 else of_jets[0]


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
