"""Events made of others: smooth in the mass, true to the jets, and free of their fluctuations."""

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.statistics.recombined import Recombination, Sorted

RANGE = (2300.0, 4500.0)


def simulated(number: int, seed: int = 0) -> pa.Table:
    """Events whose jets have a feature that depends on their pT; and one that fluctuates in the window by a fifth."""
    rng = np.random.default_rng(seed)
    mass = 2000 * (1 - rng.random(number)) ** (-1 / 5)
    ratio = rng.uniform(0.3, 0.5, (2, number))
    columns: dict[str, object] = {"mjj": mass}
    for jet, share in zip(("jet1", "jet2"), ratio, strict=True):
        pt = share * mass
        columns[f"{jet}_pt"] = pt
        columns[f"{jet}_eta"] = rng.normal(size=number)
        columns[f"{jet}_mass"] = 0.1 * pt
        lumps = np.where((mass > 2600) & (mass < 3250), 0.12, 0.1)
        vectors = np.stack([np.log(pt) + 0.1 * rng.normal(size=number), rng.random(number) < lumps], axis=1)
        columns[f"{jet}_embedding"] = pa.FixedSizeListArray.from_arrays(vectors.astype(np.float32).ravel(), 2)
    return pa.table(columns)


def test_events_are_those_of_the_pool_without_its_fluctuations() -> None:
    pool = simulated(40_000)
    made = Recombination(pool, RANGE).draw(60_000, seed=3)
    mass = made["mjj"].to_numpy()
    assert made.num_rows == 60_000
    assert len(np.unique(made["event"].to_numpy())) == 60_000
    assert mass.min() >= RANGE[0]
    assert mass.max() <= RANGE[1]
    # dN/dm ~ m^-6 between the ends.
    share = (2600**-5 - 3250**-5) / (RANGE[0] ** -5 - RANGE[1] ** -5)
    window = (mass > 2600) & (mass < 3250)
    assert window.mean() == pytest.approx(share, abs=0.01)
    for jet in ("jet1", "jet2"):
        pt, vectors = made[f"{jet}_pt"].to_numpy(), np.stack(made[f"{jet}_embedding"].to_numpy())
        assert np.all((pt / mass > 0.29) & (pt / mass < 0.51))
        np.testing.assert_allclose(made[f"{jet}_mass"].to_numpy(), 0.1 * pt)
        pulls = (vectors[:, 0] - np.log(pt)) / 0.1
        assert pulls.mean() == pytest.approx(0, abs=0.05)
        assert pulls.std() == pytest.approx(1, abs=0.05)
        # The pool has a fifth too much in the window; what is left of it is less than a third.
        assert vectors[window, 1].mean() / vectors[~window, 1].mean() == pytest.approx(1, abs=0.07)


def test_no_value_is_taken_more_often_at_the_ends() -> None:
    rng = np.random.default_rng(0)
    values = rng.permutation(100).astype(float)
    taken = np.bincount(
        values[Sorted(values, 10).near(np.repeat(np.arange(100.0), 2000), rng)].astype(int), minlength=100
    )
    assert np.all(np.abs(taken / 2000 - 1) < 0.15)
