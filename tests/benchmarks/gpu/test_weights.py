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


def test_only_the_encoder_that_is_exported_in_half_precision(tmp_path: Path) -> None:
    weights = {"target.w": torch.ones(2), "encoder.w": torch.zeros(2), "predictor.w": torch.zeros(2)}
    torch.save({"format": 1, "step": 3, "config": {}, "objective": weights}, tmp_path / "whole.pt")
    keep_weights(tmp_path / "whole.pt", tmp_path / "weights.pt", encoder=True, half=True)
    kept = torch.load(tmp_path / "weights.pt", weights_only=True)["objective"]
    assert list(kept) == ["target.w"]
    assert kept["target.w"].dtype == torch.float16
