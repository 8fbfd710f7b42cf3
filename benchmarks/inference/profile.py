"""Where a session spends its time: ONNX Runtime's own profile of the micro-batches that an encoder runs."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import onnxruntime

from benchmarks.inference.setup import Arrays
from jepa_coffea.encoder import OnnxEncoder
from jepa_coffea.encoder.session import session_options

PRODUCTS = ("MatMul", "Gemm", "FusedMatMul", "MatMulInteger", "DynamicQuantizeMatMul", "MatMulIntegerToFloat")
"""Kinds of nodes that multiply matrices, as ONNX Runtime calls them after its optimisations."""


def profile(path: Path, arrays: Arrays) -> dict[str, Any]:
    """Seconds of each kind of node, the most expensive first, when the file embeds these jets on the CPU.

    Parameters
    ----------
    path
        The ONNX file.
    arrays
        The jets: particles [sum(counts), field], counts [jet], axes [jet, 4] (GeV).

    Returns
    -------
    dict
        ``seconds`` by kind of node; ``products``, those of the matrix products together; ``total``.
    """
    with tempfile.TemporaryDirectory() as folder:
        settings = session_options()
        settings.enable_profiling = True
        settings.profile_file_prefix = f"{folder}/profile"
        session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
        encoder = OnnxEncoder(path, provider="cpu")
        encoder.model = dataclasses.replace(encoder.model, session=session, idle=[])
        encoder(*arrays)
        events = json.loads(Path(session.end_profiling()).read_text())
    seconds: dict[str, float] = defaultdict(float)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            seconds[event["args"]["op_name"]] += event["dur"] * 1e-6
    return {
        "seconds": dict(sorted(seconds.items(), key=lambda item: -item[1])),
        "products": sum(value for kind, value in seconds.items() if kind in PRODUCTS),
        "total": sum(seconds.values()),
    }
