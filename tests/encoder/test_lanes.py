"""The lanes of a GPU, run on the CPU, give what the plain lane gives."""

from pathlib import Path

import numpy as np
import pytest

from jepa_coffea.encoder import OnnxEncoder, engine, lanes, pinned
from jepa_coffea.encoder.batching import Budget
from tests.encoder.tiny import random_jets, tiny_embedding, write_tiny


@pytest.mark.parametrize("lane", [lanes.BoundLane, lanes.GraphLane])
def test_bound_memory(lane: type[lanes.Lane], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    budget = Budget(512, 10**6, 16)
    monkeypatch.setitem(engine.BUDGETS, "cpu", budget)
    monkeypatch.setattr(lanes.GraphLane, "device", "cpu")
    encoder = OnnxEncoder(write_tiny(tmp_path / "a.onnx", dim=21), provider="cpu")
    made = lane(encoder.model, ("embedding",))
    made.arena = "cpu:0"
    shapes = []

    class Watched:
        buffer = made.buffer

        def run(self, inputs: dict[str, np.ndarray], *, shrink: bool) -> list[np.ndarray]:
            if lane is lanes.GraphLane:
                inputs = engine.filled_up(inputs, budget.jets(inputs["mask"].shape[1]))
            shapes.append(inputs["mask"].shape)
            return made.run(inputs, shrink=shrink)

    monkeypatch.setattr(encoder.model, "idle", [Watched()])
    for seed in range(3):
        jets = random_jets(np.random.default_rng(seed), np.random.default_rng(seed).integers(1, 100, 80))
        expected = tiny_embedding(*jets, dim=21)
        np.testing.assert_allclose(encoder(*jets)["embedding"], expected, atol=2e-6 * np.abs(expected).max())
    if lane is lanes.GraphLane:
        assert len(made.captured) == len(set(shapes)) == len({length for _, length in shapes})


def test_pinned_memory_without_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pinned, "cuda_runtime", lambda: None)
    assert pinned.pinned_floats(7, 0).shape == (7,)


def test_a_buffer_grows_and_is_used_again(tmp_path: Path) -> None:
    lane = lanes.Lane(OnnxEncoder(write_tiny(tmp_path / "a.onnx"), provider="cpu").model, ("embedding",))
    first = lane.buffer("particles", 10)
    assert lane.buffer("particles", 5) is first
    assert len(lane.buffer("particles", 50)) == 50
