"""Embedded events as one wide table, and the sets of its columns that searches are made with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from jepa_coffea.cwola.features import Whitening, symmetrised
from jepa_coffea.cwola.folds import event_hash
from jepa_coffea.cwola.sample import Sample, make_sample
from jepa_coffea.cwola.windows import Windows
from jepa_coffea.errors import JepaCoffeaError
from jepa_coffea.files import find_files
from jepa_coffea.files.parquet import read_rows
from jepa_coffea.hunt.columns import column, vectors
from jepa_coffea.hunt.events import per_jet, scores_of

JETS = ("jet1", "jet2")

VARIABLES = ("log_mass_over_pt", "tau21", "tau32", "tau43")
"""Of each jet, the heavier first."""

SMALLEST_SCORE = 1e-6
"""Scores are taken as logarithms, of no less than this."""


class SearchError(JepaCoffeaError, ValueError):
    """A comparison that cannot be made as asked for."""


@dataclass(frozen=True)
class Columns:
    """How many columns of each kind the wide table has, in this order."""

    embedding: int
    variables: int
    scores: int

    @property
    def all(self) -> int:
        """Columns of the table.

        Returns
        -------
        int
        """
        return self.embedding + self.variables + self.scores


@dataclass(frozen=True)
class FeatureSet:
    """What a classifier is given."""

    name: str
    start: int
    stop: int
    """Columns of the wide table."""
    reduced: bool
    """Whether the first of them are an embedding, of which principal components are taken."""
    passed: int
    """How many columns follow the embedding."""

    def of(self, sample: Sample) -> Sample:
        """The events with these features.

        Parameters
        ----------
        sample
            With the wide table.

        Returns
        -------
        Sample
        """
        return sample.columns(slice(self.start, self.stop))

    def reduction(self, components: int) -> Whitening | None:
        """What makes few features of the embedding.

        Parameters
        ----------
        components
            Principal components to keep.

        Returns
        -------
        Whitening or None
        """
        return Whitening(components, novelty=True, passed=self.passed) if self.reduced else None


def feature_sets(columns: Columns) -> dict[str, FeatureSet]:
    """The sets that can be made of a table.

    Parameters
    ----------
    columns
        Of the table.

    Returns
    -------
    dict
        By name: ``variables``, ``embedding``, ``both`` and, of a model with classes, ``scores + variables`` and
        ``scores + both``.
    """
    e, v, every = columns.embedding, columns.embedding + columns.variables, columns.all
    sets = [
        FeatureSet("variables", e, v, reduced=False, passed=0),
        FeatureSet("embedding", 0, e, reduced=True, passed=0),
        FeatureSet("both", 0, v, reduced=True, passed=columns.variables),
    ]
    if columns.scores:
        sets.append(FeatureSet("scores + variables", e, every, reduced=False, passed=0))
        sets.append(FeatureSet("scores + both", 0, every, reduced=True, passed=every - e))
    return {one.name: one for one in sets}


def read_table(
    globs: Sequence[str], windows: Windows, mass: str, what: str, groups: Mapping[str, str] | None = None
) -> tuple[Sample, Columns]:
    """Events in the fit range.

    Parameters
    ----------
    globs
        Of parquet files of embedded events.
    windows
        With the fit range.
    mass
        Name of the column of the resonance mass, GeV.
    what
        What the events are, for messages.
    groups
        Name to a regular expression: the scores of the classes whose whole name it matches are summed. Without groups
        every class is a score.

    Returns
    -------
    tuple
        The sample, whose features are the wide table, and what its columns are.

    Raises
    ------
    BadFileError
        If there are no files.
    HuntError
        If a column is missing, a group has no class, or a class is in two groups.
    SearchError
        If files were made with different models.
    """
    parts = [_read(Path(file), windows, mass, groups or {}) for file in find_files(globs, what)]
    if len({columns for _, columns in parts}) > 1:
        msg = f"{what}: files with different columns {sorted({str(c) for _, c in parts})}; embed them with one model"
        raise SearchError(msg)
    samples = [sample for sample, _ in parts]
    whole = samples[0]
    for sample in samples[1:]:
        whole = whole.joined(sample)
    return make_sample(whole.X, whole.mass, whole.hashes, np.ones(len(whole.mass))), parts[0][1]


def _read(file: Path, windows: Windows, mass: str, groups: Mapping[str, str]) -> tuple[Sample, Columns]:
    table = read_rows(file)
    table = table.filter(pa.array(windows.inside(column(table, mass, file))))
    blocks = [symmetrised(*(vectors(table, f"{jet}_embedding", file) for jet in JETS))]
    blocks.append(np.concatenate([per_jet(table, JETS, name, file) for name in VARIABLES], axis=1))
    classes = sorted(name.removeprefix("jet1_score_") for name in table.column_names if name.startswith("jet1_score_"))
    if classes:
        shares = (scores_of(table, jet, groups or classes, file) for jet in JETS)
        blocks.append(symmetrised(*(np.log(np.maximum(share, SMALLEST_SCORE)) for share in shares)))
    else:
        blocks.append(np.empty((len(table), 0)))
    X = np.concatenate(blocks, axis=1).astype(np.float32)
    identity = [column(table, name, file).astype(np.int64) for name in ("run", "luminosityBlock", "event")]
    sample = Sample(X, column(table, mass, file).astype(float), event_hash(*identity), np.ones(len(X)))
    good = np.flatnonzero(np.isfinite(X).all(axis=1))
    return sample.take(good), Columns(*(block.shape[1] for block in blocks))


def shuffled(sample: Sample, seed: int) -> Sample:
    """Events in random order, so that slices of them are alike.

    Parameters
    ----------
    sample
        Events.
    seed
        Of the order.

    Returns
    -------
    Sample
    """
    return sample.take(np.random.default_rng(seed).permutation(len(sample.mass)))
