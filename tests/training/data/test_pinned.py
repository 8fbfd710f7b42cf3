"""Page-locked memory: where the process uses a GPU, and nowhere else."""

import pytest
import torch

from tests.training.data.test_loader import Configure
from training.data.loader import make_loader


def test_a_gpu_that_is_not_used_is_left_alone(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    reader = make_loader(configure()).reader
    assert not reader.pin
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    assert reader.pin
