from pathlib import Path

import torch

from benchmarks.gpu.weights import keep_weights


def test_the_optimiser_stays_behind(tmp_path: Path) -> None:
    whole = {"format": 1, "step": 3, "config": {"name": "a"}, "objective": {"w": torch.ones(2)}, "optimiser": {"m": 1}}
    torch.save(whole, tmp_path / "whole.pt")
    keep_weights(tmp_path / "whole.pt", tmp_path / "weights.pt")
    content = torch.load(tmp_path / "weights.pt", weights_only=True)
    assert set(content) == {"format", "step", "config", "objective"}
    assert content["objective"]["w"].tolist() == [1, 1]
