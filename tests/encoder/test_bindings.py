"""The bindings of a GPU, run on the CPU, give what the plain one gives."""

from pathlib import Path

import numpy as np
import pytest

from jepa_coffea.encoder import OnnxEncoder, bindings, engine
from jepa_coffea.encoder.batching import Budget
from tests.encoder.tiny import random_jets, tiny_embedding, tiny_tokens, write_tiny


@pytest.mark.parametrize("binding", [bindings.PinnedBinding, bindings.GraphBinding])
def test_bound_memory(binding: type[engine.Binding], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    budget = Budget(512, 10**6, 16)
    monkeypatch.setitem(engine.BUDGETS, "cpu", budget)
    monkeypatch.setattr(bindings.GraphBinding, "device", "cpu")
    path = write_tiny(tmp_path / "a.onnx", dim=21, particle_embedding=True)
    encoder = OnnxEncoder(path, provider="cpu", particle_embedding=True)
    made = binding(encoder.model)
    made.arena = "cpu:0"
    shapes = []

    class Watched:
        buffer = made.buffer

        def run(self, inputs: bindings.Inputs, names: bindings.Names, *, shrink: bool) -> bindings.Outputs:
            jets = len(inputs["mask"])
            if binding is bindings.GraphBinding:
                inputs = engine.filled_up(inputs, budget.jets(inputs["mask"].shape[1]))
            shapes.append(inputs["mask"].shape)
            return {name: values[:jets] for name, values in made.run(inputs, names, shrink=shrink).items()}

    monkeypatch.setattr(encoder.model, "idle", [Watched()])
    for seed in range(3):
        jets = random_jets(np.random.default_rng(seed), np.random.default_rng(seed).integers(1, 100, 80))
        expected = tiny_embedding(*jets, dim=21)
        got = encoder(*jets)
        np.testing.assert_allclose(got["embedding"], expected, atol=2e-6 * np.abs(expected).max())
        np.testing.assert_allclose(got["particle_embedding"], tiny_tokens(jets[0], dim=21), atol=1e-5)
    if binding is bindings.GraphBinding:
        assert len(made.captured) == len(set(shapes)) == len({length for _, length in shapes})


def test_pinned_memory_without_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bindings, "cuda_runtime", lambda: None)
    assert bindings.pinned_floats(7, 0).shape == (7,)


def test_a_buffer_grows_and_is_used_again(tmp_path: Path) -> None:
    binding = engine.Binding(OnnxEncoder(write_tiny(tmp_path / "a.onnx"), provider="cpu").model)
    first = binding.buffer("particles", 10)
    assert binding.buffer("particles", 5) is first
    assert len(binding.buffer("particles", 50)) == 50
