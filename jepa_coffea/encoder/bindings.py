"""Bindings: each runs one micro-batch at a time on a shared session, with buffers that it uses again."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jepa_coffea.encoder.pinned import pinned_floats
from jepa_coffea.encoder.providers import runtime
from jepa_coffea.encoder.session import OpenModel

Inputs = dict[str, NDArray[np.generic]]
Outputs = dict[str, NDArray[np.float32]]
Names = tuple[str, ...]


class Binding:
    """Runs on the CPU: arrays in, arrays out, without copies.

    Parameters
    ----------
    model
        The open model.
    """

    arena = "cpu:0"

    def __init__(self, model: OpenModel) -> None:
        self.session = model.session
        self.buffers: dict[str, NDArray[np.float32]] = {}

    def buffer(self, name: str, size: int) -> NDArray[np.float32]:
        """At least ``size`` floats under that name, with what the last batch left in them.

        Parameters
        ----------
        name
            Of the buffer.
        size
            How many floats.

        Returns
        -------
        numpy.ndarray
            float32, one-dimensional.
        """
        if name not in self.buffers or len(self.buffers[name]) < size:
            self.buffers[name] = self.allocate(size)
        return self.buffers[name]

    def allocate(self, size: int) -> NDArray[np.float32]:
        """New memory for a buffer.

        Parameters
        ----------
        size
            How many floats.

        Returns
        -------
        numpy.ndarray
            float32, one-dimensional.
        """
        return np.empty(size, dtype=np.float32)

    def run(self, inputs: Inputs, names: Names, *, shrink: bool) -> Outputs:
        """The outputs called ``names``; ``shrink`` gives the session's unused memory back afterwards.

        Parameters
        ----------
        inputs
            Name to array.
        names
            Outputs to fetch.
        shrink
            Give the session's unused memory back afterwards.

        Returns
        -------
        dict of numpy.ndarray
        """
        return dict(zip(names, self.session.run(list(names), inputs, self.settings(shrink)), strict=True))

    def settings(self, shrink: bool) -> Any:
        """Run options, or None for the usual ones.

        Parameters
        ----------
        shrink
            Give the session's unused memory back after the run.

        Returns
        -------
        onnxruntime.RunOptions or None
        """
        if not shrink:
            return None
        options = runtime().RunOptions()
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", self.arena)
        return options


class PinnedBinding(Binding):
    """Runs on a GPU: inputs in page-locked memory, copied by the device while another binding computes.

    Parameters
    ----------
    model
        The open model.
    """

    def __init__(self, model: OpenModel) -> None:
        super().__init__(model)
        self.device_id = model.options.device_id
        self.arena = f"gpu:{self.device_id}"
        self.io = self.session.io_binding()

    def allocate(self, size: int) -> NDArray[np.float32]:
        """Page-locked memory where CUDA gives it.

        Parameters
        ----------
        size
            How many floats.

        Returns
        -------
        numpy.ndarray
            float32, one-dimensional.
        """
        return pinned_floats(size, self.device_id)

    def run(self, inputs: Inputs, names: Names, *, shrink: bool) -> Outputs:
        """See :meth:`Binding.run`.

        Parameters
        ----------
        inputs
            Name to array.
        names
            Outputs to fetch.
        shrink
            Give the session's unused memory back afterwards.

        Returns
        -------
        dict of numpy.ndarray
        """
        self.io.clear_binding_inputs()
        self.io.clear_binding_outputs()
        for name, array in inputs.items():
            self.io.bind_cpu_input(name, np.ascontiguousarray(array))
        for name in names:
            self.io.bind_output(name, "cpu")
        self.session.run_with_iobinding(self.io, self.settings(shrink))
        return dict(zip(names, self.io.copy_outputs_to_cpu(), strict=True))


class GraphBinding(Binding):
    """Runs captured CUDA graphs: one per padded length, each with a fixed number of jets and fixed device memory.

    Parameters
    ----------
    model
        The open model.
    """

    device = "cuda"

    def __init__(self, model: OpenModel) -> None:
        super().__init__(model)
        self.device_id = model.options.device_id
        self.captured: dict[Any, tuple[Any, dict[str, Any], dict[str, Any]]] = {}

    def run(self, inputs: Inputs, names: Names, *, shrink: bool) -> Outputs:  # noqa: ARG002  graphs keep their memory
        """See :meth:`Binding.run`; the number of jets must be the same for all batches of a length.

        Parameters
        ----------
        inputs
            Name to array.
        names
            Outputs to fetch.
        shrink
            Give the session's unused memory back afterwards.

        Returns
        -------
        dict of numpy.ndarray
        """
        key = (names, *(array.shape for array in inputs.values()))
        if key not in self.captured:
            self.captured[key] = self._bind(inputs, names)
        binding, device_inputs, device_outputs = self.captured[key]
        for name, array in inputs.items():
            device_inputs[name].update_inplace(np.ascontiguousarray(array))
        options = runtime().RunOptions()
        options.add_run_config_entry("gpu_graph_id", str(list(self.captured).index(key) + 1))
        self.session.run_with_iobinding(binding, options)
        return {name: device_outputs[name].numpy() for name in names}

    def _bind(self, inputs: Inputs, names: Names) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        value = runtime().OrtValue
        binding = self.session.io_binding()
        place = (self.device, self.device_id)
        device_inputs = {
            name: value.ortvalue_from_numpy(np.ascontiguousarray(array), *place) for name, array in inputs.items()
        }
        jets = [len(next(iter(inputs.values())))]
        shapes = {
            node.name: [*(jets if len(node.shape) == 2 else inputs["mask"].shape), node.shape[-1]]
            for node in self.session.get_outputs()
        }
        device_outputs = {name: value.ortvalue_from_shape_and_type(shapes[name], np.float32, *place) for name in names}
        for name, array in device_inputs.items():
            binding.bind_ortvalue_input(name, array)
        for name, array in device_outputs.items():
            binding.bind_ortvalue_output(name, array)
        return binding, device_inputs, device_outputs


def binding_for(model: OpenModel) -> Binding:
    """An idle binding of the model, or a new one; append it to ``model.idle`` after use.

    Parameters
    ----------
    model
        The open model.

    Returns
    -------
    Binding
    """
    try:
        return model.idle.pop()
    except IndexError:
        if model.options.cuda_graphs:
            return GraphBinding(model)
        return Binding(model) if model.options.provider == "cpu" else PinnedBinding(model)
