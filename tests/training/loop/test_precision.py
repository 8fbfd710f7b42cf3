"""bf16 only where it is fast."""

import pytest
import torch

from training.loop.precision import resolve


def test_what_is_asked_for_is_done() -> None:
    assert resolve("fp32", torch.device("cpu")) == "fp32"
    assert resolve("bf16", torch.device("cpu")) == "bf16"


@pytest.mark.parametrize("avx", [False, True])
@pytest.mark.parametrize("amx", [False, True])
def test_a_cpu_without_bf16_uses_fp32(monkeypatch: pytest.MonkeyPatch, avx: bool, amx: bool) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert resolve("auto", torch.device("cpu")) == ("bf16" if avx or amx else "fp32")
