"""Every jet in one micro-batch, within the budget; padding is a gather; the hardest particles stay."""

import numpy as np
import pytest

from jepa_coffea.encoder.batching import WASTE, Budget, gather_index, keep_hardest, pad, plan

BUDGET = Budget(tokens=256, pairs=8192, step=8)


@pytest.mark.parametrize("seed", range(5))
def test_plan_covers_every_jet_once_within_the_budget(seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 129, 300)
    batches = plan(counts, BUDGET, longest=128)
    assert sorted(np.concatenate([batch.jets for batch in batches])) == list(np.flatnonzero(counts))
    for batch in batches:
        inside = counts[batch.jets]
        assert inside.max() <= batch.length <= min(128, inside.max() + BUDGET.step - 1)
        if len(batch.jets) > 1:
            assert len(batch.jets) * batch.length <= BUDGET.tokens
            assert batch.pairs <= BUDGET.pairs
            needed = sum(min(128, -(-count // BUDGET.step) * BUDGET.step) for count in inside)
            assert len(batch.jets) * batch.length - needed <= WASTE * BUDGET.tokens


def test_few_jets_are_padded_little_and_many_hardly() -> None:
    budget = Budget(tokens=1024, pairs=131_072, step=4)
    rng = np.random.default_rng(0)
    for jets, most in ((32, 0.25), (300, 0.1), (10_000, 0.05)):
        counts = np.clip(rng.normal(45, 17, jets).astype(int), 5, 128)
        batches = plan(counts, budget, longest=128)
        assert sum(len(batch.jets) * batch.length for batch in batches) < (1 + most) * counts.sum()
        full = counts.sum() / budget.tokens
        assert len(batches) < 1.3 * full + 12


def test_plan_never_pads_beyond_the_longest() -> None:
    (batch,) = plan(np.array([50]), Budget(1000, 10**6, 16), longest=50)
    assert batch.length == 50


def test_plan_of_nothing() -> None:
    assert plan(np.array([], int), BUDGET, 128) == []
    assert plan(np.zeros(4, int), BUDGET, 128) == []


def test_a_jet_larger_than_the_budget_runs_alone() -> None:
    batches = plan(np.array([1000, 1000]), BUDGET, longest=1000)
    assert [len(batch.jets) for batch in batches] == [1, 1]


def test_more_jets_fill_full_batches() -> None:
    batches = plan(np.full(1000, 16), BUDGET, 128)
    assert [len(batch.jets) for batch in batches[:-1]] == [16] * (len(batches) - 1)


def test_pad_against_a_loop() -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 9, 30)
    flat = rng.normal(size=(counts.sum(), 3)).astype(np.float32)
    starts = np.cumsum(counts) - counts
    chosen = rng.permutation(30)[:12]
    index, mask = gather_index(starts[chosen], counts[chosen], 10)
    got = pad(flat, index, mask, np.full(1000, np.nan, np.float32))
    for row, jet in enumerate(chosen):
        expected = np.zeros((10, 3), np.float32)
        expected[: counts[jet]] = flat[starts[jet] : starts[jet] + counts[jet]]
        np.testing.assert_array_equal(got[row], expected)
        assert mask[row].sum() == counts[jet]


def test_keep_hardest_against_a_loop() -> None:
    rng = np.random.default_rng(1)
    counts = rng.integers(0, 20, 50)
    pt = rng.exponential(size=counts.sum()).astype(np.float32)
    keep, left = keep_hardest(pt, counts, 7)
    np.testing.assert_array_equal(left, np.minimum(counts, 7))
    for jet, flags in zip(np.split(pt, np.cumsum(counts)[:-1]), np.split(keep, np.cumsum(counts)[:-1]), strict=True):
        assert set(jet[flags]) == set(np.sort(jet)[::-1][:7])


def test_keep_hardest_takes_the_first_of_equal_ones() -> None:
    keep, left = keep_hardest(np.ones(5, np.float32), np.array([5]), 2)
    assert keep.tolist() == [True, True, False, False, False]
    assert left.tolist() == [2]


def test_later_numbers_decide_among_equal_ones() -> None:
    keep, _ = keep_hardest(np.array([[1, 1, 1, 2], [0, 5, 3, -9]], np.float32), np.array([4]), 2)
    assert keep.tolist() == [False, True, False, True]
