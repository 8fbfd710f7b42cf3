"""onnxruntime-gpu on a machine without CUDA: it lists CUDA and takes the CPU; we must not."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from jepa_coffea.encoder import OnnxEncoder, providers
from jepa_coffea.encoder.providers import ProviderError
from jepa_coffea.errors import ModelError
from tests.encoder.tiny import random_jets, tiny_embedding, write_tiny

pytestmark = pytest.mark.skipif(providers.gpu_count() > 0, reason="this machine has a GPU: nothing falls back")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "tiny.onnx")


def test_the_trap_is_there(path: Path) -> None:
    assert "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    session = onnxruntime.InferenceSession(str(path), providers=["CUDAExecutionProvider", "CPUExecutionProvider"])
    assert session.get_providers()[0] == "CPUExecutionProvider"


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_asked_and_not_got_is_an_error_that_says_how_to_mend_it(provider: str, path: Path) -> None:
    with pytest.raises((ProviderError, ModelError)) as caught:
        OnnxEncoder(path, provider=provider)
    text = str(caught.value)
    for part in (provider, "no NVIDIA driver", "CUDA 13", "cuDNN 9", "onnxruntime-gpu[cuda,cudnn]", "preload_dlls"):
        assert part in text


def test_auto_takes_the_cpu_and_says_so(path: Path) -> None:
    encoder = OnnxEncoder(path)
    jets = random_jets(np.random.default_rng(0), np.arange(1, 50))
    expected = tiny_embedding(*jets)
    np.testing.assert_allclose(encoder(*jets)["embedding"], expected, atol=2e-6 * np.abs(expected).max())
    assert encoder.metrics()["provider"] == "cpu"


def test_auto_is_quiet(path: Path) -> None:
    script = f"from jepa_coffea.encoder import OnnxEncoder; OnnxEncoder({str(path)!r})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout + done.stderr == ""
