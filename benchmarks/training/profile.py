"""What bounds a step of training, in the words of the profiler."""

from __future__ import annotations

from collections.abc import Callable

import torch

KINDS = {
    "attention": ("fmha", "attention", "flash", "efficient"),
    "matrix products": ("gemm", "nvjet", "cutlass", "cublas", "sm90_xmma", "xmma", "splitk", "mm", "linear"),
    "optimiser": ("multi_tensor", "adam", "lerp"),
    "fused elementwise": ("triton",),
    "softmax": ("softmax",),
    "norms": ("norm",),
    "GELU": ("gelu",),
    "sort, gather, copy": ("sort", "gather", "scatter", "index", "copy", "cat"),
}
"""Words in the names of GPU kernels and of PyTorch's operations on a CPU."""


def kernels(step: Callable[[int], None], count: int, device: torch.device) -> dict[str, float]:
    """Share of the device's time in each kind of kernel (on a CPU: operation), and the longest single ones.

    Parameters
    ----------
    step
        Trains on a batch of that number.
    count
        Batches.
    device
        Where it runs.

    Returns
    -------
    dict
        Kind, and name of single kernels, to share.
    """
    on_gpu = device.type == "cuda"
    activity = torch.profiler.ProfilerActivity.CUDA if on_gpu else torch.profiler.ProfilerActivity.CPU
    with torch.profiler.profile(activities=[activity]) as profile:
        for i in range(count):
            step(i)
        if on_gpu:
            torch.cuda.synchronize(device)
    events = [
        (event.key, float(event.self_device_time_total if on_gpu else event.self_cpu_time_total))
        for event in profile.key_averages()
    ]
    shares: dict[str, float] = {}
    total = sum(spent for _, spent in events) or 1.0
    for name, spent in events:
        low = name.lower()
        kind = next((kind for kind, words in KINDS.items() if any(word in low for word in words)), "other")
        shares[kind] = shares.get(kind, 0.0) + spent / total
    shares = dict(sorted(shares.items(), key=lambda item: -item[1]))
    for name, spent in sorted(events, key=lambda event: -event[1])[:12]:
        shares[f"  {name[:90]}"] = spent / total
    return {name: round(share, 4) for name, share in shares.items()}
