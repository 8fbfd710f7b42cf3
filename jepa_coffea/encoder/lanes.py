"""A lane runs one micro-batch at a time on a shared session, with buffers that it uses again."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jepa_coffea.encoder.providers import runtime
from jepa_coffea.encoder.session import Model


class Lane:
    """Buffers and run options of one thread at a time."""

    def __init__(self, model: Model, outputs: tuple[str, ...]) -> None:
        self.session = model.session
        self.outputs = list(outputs)
        self.buffers: dict[str, NDArray[np.float32]] = {}
        options = model.options
        self.shrinking = runtime().RunOptions()
        arena = "cpu:0" if options.provider == "cpu" else f"gpu:{options.device_id}"
        self.shrinking.add_run_config_entry("memory.enable_memory_arena_shrinkage", arena)

    def buffer(self, name: str, size: int) -> NDArray[np.float32]:
        """At least ``size`` floats under that name, with what the last batch left in them."""
        if name not in self.buffers or len(self.buffers[name]) < size:
            self.buffers[name] = np.empty(size, dtype=np.float32)
        return self.buffers[name]

    def run(self, inputs: dict[str, NDArray[np.generic]], *, shrink: bool) -> list[Any]:
        """The outputs, [jet, width] each; ``shrink`` gives the session's unused memory back afterwards."""
        return self.session.run(self.outputs, inputs, self.shrinking if shrink else None)


def lane_for(model: Model, outputs: tuple[str, ...]) -> Lane:
    """An idle lane of the model, or a new one; append it to ``model.idle`` after use."""
    try:
        return model.idle.pop()
    except IndexError:
        return Lane(model, outputs)
