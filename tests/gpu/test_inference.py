"""ONNX files on CUDA against the same files on the CPU, on real and on odd jets."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.inference.setup import Arrays, file_jets, real_multiplicities
from jepa_coffea.encoder import OnnxEncoder
from jepa_coffea.encoder.model_files import shipped
from tests.gpu.conftest import REHEARSAL

ROOT = Path(__file__).parents[2]

TOLERANCE = {"fp32": 1e-4, "fp16": 2e-2, "int8": 5e-2}
"""Largest difference over the largest value."""


def odd_jets() -> Arrays:
    """Jets of 0, 1, 128 and 10 000 particles, one with a NaN, and usual ones around them."""
    counts = np.array([40, 0, 1, 128, 10_000, 30, 0, 55])
    flat, _, _ = real_multiplicities(-(-int(counts.sum()) // 25))
    particles = flat[: counts.sum()].copy()
    owner = np.repeat(np.arange(len(counts)), counts)
    jets = np.zeros((len(counts), 4), np.float32)
    np.add.at(jets, owner, particles[:, :4])
    particles[np.flatnonzero(owner == 5)[3], 0] = np.nan
    return particles, counts, jets


def samples() -> dict[str, Arrays]:
    return {
        "real": file_jets(ROOT / "tests" / "data" / "jetclass_vectors.root", 512),
        "odd": odd_jets(),
        "many": real_multiplicities(4096),
    }


def difference(got: np.ndarray, expected: np.ndarray) -> float:
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
    return float(np.nanmax(np.abs(got - expected)) / np.nanmax(np.abs(expected)))


@pytest.mark.parametrize("graphs", [False, True], ids=["bound", "graphs"])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_as_on_the_cpu(precision: str, graphs: bool, models: dict[str, Path], provider: str) -> None:
    if graphs and REHEARSAL:
        pytest.skip("CUDA graphs need CUDA")
    there = OnnxEncoder(models[precision], provider=provider, cuda_graphs=graphs)
    here = OnnxEncoder(models["fp32"], provider="cpu")
    for name, sample in samples().items():
        expected = here(*sample)["embedding"]
        for attempt in range(2):  # a captured graph is replayed the second time
            got = difference(there(*sample)["embedding"], expected)
            assert got < TOLERANCE[precision], f"{name}, call {attempt}: {got}"
    assert there.metrics()["provider"] == provider
    assert np.isnan(there(*odd_jets())["embedding"]).all(1).tolist() == [False, True, *[False] * 3, True, True, False]


def test_int8_files_are_right_there_too(models: dict[str, Path], provider: str) -> None:
    sample = samples()["real"]
    expected = OnnxEncoder(models["int8"], provider="cpu")(*sample)["embedding"]
    got = OnnxEncoder(models["int8"], provider=provider)(*sample)["embedding"]
    assert difference(got, expected) < TOLERANCE["int8"]


def test_results_do_not_depend_on_the_company(models: dict[str, Path], provider: str) -> None:
    encoder = OnnxEncoder(models["fp32"], provider=provider)
    flat, counts, jets = real_multiplicities(300)
    together = encoder(flat, counts, jets)["embedding"]
    alone = encoder(flat[: counts[0]], counts[:1], jets[:1])["embedding"]
    assert difference(together[:1], alone) < 1e-4


@pytest.mark.parametrize("name", sorted(shipped()))
def test_the_shipped_models_do_what_they_did(provider: str, name: str) -> None:
    from jepa_coffea.encoder.self_test import validate

    for agreement in validate(OnnxEncoder(shipped()[name], provider=provider)):
        assert agreement.passed, agreement


def test_cuda_that_is_not_there_is_refused(models: dict[str, Path], provider: str) -> None:
    code = f"from jepa_coffea.encoder import OnnxEncoder; OnnxEncoder({str(models['fp32'])!r}, provider='cuda')"
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": os.pathsep.join(["", *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment, cwd=ROOT
    )
    assert done.returncode != 0
    assert "ProviderError" in done.stderr or "ModelError" in done.stderr, done.stderr
    assert provider == "cpu" or "no visible GPU" in done.stderr, done.stderr
