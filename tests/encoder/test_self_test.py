"""Reference jets replay, and a file that changed its mind is found out."""

from pathlib import Path

import numpy as np
import pytest

from jepa_coffea.encoder import OnnxEncoder
from jepa_coffea.encoder.card import Reference
from jepa_coffea.encoder.self_test import _relative, validate
from jepa_coffea.errors import ModelError
from tests.encoder.tiny import random_jets, tiny_embedding, weights, write_tiny


def reference(error: float = 0.0) -> Reference:
    """Reference jets of the tiny model with two classes, one of them empty."""
    flat, counts, jets = random_jets(np.random.default_rng(0), np.array([3, 20, 1]))
    embedding = tiny_embedding(flat, counts, jets)
    outputs = {"embedding": embedding * (1 + error), "logits": embedding @ weights(14, 8, 2)["c"]}
    return Reference(
        counts=counts.tolist(),
        particles=flat.tolist(),
        jets=jets.tolist(),
        outputs={name: value.tolist() for name, value in outputs.items()},
    )


def write(path: Path, **options: object) -> OnnxEncoder:
    return OnnxEncoder(write_tiny(path, classes=("a", "b"), **options), provider="cpu")


def test_a_good_file_agrees(tmp_path: Path) -> None:
    agreements = validate(write(tmp_path / "a.onnx", reference=reference()))
    assert [item.output for item in agreements] == ["embedding", "logits"]
    assert all(item.passed and item.jets == 3 and item.relative < 1e-6 for item in agreements)


@pytest.mark.parametrize(
    ("precision", "error", "passed"), [("fp32", 1e-3, False), ("fp16", 1e-3, True), ("int8", 0.2, False)]
)
def test_tolerance_depends_on_precision(tmp_path: Path, precision: str, error: float, passed: bool) -> None:
    encoder = write(tmp_path / "a.onnx", reference=reference(error), precision=precision)
    assert [item.passed for item in validate(encoder)] == [passed, True]


def test_no_reference(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no reference jets"):
        validate(write(tmp_path / "a.onnx"))


def test_reference_without_an_output(tmp_path: Path) -> None:
    whole = reference()
    partly = whole.model_copy(update={"outputs": {"embedding": whole.outputs["embedding"]}})
    with pytest.raises(ModelError, match=r"lacks the outputs \['logits'\]"):
        validate(write(tmp_path / "a.onnx", reference=partly))


def test_reference_of_another_size(tmp_path: Path) -> None:
    wrong = reference().model_copy(update={"counts": [3, 20, 2]})
    with pytest.raises(ModelError, match="do not fit its model"):
        validate(write(tmp_path / "a.onnx", reference=wrong))


def test_relative() -> None:
    nan = np.nan
    assert _relative(np.array([1.0, nan]), np.array([1.0, nan])) == 0
    assert _relative(np.array([1.0, nan]), np.array([1.0, 2.0])) == np.inf
    assert _relative(np.array([1.0]), np.array([1.0, 2.0])) == np.inf
    assert _relative(np.array([1.1, 2.0]), np.array([1.0, 2.0])) == pytest.approx(0.05)
    assert _relative(np.array([nan]), np.array([nan])) == 0
