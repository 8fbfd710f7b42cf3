"""Cutting windows into batches: no jet lost, sizes, budgets, carried jets."""

import numpy as np
import pytest

from training.data.batching import carried_rows, cut_window, padded

COUNTS = np.clip(np.random.default_rng(0).normal(45, 20, 5000), 1, 300).astype(np.int64)
SETTINGS = {"batch_size": 128, "tokens": None, "bucketed": True, "max_particles": 128, "last": False}


def test_padded_length() -> None:
    assert padded(np.asarray([0, 1, 16, 17, 128, 300]), 128).tolist() == [16, 16, 16, 32, 128, 128]


@pytest.mark.parametrize("waiting", [0, 100])
@pytest.mark.parametrize("changes", [{}, {"last": True}, {"bucketed": False}, {"tokens": 8192}, {"batch_size": 9999}])
def test_every_jet_is_in_one_batch_or_carried(changes: dict, waiting: int) -> None:
    cut = cut_window(COUNTS, waiting, (1,), **(SETTINGS | changes))
    assert np.array_equal(np.sort(np.concatenate([*cut.batches, cut.carried])), np.arange(5000))
    for rows, length in zip(cut.batches, cut.lengths, strict=True):
        assert length == padded(COUNTS[rows], 128).max()


def test_full_batches_but_for_the_last_window() -> None:
    cut = cut_window(COUNTS, 0, (1,), **SETTINGS)
    assert {len(rows) for rows in cut.batches} == {128}
    assert len(cut.carried) == 5000 % 128
    last = [len(rows) for rows in cut_window(COUNTS, 0, (1,), **(SETTINGS | {"last": True})).batches]
    assert len(last) == 40
    assert max(last) - min(last) <= 1


def test_carried_jets_can_be_found_without_the_window_before() -> None:
    """That is what makes resuming cheap: they depend on the window's seed and on their number only."""
    cut = cut_window(COUNTS, 56, (7,), **SETTINGS)
    again = 56 + carried_rows(4944, len(cut.carried), np.random.default_rng((7,)))
    assert np.array_equal(cut.carried, again)
    # and are a fair sample: not those of one multiplicity
    many = np.concatenate([COUNTS[cut_window(COUNTS, 0, (seed,), **SETTINGS).carried] for seed in range(200)])
    assert abs(many.mean() - COUNTS.mean()) < 4 * COUNTS.std() / np.sqrt(len(many))


def test_buckets_save_padding_and_mixed_batches_are_fair() -> None:
    def use(bucketed: bool) -> float:
        cut = cut_window(COUNTS, 0, (1,), **(SETTINGS | {"bucketed": bucketed}))
        tokens = sum(np.minimum(COUNTS[rows], 128).sum() for rows in cut.batches)
        return tokens / sum(len(rows) * length for rows, length in zip(cut.batches, cut.lengths, strict=True))

    assert use(True) > 0.82
    assert use(False) < 0.45
    mixed = cut_window(COUNTS, 0, (1,), **(SETTINGS | {"bucketed": False}))
    means = np.asarray([COUNTS[rows].mean() for rows in mixed.batches])
    assert means.std() == pytest.approx(COUNTS.std() / np.sqrt(128), rel=0.4)


@pytest.mark.parametrize("tokens", [2048, 8192, 100_000])
def test_budget_is_kept_and_used(tokens: int) -> None:
    cut = cut_window(COUNTS, 0, (1,), **(SETTINGS | {"tokens": tokens}))
    used = [len(rows) * length for rows, length in zip(cut.batches, cut.lengths, strict=True)]
    assert max(used) <= tokens
    assert np.mean(used) > 0.7 * tokens
    assert len(cut.carried) == 0
