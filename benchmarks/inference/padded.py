"""What users do today: whole batches of jets padded to 128 particles, through torch or ONNX Runtime."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnxruntime

from benchmarks.inference.measure import repeated
from benchmarks.inference.setup import SHOWN, Arrays, encoder_of, model_file

BATCH = {"cpu": 64, "cuda": 2048}
"""Jets that they run at a time."""


def padded(arrays: Arrays, first: int, last: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Jets as [jet, 128, field], mask and four-momenta.

    Parameters
    ----------
    arrays
        The jets: particles [sum(counts), field], counts [jet], axes [jet, 4] (GeV).
    first
        The first jet.
    last
        The one after the last.

    Returns
    -------
    tuple
        Particles [jet, 128, field], mask [jet, 128], axes [jet, 4].
    """
    flat, counts, axes = arrays
    particles = np.zeros((last - first, 128, flat.shape[1]), np.float32)
    mask = np.arange(128) < counts[first:last, None]
    start = int(counts[:first].sum())
    particles[mask] = flat[start : start + int(counts[first:last].sum())]
    return particles, mask, axes[first:last]


def torch_padded(size: str, arrays: Arrays, provider: str, seconds: float) -> dict[str, Any]:
    """coffea's wrapper of a TorchScript file; plain torch on a GPU machine, where coffea need not be.

    Parameters
    ----------
    size
        Of the encoder: one of ``SIZES``.
    arrays
        The jets: particles [sum(counts), field], counts [jet], axes [jet, 4] (GeV).
    provider
        ``cpu`` or ``cuda``.
    seconds
        To time for.

    Returns
    -------
    dict
        ``jets_per_second``, ``padding``, ``embedding`` of the first jets.
    """
    import torch

    encoder = encoder_of(size)
    call: Callable[..., np.ndarray]
    if provider == "cpu":
        import awkward as ak
        from coffea.ml_tools.torch_wrapper import torch_wrapper

        class Wrapper(torch_wrapper):
            def prepare_awkward(self, *columns: ak.Array) -> tuple[tuple[ak.Array, ...], dict[str, Any]]:
                return columns, {}

        class Embedding(torch.nn.Module):
            def forward(self, particles: torch.Tensor, mask: torch.Tensor, jets: torch.Tensor) -> torch.Tensor:
                return encoder(particles, mask, jets).jet

            def __init__(self) -> None:
                super().__init__()
                self.encoder = encoder

        inputs = tuple(map(torch.from_numpy, padded(arrays, 0, 2)))
        # Autograd functions cannot be traced; the branch for exporting has none.
        with torch.no_grad(), mock.patch("torch.compiler.is_exporting", return_value=True):
            traced = torch.jit.trace(Embedding(), inputs, check_trace=False)
        with tempfile.NamedTemporaryFile(suffix=".pt") as file:
            torch.jit.save(traced, file.name)
            wrapper = Wrapper(file.name)
            _ = wrapper.model

        def call(*columns: np.ndarray) -> np.ndarray:
            return np.asarray(wrapper(*(ak.from_numpy(column) for column in columns)))
    else:
        encoder = encoder.to(provider)

        def call(*columns: np.ndarray) -> np.ndarray:
            with torch.no_grad():
                inputs = (torch.from_numpy(column).to(provider) for column in columns)
                return encoder(*inputs).jet.cpu().numpy()

    return in_batches(call, arrays, provider, seconds)


def ort_padded(size: str, folder: Path, arrays: Arrays, provider: str, threads: int, seconds: float) -> dict[str, Any]:
    """ONNX Runtime with its defaults, but for the number of threads.

    Parameters
    ----------
    size
        Of the encoder: one of ``SIZES``.
    folder
        Where the files are.
    arrays
        The jets: particles [sum(counts), field], counts [jet], axes [jet, 4] (GeV).
    provider
        ``cpu`` or ``cuda``.
    threads
        CPU threads.
    seconds
        To time for.

    Returns
    -------
    dict
        ``jets_per_second``, ``padding``, ``embedding`` of the first jets.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    name = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}[provider]
    if provider == "cuda":
        onnxruntime.preload_dlls()
    session = onnxruntime.InferenceSession(str(model_file(folder, size, "fp32")), options, providers=[name])
    assert session.get_providers()[0] == name

    def _call(*columns: np.ndarray) -> np.ndarray:
        return session.run(["embedding"], dict(zip(("particles", "mask", "jets"), columns, strict=True)))[0]

    return in_batches(_call, arrays, provider, seconds)


def in_batches(call: Callable[..., np.ndarray], arrays: Arrays, provider: str, seconds: float) -> dict[str, Any]:
    """Time a function of padded arrays.

    Parameters
    ----------
    call
        From particles, mask and axes to embeddings.
    arrays
        The jets: particles [sum(counts), field], counts [jet], axes [jet, 4] (GeV).
    provider
        ``cpu`` or ``cuda``.
    seconds
        To time for.

    Returns
    -------
    dict
        ``jets_per_second``, ``padding``, ``embedding`` of the first jets.
    """
    batch = min(BATCH[provider], len(arrays[1]))
    position = 0

    def _run() -> int:
        nonlocal position
        first = position % (len(arrays[1]) - batch + 1)
        call(*padded(arrays, first, first + batch))
        position += batch
        return batch

    speed = repeated(_run, seconds)
    slots = 128 * len(arrays[1])
    shown = call(*padded(arrays, 0, SHOWN))
    return {"jets_per_second": speed, "padding": slots / float(arrays[1].sum()) - 1, "embedding": shown.tolist()}
