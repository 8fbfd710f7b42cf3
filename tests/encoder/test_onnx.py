"""OnnxEncoder: right numbers in the right order, whatever the batches, and bad jets handled or refused."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from jepa_coffea.encoder import OnnxEncoder, engine
from jepa_coffea.encoder.batching import Budget
from jepa_coffea.encoder.providers import ProviderError
from jepa_coffea.errors import ModelError
from tests.encoder.tiny import random_jets, tiny_embedding, tiny_tokens, weights, write_tiny

Jets = tuple[np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("model") / "tiny.onnx", classes=("QCD", "Hbb"))


@pytest.fixture(scope="module")
def jets() -> Jets:
    rng = np.random.default_rng(0)
    return random_jets(rng, np.concatenate([rng.integers(1, 128, 200), [1, 2, 128]]))


def close(a: np.ndarray, b: np.ndarray) -> None:
    np.testing.assert_allclose(a, b, rtol=0, atol=2e-6 * np.nanmax(np.abs(b)))


def test_against_numpy(path: Path, jets: Jets) -> None:
    out = OnnxEncoder(path, provider="cpu")(*jets)
    expected = tiny_embedding(*jets)
    close(out["embedding"], expected)
    close(out["logits"], expected @ weights(14, 8, 2)["c"])
    assert {value.dtype for value in out.values()} == {np.dtype(np.float32)}


def test_order_and_chunks_change_rounding_only(path: Path, jets: Jets) -> None:
    encoder = OnnxEncoder(path, provider="cpu")
    flat, counts, axes = jets
    whole = encoder(*jets)["embedding"]
    order = np.random.default_rng(1).permutation(len(counts))
    rows = np.split(flat, np.cumsum(counts)[:-1])
    close(encoder(np.concatenate([rows[i] for i in order]), counts[order], axes[order])["embedding"], whole[order])
    cut, row = 37, counts[:37].sum()
    parts = [encoder(flat[:row], counts[:cut], axes[:cut]), encoder(flat[row:], counts[cut:], axes[cut:])]
    close(np.concatenate([part["embedding"] for part in parts]), whole)


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("budget", [Budget(64, 1000, 1), Budget(10**6, 10**9, 32)])
def test_threads_and_budget_change_rounding_only(
    path: Path, jets: Jets, threads: int, budget: Budget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(engine.BUDGETS, "cpu", budget)
    close(OnnxEncoder(path, provider="cpu", threads=threads)(*jets)["embedding"], tiny_embedding(*jets))


def test_metrics(path: Path, jets: Jets) -> None:
    encoder = OnnxEncoder(path, provider="cpu")
    before = encoder.metrics()
    assert before["jets"] == before["batches"] == 0
    encoder(*jets)
    encoder(*jets)
    after = encoder.metrics()
    assert after["jets"] == 2 * len(jets[1])
    assert after["particles"] == 2 * jets[1].sum()
    assert 0 < after["padding"] < 0.2 * after["particles"]
    assert 0 < after["session_seconds"] < after["seconds"]
    assert after["provider"] == "cpu"


def test_no_jets(path: Path) -> None:
    out = OnnxEncoder(path, provider="cpu")(np.zeros((0, 14)), np.zeros(0, int), np.zeros((0, 4)))
    assert out["embedding"].shape == (0, 8)
    assert out["logits"].shape == (0, 2)


def test_empty_and_non_finite_jets_are_nan_and_counted(path: Path) -> None:
    flat, counts, axes = random_jets(np.random.default_rng(2), np.array([5, 0, 1, 7, 0, 3]))
    flat[counts[:3].sum() + 2, 12] = np.nan
    axes[5, 3] = np.inf
    encoder = OnnxEncoder(path, provider="cpu")
    out = encoder(flat, counts, axes)["embedding"]
    assert np.isnan(out).all(axis=1).tolist() == [False, True, False, True, True, True]
    close(out[[0, 2]], tiny_embedding(flat, counts, axes)[[0, 2]])
    assert (encoder.metrics()["empty"], encoder.metrics()["non_finite"]) == (2, 2)


def test_beyond_float32_is_non_finite(path: Path) -> None:
    flat, counts, axes = random_jets(np.random.default_rng(2), np.array([2, 2]))
    large = flat.astype(float)
    large[0, 0] = 1e300
    assert np.isnan(OnnxEncoder(path, provider="cpu")(large, counts, axes)["embedding"]).any(axis=1).tolist() == [
        True,
        False,
    ]


def test_too_many_particles_keeps_the_hardest(path: Path) -> None:
    flat, counts, axes = random_jets(np.random.default_rng(3), np.array([10_000, 4, 129]))
    encoder = OnnxEncoder(path, provider="cpu")
    rows = np.concatenate([np.arange(128), 10_000 + np.arange(4), 10_004 + np.arange(128)])
    expected = tiny_embedding(flat[rows], np.array([128, 4, 128]), axes)
    close(encoder(flat, counts, axes)["embedding"], expected)
    assert encoder.metrics()["truncated"] == 2
    shuffled = np.concatenate([np.random.default_rng(4).permutation(10_000), np.arange(10_000, 10_133)])
    close(encoder(flat[shuffled], counts, axes)["embedding"], expected)


@pytest.mark.parametrize("threads", [1, 3])
def test_particle_embeddings_come_in_the_order_of_the_particles(tmp_path: Path, threads: int) -> None:
    path = write_tiny(tmp_path / "tokens.onnx", particle_embedding=True, max_particles=40)
    counts = np.random.default_rng(5).permutation(np.concatenate([np.arange(60), [3, 3, 0]]))
    flat, counts, axes = random_jets(np.random.default_rng(6), counts)
    starts = np.cumsum(counts) - counts
    broken = int(np.flatnonzero(counts == 7)[0])
    flat[starts[broken] + 2, 0] = np.inf
    out = OnnxEncoder(path, provider="cpu", particle_embedding=True, threads=threads)(flat, counts, axes)
    expected = tiny_tokens(flat)
    for jet, (start, count) in enumerate(zip(starts, counts, strict=True)):
        expected[start + 40 : start + count] = np.nan  # in descending pT: these are the softest
        if jet == broken:
            expected[start : start + count] = np.nan
    assert out["particle_embedding"].dtype == np.float32
    np.testing.assert_allclose(out["particle_embedding"], expected, atol=1e-5)
    assert "particle_embedding" not in OnnxEncoder(path, provider="cpu")(flat, counts, axes)


def test_particle_embeddings_that_the_file_lacks(path: Path) -> None:
    with pytest.raises(ModelError, match="has no particle embeddings; export it again with --particle-embedding"):
        OnnxEncoder(path, provider="cpu", particle_embedding=True)


def test_other_numeric_types_are_converted(path: Path, jets: Jets) -> None:
    flat, counts, axes = jets
    out = OnnxEncoder(path, provider="cpu")(flat.astype(float), counts.astype(np.uint8), axes.tolist())
    close(out["embedding"], tiny_embedding(*jets))


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        (
            {"particles": np.zeros((3, 14), complex)},
            TypeError,
            "particles: expected real numbers, got dtype complex128",
        ),
        ({"particles": np.full((3, 14), "a")}, TypeError, "particles: expected real numbers"),
        ({"jets": np.zeros((2, 4), object)}, TypeError, "jets: expected real numbers, got dtype object"),
        ({"counts": np.array([2**63 - 1, 2**63 - 1, 5])}, ValueError, "counts: a jet of 9223372036854775807 "),
        (
            {"counts": np.array([2**64 - 1, 4], np.uint64)},
            ValueError,
            "counts: a jet of 18446744073709551615 ",
        ),
        ({"counts": np.array([1.0, 2.0])}, TypeError, "counts: expected integers, got dtype float64"),
        ({"counts": np.array([4, -1])}, ValueError, "minimum -1"),
        ({"counts": np.array([[1, 2]])}, ValueError, r"got shape \(1, 2\)"),
        ({"counts": np.array([1, 1])}, ValueError, r"\(sum\(counts\), fields\) = \(2, 14\), got \(3, 14\)"),
        ({"particles": np.zeros((3, 13))}, ValueError, r"= \(3, 14\), got \(3, 13\)"),
        ({"jets": np.zeros((3, 4))}, ValueError, r"\(jets, 4\) = \(2, 4\), got \(3, 4\)"),
    ],
)
def test_wrong_arrays(path: Path, change: dict[str, np.ndarray], error: type[Exception], match: str) -> None:
    arguments = {"particles": np.ones((3, 14)), "counts": np.array([1, 2]), "jets": np.ones((2, 4))} | change
    with pytest.raises(error, match=match):
        OnnxEncoder(path, provider="cpu")(**arguments)


def test_halves_batches_when_the_device_is_full(path: Path, jets: Jets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(engine.BUDGETS, "cpu", Budget(4096, 10**6, 8))
    encoder = OnnxEncoder(path, provider="cpu", device_id=1)
    session = encoder.model.session
    sizes = []

    class Full:
        def run(self, outputs: list[str], feed: dict[str, np.ndarray], options: object) -> list[np.ndarray]:
            sizes.append(len(feed["jets"]))
            if feed["particles"].shape[0] * feed["particles"].shape[1] ** 2 > 20_000:
                msg = "BFCArena: Failed to allocate memory for requested buffer of size 123"
                raise RuntimeError(msg)
            return session.run(outputs, feed, options)

    monkeypatch.setattr(encoder.model, "session", Full())
    monkeypatch.setattr(encoder.model, "idle", [])
    close(encoder(*jets)["embedding"], tiny_embedding(*jets))
    retries = encoder.metrics()["retries"]
    assert retries > 0
    encoder(*jets)
    assert encoder.metrics()["retries"] <= retries + 1  # the limit that was found is remembered


def test_no_memory_for_one_jet(path: Path, jets: Jets, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = OnnxEncoder(path, provider="cpu", device_id=2)

    class Full:
        def run(self, *arguments: object) -> list[np.ndarray]:
            msg = "CUDA failure 2: out of memory"
            raise RuntimeError(msg)

    monkeypatch.setattr(encoder.model, "session", Full())
    monkeypatch.setattr(encoder.model, "idle", [])
    with pytest.raises(ProviderError, match="no memory left for one jet of 128 particles"):
        encoder(*jets)


def test_calls_of_one_encoder_at_the_same_time_are_all_counted(path: Path, jets: Jets) -> None:
    encoder = OnnxEncoder(path, provider="cpu", threads=2)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            for out in pool.map(lambda _: encoder(*jets), range(40)):
                close(out["embedding"], tiny_embedding(*jets))
    finally:
        sys.setswitchinterval(interval)
    counted = encoder.metrics()
    assert (counted["jets"], counted["particles"]) == (40 * len(jets[1]), 40 * jets[1].sum())


def test_an_error_in_a_thread_ends_the_call(path: Path, jets: Jets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(engine.BUDGETS, "cpu", Budget(1, 1, 1))
    encoder = OnnxEncoder(path, provider="cpu", device_id=3, threads=2)
    ran = []

    class Broken:
        def run(self, *arguments: object) -> list[np.ndarray]:
            ran.append(1)
            time.sleep(0.005)  # the others are still waiting when the first error arrives
            msg = "this node is broken"
            raise RuntimeError(msg)

    monkeypatch.setattr(encoder.model, "session", Broken())
    monkeypatch.setattr(encoder.model, "idle", [])
    with pytest.raises(RuntimeError, match="this node is broken"):
        encoder(*jets)
    assert len(ran) < len(jets[1])
