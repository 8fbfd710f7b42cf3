"""Which numbers a run multiplies."""

from __future__ import annotations

from typing import Literal

import torch


def resolve(precision: Literal["auto", "fp32", "bf16"], device: torch.device) -> Literal["fp32", "bf16"]:
    """``auto`` is bf16 where the device multiplies it in hardware: a CPU that emulates it is several times slower."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16" if fast else "fp32"
