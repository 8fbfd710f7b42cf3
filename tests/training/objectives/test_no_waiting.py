"""A training step asks the device for nothing: no operation that a GPU would have to finish for the host to go on."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.training.cases import SIZES, batches, pretraining_of
from training.objectives import build_objective
from training.objectives.base import Objective

aten = torch.ops.aten
WAITING = {
    aten._local_scalar_dense.default,
    aten.nonzero.default,
    aten.masked_select.default,
    aten.equal.default,
    aten.is_nonzero.default,
    aten._unique2.default,
    aten.repeat_interleave.Tensor,
}
"""Operations whose result, or its size, the host needs; indexing with booleans is the same as ``nonzero``."""


class Waits(TorchDispatchMode):
    """Collects what would wait."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        indexing = func in (aten.index.Tensor, aten.index_put_.default, aten.index_put.default)
        boolean = indexing and any(index is not None and index.dtype is torch.bool for index in args[1])
        if func in WAITING or boolean:
            self.found.append(str(func))
        return func(*args, **(kwargs or {}))


def test_it_notices_what_waits() -> None:
    with Waits() as waits:
        x = torch.arange(3.0)
        x[x > 1]
        float(x.sum())
        x.nonzero()
    assert len(waits.found) == 3


@pytest.mark.parametrize("name", ["pretraining", "supervised"])
def test_no_step_waits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    size = replace(SIZES["mini" if name == "pretraining" else "tiny"], batch=8)
    batch = batches(size, torch.device("cpu"), sort=True, jets=size.batch)[0]
    classes = tuple(f"class{i}" for i in range(10))
    objective = (
        pretraining_of(size)
        if name == "pretraining"
        else build_objective("supervised", size.config, {}, class_names=classes)
    )
    # On a GPU batches stay whole; on a CPU they are cut, which needs counts.
    monkeypatch.setattr(Objective, "whole", lambda self, mask: True)
    optimiser = torch.optim.AdamW([p for p in objective.parameters() if p.requires_grad], fused=True)
    trained = list(objective.parameters())

    def step() -> None:
        loss = objective(batch)["loss"]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        objective.after_step(0.5)

    step()
    with Waits() as waits:
        step()
    assert waits.found == []
