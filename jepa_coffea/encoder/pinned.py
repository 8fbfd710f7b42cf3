"""Page-locked host memory, which a GPU reads without a detour."""

from __future__ import annotations

import ctypes
import weakref
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray


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
