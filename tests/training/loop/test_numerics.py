"""bf16 only where it is fast."""

import pytest
import torch

from training.loop.numerics import precision_on


def test_what_is_asked_for_is_done() -> None:
    assert precision_on(torch.device("cpu"), "fp32") == "fp32"
    assert precision_on(torch.device("cpu"), "bf16") == "bf16"


@pytest.mark.parametrize("avx", [False, True])
@pytest.mark.parametrize("amx", [False, True])
def test_a_cpu_without_bf16_uses_fp32(monkeypatch: pytest.MonkeyPatch, avx: bool, amx: bool) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert precision_on(torch.device("cpu"), "auto") == ("bf16" if avx or amx else "fp32")
