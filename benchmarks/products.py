"""The fastest matrix products that libraries reach on this machine: the limit that a model is held against.

No library is the fastest everywhere: on processors with AVX-512, ONNX Runtime multiplies two to five times faster than
PyTorch. A share "of the limit" means something only against the best of them, measured in the same run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Shape = tuple[int, int, int]

SHAPES: tuple[Shape, ...] = ((1024, 1024, 1024), (2048, 2048, 2048))
"""m, k, n of products that fill a few cores."""

GPU_SHAPES: tuple[Shape, ...] = ((8192, 8192, 8192),)
"""The same for a GPU."""

ROUNDS = 4
"""Short stretches of which the fastest counts: others may use the machine."""


def product_rates(
    device: str = "cpu",
    dtype: str = "float32",
    *,
    shapes: Sequence[Shape] | None = None,
    threads: int | None = None,
    seconds: float = 4.0,
) -> dict[str, float]:
    """Measure the fastest matrix product of each library.

    Parameters
    ----------
    device
        ``cpu`` or ``cuda``.
    dtype
        ``float32``, ``float16`` or ``bfloat16``. NumPy and ONNX Runtime are asked only for fp32 on the CPU.
    shapes
        (m, k, n) of the products [m, k] x [k, n]; by default large ones.
    threads
        CPU threads for PyTorch and ONNX Runtime; by default as many as they like. NumPy's library takes its number
        from the environment.
    seconds
        For all measurements together, about.

    Returns
    -------
    dict
        Library to FLOP/s (2 m k n a product), for those that are installed.
    """
    chosen = shapes or (GPU_SHAPES if device == "cuda" else SHAPES)
    makers: dict[str, Callable[..., Callable[[], Any]]] = {"torch": _torch}
    if device == "cpu" and dtype == "float32":
        makers |= {"numpy": _numpy, "onnxruntime": _onnxruntime}
    stretch = seconds / (len(makers) * len(chosen) * ROUNDS)
    found: dict[str, float] = {}
    for library, maker in makers.items():
        try:
            products = [maker(shape, device, dtype, threads) for shape in chosen]
        except ImportError:
            continue
        found[library] = max(
            2.0 * m * k * n * _rate(product, stretch) for (m, k, n), product in zip(chosen, products, strict=True)
        )
    return found


def _rate(product: Callable[[], Any], stretch: float) -> float:
    """Products per second, in the best of some stretches."""
    product()
    best = 0.0
    for _ in range(ROUNDS):
        done, start = 0, time.perf_counter()
        while (spent := time.perf_counter() - start) < stretch or not done:
            product()
            done += 1
        best = max(best, done / spent)
    return best


def _numpy(shape: Shape, device: str, dtype: str, threads: int | None) -> Callable[[], Any]:  # noqa: ARG001
    m, k, n = shape
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((m, k), dtype=np.float32), rng.standard_normal((k, n), dtype=np.float32)
    out = np.empty((m, n), np.float32)
    return lambda: np.matmul(a, b, out=out)


def _torch(shape: Shape, device: str, dtype: str, threads: int | None) -> Callable[[], Any]:
    import torch

    if threads is not None and device == "cpu":
        torch.set_num_threads(threads)
    m, k, n = shape
    kind = getattr(torch, dtype)
    a, b = torch.randn(m, k, dtype=kind, device=device), torch.randn(k, n, dtype=kind, device=device)
    out = torch.empty(m, n, dtype=kind, device=device)

    def product() -> None:
        torch.matmul(a, b, out=out)
        if device == "cuda":
            torch.cuda.synchronize()

    return product


def _onnxruntime(shape: Shape, device: str, dtype: str, threads: int | None) -> Callable[[], Any]:  # noqa: ARG001
    """The right factor is a constant, as weights are: ONNX Runtime packs it once."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    m, k, n = shape
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((m, k), dtype=np.float32), rng.standard_normal((k, n), dtype=np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["a", "b"], ["c"])],
        "product",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, (m, k))],
        [helper.make_tensor_value_info("c", TensorProto.FLOAT, (m, n))],
        [numpy_helper.from_array(b, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"a": a})
