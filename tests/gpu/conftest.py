"""Tests that need a GPU; `pytest -m gpu`. REHEARSE=1 runs them on a CPU, to see that they run at all."""

import os
from pathlib import Path

import pytest
import torch

from benchmarks.inference.setup import model_file, prepare
from jepa_coffea.encoder.providers import ProviderError, choose

REHEARSAL = os.environ.get("REHEARSE") == "1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.gpu)
            # They run where a machine's own versions warn of things that are not ours to mend.
            item.add_marker(pytest.mark.filterwarnings("default"))


@pytest.fixture(scope="session")
def device() -> torch.device:
    """Where trainings run."""
    if REHEARSAL:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        pytest.skip("torch sees no CUDA device here")
    return torch.device("cuda", 0)


@pytest.fixture(scope="session")
def provider() -> str:
    """Where ONNX files run."""
    if REHEARSAL:
        return "cpu"
    try:
        found = choose("auto")
    except ProviderError as error:
        pytest.skip(f"ONNX Runtime: {error}")
    if found != "cuda":
        pytest.skip("onnxruntime-gpu is not there, or sees no CUDA device")
    return found


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The small encoder with random weights, in each precision."""
    folder = tmp_path_factory.mktemp("models")
    prepare("mini", folder, ("fp16", "int8"))
    return {precision: model_file(folder, "mini", precision) for precision in ("fp32", "fp16", "int8")}
