from typing import Any

from benchmarks.gpu.dask_embedding import faults


def found(**changes: Any) -> dict[str, Any]:
    metrics = {"a:1": {"loads": 1, "provider": {"cuda": 3}}, "a:2": {"loads": 0, "provider": {}}}
    return {"before": ["w1"], "after": ["w1"], "metrics": metrics} | changes


def test_all_is_well() -> None:
    assert faults(found(), "cuda") == []


def test_what_should_not_have_happened() -> None:
    assert faults(found(after=["w2"]), "cuda") == ["workers were ['w1'], are ['w2']"]
    twice = {"a:1": {"loads": 2, "provider": {"cuda": 1, "cpu": 1}}}
    assert faults(found(metrics=twice), "cuda") == ["a:1: the model was loaded 2 times", "a:1: ran on cuda, cpu"]
    assert faults(found(metrics={}), "cuda") == ["nothing ran on cuda"]
