"""The numbers of a run: its seeds and random generators, its precision, and how fast a device multiplies."""

from __future__ import annotations

import os
import random
import time
from typing import Any, Literal

import numpy as np
import torch

DATASHEET = {
    "A100": 312e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "H200": 989e12,
    "L40S": 362e12,
    "B200": 2250e12,
}
"""Dense floating-point operations per second in bf16, from NVIDIA's datasheets; the first name that fits counts."""


def seed_everything(seed: int) -> None:
    """Seed torch (all devices), numpy's global generator and Python's.

    Parameters
    ----------
    seed
        Any integer from 0.
    """
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  libraries draw from the global generator
    random.seed(seed)


def make_deterministic() -> None:
    """Refuse operations without a deterministic implementation; the same run then gives the same bits."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False


def random_state() -> dict[str, Any]:
    """State of every random generator.

    Returns
    -------
    dict
        Tensors and plain Python values, which ``weights_only`` loading accepts.
    """
    numpy = np.random.get_state(legacy=False)  # noqa: NPY002
    assert isinstance(numpy, dict)
    version, internal, gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None,
        "numpy": {
            "bit_generator": numpy["bit_generator"],
            "state": {"key": numpy["state"]["key"].tolist(), "pos": int(numpy["state"]["pos"])},
            "has_gauss": int(numpy["has_gauss"]),
            "gauss": float(numpy["gauss"]),
        },
        "python": [version, list(internal), gauss],
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Put every random generator back to the moment of :func:`random_state`.

    Parameters
    ----------
    state
        What :func:`random_state` gave.
    """
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
    numpy = state["numpy"]
    key = np.array(numpy["state"]["key"], dtype=np.uint32)
    np.random.set_state({**numpy, "state": {**numpy["state"], "key": key}})  # noqa: NPY002
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))


def precision_on(device: torch.device, precision: Literal["auto", "fp32", "bf16"]) -> Literal["fp32", "bf16"]:
    """Which numbers a run multiplies on a device.

    Parameters
    ----------
    device
        Where the run trains.
    precision
        What the configuration says; ``auto`` is bf16 where the device multiplies it in hardware (a CPU that emulates
        it is several times slower).

    Returns
    -------
    str
        ``fp32`` or ``bf16``.
    """
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16" if fast else "fp32"


def peak_flops(device: torch.device, precision: Literal["fp32", "bf16"]) -> float:
    """Floating-point operations per second that a device can do.

    Parameters
    ----------
    device
        Where the run trains.
    precision
        What it multiplies.

    Returns
    -------
    float
        The datasheet's value (``DATASHEET``) where there is one, else the best of a few large matrix products.
    """
    if device.type == "cuda" and precision == "bf16":
        name = torch.cuda.get_device_name(device)
        for part, value in DATASHEET.items():
            if part in name:
                return value
    size = 4096 if device.type == "cuda" else 512
    a = torch.ones(size, size, device=device, dtype=torch.bfloat16 if precision == "bf16" else torch.float32)
    best = 0.0
    for _ in range(5):
        start = time.perf_counter()
        float((a @ a)[0, 0])
        best = max(best, 2 * size**3 / (time.perf_counter() - start))
    return best
