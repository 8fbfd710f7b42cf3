"""Bindings of a GPU: page-locked memory, and captured CUDA graphs."""

from __future__ import annotations

import ctypes
import weakref
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jepa_coffea.encoder.engine import Binding, Inputs, Names, Outputs
from jepa_coffea.encoder.providers import runtime
from jepa_coffea.encoder.session import OpenModel


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
        self.session.run_with_iobinding(self.io, self.shrinking if shrink else None)
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


@cache
def cuda_runtime() -> Any:
    """The CUDA runtime library that ONNX Runtime uses, or None.

    Returns
    -------
    ctypes.CDLL or None
    """
    for name in ("libcudart.so.13", "libcudart.so.12"):
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


def pinned_floats(size: int, device_id: int) -> NDArray[np.float32]:
    """``size`` float32 of page-locked memory, freed with the last view of it; ordinary memory without CUDA.

    Parameters
    ----------
    size
        How many.
    device_id
        Which GPU reads them.

    Returns
    -------
    numpy.ndarray
    """
    library = cuda_runtime()
    pointer = ctypes.c_void_p()
    # The runtime opens a context on the current device, which must not be another one than the session's.
    if (
        library is None
        or library.cudaSetDevice(device_id) != 0
        or library.cudaMallocHost(ctypes.byref(pointer), ctypes.c_size_t(4 * size)) != 0
        or pointer.value is None
    ):
        return np.empty(size, dtype=np.float32)
    memory = (ctypes.c_float * size).from_address(pointer.value)
    weakref.finalize(memory, library.cudaFreeHost, pointer).atexit = False
    return np.ctypeslib.as_array(memory)
