"""One session per model and process: verified at load, shared by threads, never inherited through a fork.

Also what the file declares of its inputs and outputs: types, and axes that are fixed.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from jepa_coffea.encoder.card import ModelCard, card_in, has_card, load_model
from jepa_coffea.encoder.model_files import model_hash
from jepa_coffea.encoder.providers import confirm, mend, runtime, session_providers
from jepa_coffea.errors import ModelError

log = logging.getLogger(__name__)

TYPES: dict[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(bool)": np.bool_,
}
"""Types of inputs that jets can be given in."""

NO_CUDA_KERNEL = {"Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Cosh", "Sinh", "Tan"}
"""Nodes that ONNX Runtime computes on the CPU (its OperatorKernels.md), with a copy there and back."""

AGAIN = "export it again with dynamic axes for jets and particles (weaver-core: a version of June 2026 or later)"
"""What to do about a graph that was frozen."""


@dataclass(frozen=True)
class Options:
    """What, besides the file, makes one session differ from another."""

    provider: Literal["cuda", "tensorrt", "cpu"]
    device_id: int = 0
    cuda_graphs: bool = False
    """Capture one CUDA graph per padded length; batches are then filled up to a fixed size."""


@dataclass
class OpenModel:
    """A loaded file."""

    session: Any
    options: Options
    card: ModelCard | None
    """Its card; None for files that have none."""
    ceiling: float = float("inf")
    """Pairs of the smallest micro-batch that the device had no memory for."""
    idle: list[Any] = field(default_factory=list)
    """Bindings, with their buffers, that no thread uses now."""
    proven: dict[Any, bool] = field(default_factory=dict)
    """What two jets have proven, by what was claimed: whether empty slots change the result."""
    pid: int = field(default_factory=os.getpid)
    """The process that opened it; a child must not use it."""

    @property
    def inputs(self) -> dict[str, tuple[str, list[Any]]]:
        """Name to type and shape.

        Returns
        -------
        dict of tuple
        """
        return {node.name: (node.type, _lengths(node.shape)) for node in self.session.get_inputs()}

    @property
    def outputs(self) -> dict[str, tuple[str, list[Any]]]:
        """Name to type and shape.

        Returns
        -------
        dict of tuple
        """
        return {node.name: (node.type, _lengths(node.shape)) for node in self.session.get_outputs()}


def _lengths(shape: list[Any]) -> list[Any]:
    """Axes of an input or output; some exporters write -1 or 0 for a dynamic one."""
    return [None if isinstance(length, int) and length <= 0 else length for length in shape]


class _Slot:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.model: OpenModel | None = None


_lock = threading.Lock()
_slots: dict[tuple[int, str, Options], _Slot] = {}


def _renew_lock() -> None:
    # Another thread of the parent may have held the lock at the moment of the fork; here nobody would release it.
    # The parent's sessions stay in the dictionary under its pid: their threads do not exist here, so that neither
    # using nor destroying them is safe.
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)


def verify(path: str | Path, digest: str) -> None:
    """Raise unless the file has that SHA-256.

    Parameters
    ----------
    path
        Of the file.
    digest
        SHA-256 that it must have.

    Raises
    ------
    ModelError
        If it has another one, or cannot be read.
    """
    found = model_hash(path)
    if found != digest:
        msg = f"{path}: expected SHA-256 {digest}, got {found}: the file changed since the encoder was made from it"
        raise ModelError(msg)


def open_model(path: str | Path, digest: str, options: Options) -> tuple[OpenModel, bool]:
    """The one model of this process with that content and these options, and whether this call loaded it.

    Parameters
    ----------
    path
        The ONNX file.
    digest
        SHA-256 that it must have.
    options
        Where and how it runs.

    Returns
    -------
    tuple
        The model, and whether this call loaded it.

    Raises
    ------
    ModelError
        If the file is missing, not ONNX, not self-contained, or its SHA-256 is not ``digest``.
    ProviderError
        If the provider is not to be had.
    """
    with _lock:
        slot = _slots.setdefault((os.getpid(), digest, options), _Slot())
    with slot.lock:
        if slot.model is not None:
            return slot.model, False
        slot.model = _load(path, digest, options)
        return slot.model, True


def release(digest: str | None = None) -> int:
    """Forget this process's sessions of one file, or all of them; returns how many.

    Running calls finish. The memory is given back when the last encoder of the model is gone.

    Parameters
    ----------
    digest
        SHA-256 of the file; None: all.

    Returns
    -------
    int
        How many were forgotten.
    """
    with _lock:
        keys = [key for key in _slots if key[0] == os.getpid() and digest in (None, key[1])]
        return sum(_slots.pop(key).model is not None for key in keys)


def session_options() -> Any:
    """ONNX Runtime's options for all our sessions.

    Returns
    -------
    onnxruntime.SessionOptions
    """
    settings = runtime().SessionOptions()
    # Parallelism comes from running several micro-batches: one thread each scales better than splitting small
    # matrix products, and a node full of workers must not have as many pools of as many threads, all spinning.
    settings.intra_op_num_threads = 1
    settings.inter_op_num_threads = 1
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    settings.add_session_config_entry("session.inter_op.allow_spinning", "0")
    # Memory patterns are kept for every input shape ever seen; micro-batches have many.
    settings.enable_mem_pattern = False
    settings.log_severity_level = 4  # what fails is raised, and need not be printed as well
    return settings


def _newer(error: Exception) -> str:
    """What to do about a file that is newer than ONNX Runtime."""
    if not any(word in str(error) for word in ("IR version", "opset", "Opset")):
        return ""
    return (
        " The file was written for a newer ONNX Runtime: upgrade onnxruntime (or onnxruntime-gpu), or export it again "
        "with opset_version=20; onnx.version_converter.convert_version lowers the opset of a file, and the field "
        "ir_version of the model can be set to 10"
    )


def _not_captured(error: Exception, kinds: Collection[str]) -> str:
    """What to do about a file of which no CUDA graph can be captured, because some nodes run on the CPU."""
    if "graph capture" not in str(error):
        return ""
    hosted = sorted(NO_CUDA_KERNEL & set(kinds))
    found = f"it has none for {', '.join(hosted)} of this file" if hosted else "some node of this file has none"
    return (
        f" A CUDA graph takes a CUDA kernel for every node, and {found}: export the encoder again with this version, "
        "or leave out cuda_graphs=True"
    )


def _load(path: str | Path, digest: str, options: Options) -> OpenModel:
    begin = time.perf_counter()
    verify(path, digest)
    proto = load_model(path)
    card = card_in(proto, str(path)) if has_card(proto) else None
    kinds = {node.op_type for node in proto.graph.node}
    del proto
    ort = runtime()
    settings = session_options()
    if options.provider != "cpu" and hasattr(ort, "preload_dlls"):
        ort.preload_dlls()
    exact = card is None or card.precision == "fp32"
    providers = session_providers(
        options.provider, options.device_id, digest=digest, cuda_graphs=options.cuda_graphs, exact=exact
    )
    try:
        session = ort.InferenceSession(str(path), settings, providers=providers, enable_fallback=0)
    except Exception as error:  # noqa: BLE001  the bindings raise a dozen types without a common base
        hint = _newer(error) or _not_captured(error, kinds) or ("" if options.provider == "cpu" else f" {mend()}")
        msg = f"{path}: ONNX Runtime {ort.__version__} cannot open it on {options.provider} ({error}).{hint}"
        raise ModelError(msg) from None
    confirm(session, options.provider)
    verify(path, digest)  # what was read meanwhile was still that file
    log.info("%s opened on %s in %.1f s", path, options.provider, time.perf_counter() - begin)
    return OpenModel(session, options, card)


def input_types(model: OpenModel, where: str) -> dict[str, Any]:
    """The types in which a model takes its inputs.

    Parameters
    ----------
    model
        The open model.
    where
        Name of the file, for errors.

    Returns
    -------
    dict of type
        NumPy type by name of the input.

    Raises
    ------
    ModelError
        If an input has another type than numbers or bool.
    """
    odd = {name: kind for name, (kind, _) in model.inputs.items() if kind not in TYPES}
    if odd:
        msg = f"{where}: inputs of type {odd}; expected {', '.join(TYPES)}"
        raise ModelError(msg)
    if model.options.cuda_graphs:
        narrow = [name for name, (kind, _) in model.outputs.items() if kind != "tensor(float)"]
        if narrow:
            msg = f"{where}: cuda_graphs=True needs float32 outputs, {narrow} are not; leave it out"
            raise ModelError(msg)
    return {name: TYPES[kind] for name, (kind, _) in model.inputs.items()}


def fixed_batch(model: OpenModel, where: str) -> int | None:
    """The number of jets that a model takes at once, where its axes fix it.

    Parameters
    ----------
    model
        The open model.
    where
        Name of the file, for errors.

    Returns
    -------
    int or None
        None for a dynamic axis.

    Raises
    ------
    ModelError
        If inputs and outputs are fixed to different numbers: n jets would not give n rows.
    """
    given = {name: shape[0] for name, (_, shape) in model.inputs.items() if shape and isinstance(shape[0], int)}
    made = {name: shape[0] for name, (_, shape) in model.outputs.items() if shape and isinstance(shape[0], int)}
    fixed = set(given.values())
    if len(fixed) > 1 or not set(made.values()) <= fixed:
        msg = f"{where}: inputs fix the number of jets to {given or 'nothing'}, outputs to {made}; {AGAIN}"
        raise ModelError(msg)
    return next(iter(fixed), None)
