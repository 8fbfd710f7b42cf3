"""A lane runs one micro-batch at a time on a shared session, with buffers that it uses again."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jepa_coffea.encoder.pinned import pinned_floats
from jepa_coffea.encoder.providers import runtime
from jepa_coffea.encoder.session import Model

Inputs = dict[str, NDArray[np.generic]]


class Lane:
    """Runs on the CPU: arrays in, arrays out, without copies."""

    arena = "cpu:0"

    def __init__(self, model: Model, outputs: tuple[str, ...]) -> None:
        self.session = model.session
        self.outputs = list(outputs)
        self.buffers: dict[str, NDArray[np.float32]] = {}

    def buffer(self, name: str, size: int) -> NDArray[np.float32]:
        """At least ``size`` floats under that name, with what the last batch left in them."""
        if name not in self.buffers or len(self.buffers[name]) < size:
            self.buffers[name] = self.allocate(size)
        return self.buffers[name]

    def allocate(self, size: int) -> NDArray[np.float32]:
        """New memory for a buffer."""
        return np.empty(size, dtype=np.float32)

    def run(self, inputs: Inputs, *, shrink: bool) -> list[Any]:
        """The outputs, [jet, width] each; ``shrink`` gives the session's unused memory back afterwards."""
        return self.session.run(self.outputs, inputs, self.settings(shrink))

    def settings(self, shrink: bool) -> Any:
        """Run options, or None for the usual ones."""
        if not shrink:
            return None
        options = runtime().RunOptions()
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", self.arena)
        return options


class BoundLane(Lane):
    """Runs on a GPU: inputs in page-locked memory, copied by the device while another lane computes."""

    def __init__(self, model: Model, outputs: tuple[str, ...]) -> None:
        super().__init__(model, outputs)
        self.device_id = model.options.device_id
        self.arena = f"gpu:{self.device_id}"
        self.binding = self.session.io_binding()

    def allocate(self, size: int) -> NDArray[np.float32]:
        """Page-locked memory where CUDA gives it."""
        return pinned_floats(size, self.device_id)

    def run(self, inputs: Inputs, *, shrink: bool) -> list[Any]:
        """See :meth:`Lane.run`."""
        self.binding.clear_binding_inputs()
        self.binding.clear_binding_outputs()
        for name, array in inputs.items():
            self.binding.bind_cpu_input(name, np.ascontiguousarray(array))
        for name in self.outputs:
            self.binding.bind_output(name, "cpu")
        self.session.run_with_iobinding(self.binding, self.settings(shrink))
        return self.binding.copy_outputs_to_cpu()


class GraphLane(Lane):
    """Runs captured CUDA graphs: one per padded length, each with a fixed number of jets and fixed device memory."""

    device = "cuda"

    def __init__(self, model: Model, outputs: tuple[str, ...]) -> None:
        super().__init__(model, outputs)
        self.device_id = model.options.device_id
        self.captured: dict[tuple[int, int], tuple[Any, dict[str, Any], dict[str, Any]]] = {}

    def run(self, inputs: Inputs, *, shrink: bool) -> list[Any]:  # noqa: ARG002  graphs hold on to their memory
        """See :meth:`Lane.run`; the number of jets must be the same for all batches of a length."""
        shape = inputs["mask"].shape
        if shape not in self.captured:
            self.captured[shape] = self._bind(inputs)
        binding, device_inputs, device_outputs = self.captured[shape]
        for name, array in inputs.items():
            device_inputs[name].update_inplace(np.ascontiguousarray(array))
        options = runtime().RunOptions()
        options.add_run_config_entry("gpu_graph_id", str(list(self.captured).index(shape) + 1))
        self.session.run_with_iobinding(binding, options)
        return [device_outputs[name].numpy() for name in self.outputs]

    def _bind(self, inputs: Inputs) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        value = runtime().OrtValue
        binding = self.session.io_binding()
        place = (self.device, self.device_id)
        device_inputs = {
            name: value.ortvalue_from_numpy(np.ascontiguousarray(array), *place) for name, array in inputs.items()
        }
        width = {node.name: node.shape[-1] for node in self.session.get_outputs()}
        jets = len(inputs["mask"])
        device_outputs = {
            name: value.ortvalue_from_shape_and_type([jets, width[name]], np.float32, *place) for name in self.outputs
        }
        for name, array in device_inputs.items():
            binding.bind_ortvalue_input(name, array)
        for name, array in device_outputs.items():
            binding.bind_ortvalue_output(name, array)
        return binding, device_inputs, device_outputs


def lane_for(model: Model, outputs: tuple[str, ...]) -> Lane:
    """An idle lane of the model, or a new one; append it to ``model.idle`` after use."""
    try:
        return model.idle.pop()
    except IndexError:
        if model.options.cuda_graphs:
            return GraphLane(model, outputs)
        return Lane(model, outputs) if model.options.provider == "cpu" else BoundLane(model, outputs)
