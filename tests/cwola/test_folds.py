import numpy as np
import pytest

from jepa_coffea.cwola.folds import FoldError, Folds, as_hashes, event_hash, splitmix64


def reference_splitmix64(x):
    """The generator's own definition in Python integers."""
    mask = (1 << 64) - 1
    z = (x + 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


def test_splitmix64_is_the_published_generator():
    assert int(splitmix64(0)[0]) == 0xE220A8397B1DCDAF
    numbers = [1, 2, 355374, 2**63, 2**64 - 1]
    assert splitmix64(np.array(numbers, np.uint64)).tolist() == [reference_splitmix64(n) for n in numbers]


def test_event_hash_is_the_documented_composition():
    expected = reference_splitmix64(reference_splitmix64(reference_splitmix64(355374) ^ 12) ^ 987654321987)
    assert int(event_hash(355374, 12, 987654321987)[0]) == expected
    assert int(as_hashes([[355374, 12, 987654321987]])[0]) == expected


def test_folds_know_the_event_and_nothing_else():
    rng = np.random.default_rng(1)
    ids = np.stack([rng.integers(1, 4e5, 5000), rng.integers(1, 2000, 5000), np.arange(5000)], axis=1)
    folds = Folds(seed=3)
    whole = folds.outer_of(ids)
    shuffle = rng.permutation(5000)
    assert np.array_equal(folds.outer_of(ids[shuffle]), whole[shuffle])
    assert np.array_equal(folds.outer_of(ids[:100]), whole[:100])
    assert not np.array_equal(Folds(seed=4).outer_of(ids), whole)


def test_folds_are_balanced_and_nested_folds_independent():
    ids = np.arange(40_000)
    folds = Folds(outer=5, inner=4)
    table = np.zeros((5, 4))
    np.add.at(table, (folds.outer_of(ids), folds.inner_of(ids)), 1)
    # 20 equal cells: chi2 with 19 degrees of freedom exceeds 43.8 once in a thousand seeds; the seed is fixed.
    assert ((table - 2000) ** 2 / 2000).sum() < 43.8


def test_training_and_test_events_never_meet_even_when_events_repeat():
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 500, 3000)
    for order in ("cross", "forward"):
        folds = Folds(outer=4, order=order)
        outer = folds.outer_of(ids)
        for fold in folds.tested():
            train, test = folds.training(outer, fold), outer == fold
            assert not set(ids[train]) & set(ids[test])
            assert test.any()


def test_forward_folds_train_on_the_past_only():
    ids = np.arange(1000)
    folds = Folds(outer=4, order="forward")
    assert list(folds.tested()) == [1, 2, 3]
    outer = folds.outer_of(ids)
    for fold in folds.tested():
        assert set(outer[folds.training(outer, fold)]) == set(range(fold))


@pytest.mark.parametrize("ids", [np.zeros((4, 2), int), np.zeros(4), np.zeros((4, 3))])
def test_ids_that_are_not_identities(ids):
    with pytest.raises(FoldError):
        Folds().outer_of(ids)


@pytest.mark.parametrize("numbers", [{"outer": 1}, {"inner": 1}, {"order": "random"}])
def test_folds_that_cannot_be(numbers):
    with pytest.raises(FoldError, match="Folds: expected"):
        Folds(**numbers)
