"""Which hardware runs a model: finding ONNX Runtime, asking for a provider, and proving that it was given."""

from __future__ import annotations

import ctypes
import importlib
import importlib.metadata
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args

from jepa_coffea.errors import JepaCoffeaError, did_you_mean

Provider = Literal["auto", "cuda", "tensorrt", "cpu"]

EXECUTION = {"cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider", "cpu": "CPUExecutionProvider"}
"""Our names to those of ONNX Runtime."""

PACKAGES = ("onnxruntime", "onnxruntime-gpu")
"""Two distributions of one module: installed together, each overwrites files of the other."""

NOT_INITIALIZED = 3
"""CUDA_ERROR_NOT_INITIALIZED of the CUDA driver API."""


class ProviderError(JepaCoffeaError, RuntimeError):
    """ONNX Runtime or the hardware asked for is missing or unusable; never an OSError, so that no reader skips it."""


def installed() -> dict[str, str]:
    """Distributions of ONNX Runtime in the folder that Python imports it from, and their versions.

    One that lies in another folder, behind the first on Python's path, does no harm and is left out: where a machine
    has the CPU package for all, a folder of one's own with the GPU package may stand in front of it.

    Returns
    -------
    dict of str
    """
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.distribution(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    places = {package: Path(str(found[package].locate_file("."))).resolve() for package in found}
    path = [Path(entry or ".").resolve() for entry in sys.path]
    first = min(places.values(), key=lambda place: path.index(place) if place in path else len(path), default=None)
    return {package: found[package].version for package in found if places[package] == first}


def runtime() -> ModuleType:
    """The module ``onnxruntime``.

    Returns
    -------
    module

    Raises
    ------
    ProviderError
        If it is not installed, or installed twice.
    """
    found = installed()
    if len(found) > 1:
        both = " and ".join(f"{name} {version}" for name, version in found.items())
        msg = (
            f"{both} are installed over one another and break each other; expected one of them. Run "
            "'pip uninstall onnxruntime onnxruntime-gpu', then 'pip install jepa-coffea[cpu]' or 'jepa-coffea[gpu]'"
        )
        raise ProviderError(msg)
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        msg = (
            f"ONNX Runtime cannot be imported ({error}); install it with 'pip install jepa-coffea[cpu]', or, for "
            "NVIDIA GPUs (CUDA 13, cuDNN 9), 'pip install jepa-coffea[gpu]'; the two exclude one another"
        )
        raise ProviderError(msg) from None


def gpu_count() -> int:
    """NVIDIA GPUs that the driver shows to this process; 0 without a driver.

    Returns
    -------
    int

    Raises
    ------
    ProviderError
        In a forked child of a process that used CUDA, where CUDA cannot work, although there may be a GPU.
    """
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    code = driver.cuInit(0)
    if code == NOT_INITIALIZED:
        msg = (
            "CUDA was used before this process was forked, and does not work in the child; start workers with "
            "multiprocessing's 'spawn' (Dask does), or say provider='cpu'"
        )
        raise ProviderError(msg)
    count = ctypes.c_int(0)
    if code != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def require_known(provider: str) -> None:
    """Raise unless there is a provider of that name, whether or not this machine has it.

    Parameters
    ----------
    provider
        Name, or ``auto``.

    Raises
    ------
    ProviderError
        If there is none.
    """
    names = get_args(Provider)
    if provider not in names:
        msg = f"provider: expected one of {', '.join(names)}, got {provider!r}; {did_you_mean(str(provider), names)}"
        raise ProviderError(msg)


def choose(provider: Provider) -> Literal["cuda", "tensorrt", "cpu"]:
    """``provider`` with ``auto`` resolved: CUDA where the wheel has it and the driver shows a GPU, else the CPU.

    Parameters
    ----------
    provider
        Name, or ``auto``.

    Returns
    -------
    str

    Raises
    ------
    ProviderError
        If the name is unknown, or the installed wheel was built without that provider.
    """
    require_known(provider)
    available = runtime().get_available_providers()
    if provider == "auto":
        return "cuda" if EXECUTION["cuda"] in available and gpu_count() else "cpu"
    if EXECUTION[provider] not in available:
        found = ", ".join(f"{name} {version}" for name, version in installed().items()) or "an unnamed onnxruntime"
        msg = (
            f"provider={provider!r}: the installed {found} has no {EXECUTION[provider]}, only {', '.join(available)}. "
            + mend()
        )
        raise ProviderError(msg)
    return provider


def mend() -> str:
    """How to get CUDA to work, with what this machine lacks first.

    Returns
    -------
    str
    """
    lacking = []
    if not gpu_count():
        lacking.append("no NVIDIA driver or no visible GPU (look at nvidia-smi and CUDA_VISIBLE_DEVICES)")
    found = installed()
    if "onnxruntime" in found:
        lacking.append("the CPU-only package onnxruntime is installed")
    lacking += [
        f"{library} cannot be loaded" for library in ("libcudart.so.13", "libcudnn.so.9") if not _loads(library)
    ]
    why = "; ".join(lacking) or "driver, CUDA and cuDNN all load, so look at ONNX Runtime's own message above"
    return (
        f"Seen here: {why}. onnxruntime-gpu needs CUDA 13 and cuDNN 9: 'pip uninstall onnxruntime' and "
        "'pip install onnxruntime-gpu[cuda,cudnn]'; onnxruntime.preload_dlls() finds the libraries of these packages "
        "and is called here before the session opens. provider='auto' takes the CPU where there is no GPU"
    )


def _loads(library: str) -> bool:
    """Whether the dynamic loader finds ``library`` (also one that is already loaded)."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def session_providers(
    provider: str, device_id: int, *, digest: str, cuda_graphs: bool, exact: bool
) -> list[tuple[str, dict[str, Any]]]:
    """The ``providers`` argument of an ``InferenceSession``, the one asked for first.

    ``digest`` is the SHA-256 of the model. ``exact`` keeps single precision single: TensorFloat-32 has the mantissa of
    half precision.

    Parameters
    ----------
    provider
        ``cuda``, ``tensorrt`` or ``cpu``.
    device_id
        Which GPU.
    digest
        SHA-256 of the model.
    cuda_graphs
        Whether CUDA graphs are captured.
    exact
        Keep single precision single: TensorFloat-32 has the mantissa of half precision.

    Returns
    -------
    list of tuple
        Names of providers and their options.
    """
    cuda = {
        "device_id": device_id,
        # Growing by what is asked instead of doubling keeps memory near the budget of the micro-batches.
        "arena_extend_strategy": "kSameAsRequested",
        # Every batch has a new shape, for each of which an exhaustive search would run all algorithms.
        "cudnn_conv_algo_search": "HEURISTIC",
        "enable_cuda_graph": "1" if cuda_graphs else "0",
        "use_tf32": "0" if exact else "1",
    }
    # Building engines takes minutes. ONNX Runtime tells cached ones apart by the file's name and its graph, not by the
    # weights that are in them: each file has a folder of its own.
    engines = Path.home() / ".cache" / "jepa-coffea" / digest
    tensorrt = {
        "device_id": device_id,
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": str(engines),
        "trt_timing_cache_enable": True,
    }
    if provider == "tensorrt":
        engines.mkdir(parents=True, exist_ok=True)  # ONNX Runtime makes the last folder only
    cpu: tuple[str, dict[str, Any]] = (EXECUTION["cpu"], {})
    chosen = {
        "cuda": [(EXECUTION["cuda"], cuda)],
        "tensorrt": [(EXECUTION["tensorrt"], tensorrt), (EXECUTION["cuda"], cuda)],
    }
    return [*chosen.get(provider, []), cpu]


def confirm(session: Any, provider: str) -> None:
    """Raise unless ``session`` really runs on ``provider``: ONNX Runtime falls back to the CPU without a word.

    Parameters
    ----------
    session
        An InferenceSession.
    provider
        What it shall run on.

    Raises
    ------
    ProviderError
        If the session's first provider is another one.
    """
    got = session.get_providers()
    if got[0] != EXECUTION[provider]:
        msg = f"provider={provider!r}: expected {EXECUTION[provider]}, ONNX Runtime gave {got[0]}. {mend()}"
        raise ProviderError(msg)
