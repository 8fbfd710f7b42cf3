"""Slices of a batch: every jet once, whole, with little padding."""

import pytest
import torch

from training.models import slices as module
from training.models.slices import slices


def test_every_jet_once_and_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOKENS", 100)
    counts = torch.randint(0, 65, (50,), generator=torch.Generator().manual_seed(0))
    mask = torch.arange(64) < counts.unsqueeze(1)
    parts = slices(mask)
    assert sorted(torch.cat([rows for rows, _ in parts]).tolist()) == list(range(50))
    assert len(parts) == int(counts.sum()) // 100
    for rows, length in parts:
        assert length == max(1, int(counts[rows].max()))
    padded = sum(len(rows) * length for rows, length in parts)
    assert counts.sum() <= padded < 1.15 * counts.sum()


@pytest.mark.parametrize("counts", [[0], [3], [0, 0, 0], [64, 64]])
def test_small_batches_stay_whole(counts: list[int]) -> None:
    (part,) = slices(torch.arange(64) < torch.tensor(counts).unsqueeze(1))
    assert sorted(part.rows.tolist()) == list(range(len(counts)))
    assert part.length == max(1, *counts)
