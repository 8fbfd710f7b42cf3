"""Flat columns: ordering, taking, joining, checking, each against a plain loop."""

import numpy as np
import pytest

from training.data.columns import UNLABELLED, JetColumns, concatenate, empty, faults, order_by_pt


def random_columns(rng: np.random.Generator, jets: int) -> JetColumns:
    counts = rng.integers(0, 9, jets)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    arrays = empty(jets, int(offsets[-1]))
    for name in ("kinematics", "displacement", "jets", "observables"):
        arrays[name][:] = rng.integers(-3, 4, arrays[name].shape)  # many equal momenta
    arrays["identity"][:] = rng.integers(-1, 2, arrays["identity"].shape)
    arrays["labels"][:] = rng.integers(0, 3, jets)
    return JetColumns(offsets=offsets, subjet=rng.integers(0, 99, int(offsets[-1])).astype(np.int8), **arrays)


def jets_of(columns: JetColumns) -> list[list[list[float]]]:
    particles = np.column_stack([columns.kinematics, columns.identity, columns.displacement, columns.subjet])
    return [part.tolist() for part in np.split(particles, columns.offsets[1:-1])]


def test_order_is_stable_and_descending() -> None:
    columns = random_columns(np.random.default_rng(0), 300)
    expected = [
        sorted(jet, key=lambda p: -float(np.hypot(np.float32(p[0]), np.float32(p[1])))) for jet in jets_of(columns)
    ]
    order_by_pt(columns)
    assert jets_of(columns) == expected


def test_take_slice_and_concatenate() -> None:
    rng = np.random.default_rng(1)
    columns = random_columns(rng, 50)
    jets, rows = jets_of(columns), rng.integers(0, 50, 80)
    taken = columns.take(rows)
    assert jets_of(taken) == [jets[row] for row in rows]
    assert np.array_equal(taken.observables, columns.observables[rows])
    assert jets_of(columns.slice(7, 31)) == jets[7:31]
    joined = concatenate([columns.slice(7, 31), taken, columns.slice(0, 1)])
    assert jets_of(joined) == jets[7:31] + [jets[row] for row in rows] + jets[:1]
    assert np.array_equal(
        joined.labels, np.concatenate([columns.labels[7:31], columns.labels[rows], columns.labels[:1]])
    )


def test_labels_are_translated() -> None:
    columns = random_columns(np.random.default_rng(2), 20)
    columns.labels[3] = UNLABELLED
    translated = columns.with_labels(np.asarray([5, 0, 7], np.int16)).labels
    assert translated[3] == UNLABELLED
    assert [translated[k] for k in range(20) if k != 3] == [(5, 0, 7)[columns.labels[k]] for k in range(20) if k != 3]


@pytest.mark.parametrize("column", ["kinematics", "displacement", "jets"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_faults(column: str, value: float) -> None:
    columns = random_columns(np.random.default_rng(3), 40)
    bad = int(np.flatnonzero(columns.counts)[5])
    getattr(columns, column)[bad if column == "jets" else columns.offsets[bad], 1] = value
    found = faults(columns)
    assert [found[k] for k in range(40) if k != bad] == [int(columns.counts[k] == 0) for k in range(40) if k != bad]
    assert found[bad] == 2
