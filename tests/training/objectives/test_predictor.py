"""The predictor: its operations against torch's own count."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from training.objectives.predictor import Predictor, PredictorConfig


@pytest.mark.parametrize(("visible", "hidden"), [(12, 5), (3, 9)])
def test_operations_are_torchs(visible: int, hidden: int) -> None:
    predictor = Predictor(PredictorConfig(dim=24, heads=4, blocks=2), 16, 7)
    inputs = (
        torch.randn(3, visible, 16),
        torch.ones(3, visible, dtype=torch.bool),
        torch.randn(3, hidden, 7),
        torch.ones(3, hidden, dtype=torch.bool),
    )
    with FlopCounterMode(display=False) as counter:
        predictor.embedding(predictor(*inputs))
    assert counter.get_total_flops() / (3 * 2 * predictor.macs(visible, hidden)) == pytest.approx(1, rel=0.02)
