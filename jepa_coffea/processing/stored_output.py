"""Outputs of processors as bytes that hold no code: JSON, arrays, and histograms in hist's own serialisation."""

from __future__ import annotations

import io
import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import awkward as ak
import hist
import lz4.frame
import numpy as np
from boost_histogram.serialization import from_uhi, to_uhi
from coffea.processor import column_accumulator, value_accumulator
from coffea.processor.executor import WorkItem
from numpy.typing import NDArray

from jepa_coffea.errors import JepaCoffeaError

TAG = "#"
"""Key of a JSON object that stands for something that JSON has not."""

DEFAULTS = {"int": int, "float": float, "list": list, "dict": dict, "set": set}
"""Factories of a defaultdict by name."""


class StoredOutputError(JepaCoffeaError, TypeError):
    """An output that holds what cannot be kept."""


def to_bytes(output: Any) -> bytes:
    """An output, for a file.

    Parameters
    ----------
    output
        Numbers, text, NumPy and awkward arrays, histograms, chunks, coffea's column and value accumulators, and
        dictionaries, lists, tuples and sets of these.

    Returns
    -------
    bytes

    Raises
    ------
    StoredOutputError
        If something else is in it, naming where.
    """
    arrays: list[NDArray[Any]] = []
    tree = json.dumps(_encode(output, arrays, "output")).encode()
    buffer = io.BytesIO()
    buffer.write(len(tree).to_bytes(8, "little") + tree)
    for array in arrays:
        np.save(buffer, array, allow_pickle=False)
    return bytes(lz4.frame.compress(buffer.getvalue()))


def from_bytes(content: bytes) -> Any:
    """The output of :func:`to_bytes`.

    Parameters
    ----------
    content
        Of the file.

    Returns
    -------
    Any
        An equal output.
    """
    buffer = io.BytesIO(lz4.frame.decompress(content))
    tree = json.loads(buffer.read(int.from_bytes(buffer.read(8), "little")))
    end = len(buffer.getvalue())
    arrays = []
    while buffer.tell() < end:
        arrays.append(np.load(buffer, allow_pickle=False))
    return _decode(tree, arrays)


def _encode(value: Any, arrays: list[NDArray[Any]], where: str) -> Any:
    def inner(part: Any, name: Any) -> Any:
        return _encode(part, arrays, f"{where}[{name!r}]")

    def keep(array: NDArray[Any]) -> int:
        arrays.append(array)
        return len(arrays) - 1

    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, np.generic | np.ndarray) and not value.dtype.hasobject:
        return {TAG: "scalar" if isinstance(value, np.generic) else "array", "at": keep(np.asarray(value))}
    if isinstance(value, bytes):
        return {TAG: "bytes", "at": keep(np.frombuffer(value, np.uint8))}
    if isinstance(value, hist.Hist):
        return {TAG: "hist", "of": inner(to_uhi(value), "histogram")}
    if isinstance(value, ak.Array):
        form, length, buffers = ak.to_buffers(ak.to_packed(value))
        return {TAG: "awkward", "form": form.to_json(), "length": length, "of": inner(dict(buffers), "buffers")}
    if isinstance(value, WorkItem):
        fields = {name: getattr(value, name) for name in WorkItem.__dataclass_fields__}
        return {TAG: "chunk", "of": inner(fields, "chunk")}
    if isinstance(value, column_accumulator):
        return {TAG: "column", "of": inner(value.value, "column")}
    if isinstance(value, value_accumulator) and getattr(value.default_factory, "__name__", "") in DEFAULTS:
        return {TAG: "value", "default": value.default_factory.__name__, "of": inner(value.value, "value")}
    if isinstance(value, list):
        return [inner(part, number) for number, part in enumerate(value)]
    if isinstance(value, tuple | set | frozenset):
        kind = "tuple" if isinstance(value, tuple) else "frozenset" if isinstance(value, frozenset) else "set"
        return {TAG: kind, "of": [inner(part, number) for number, part in enumerate(value)]}
    if isinstance(value, Mapping):
        pairs = [[inner(key, "key"), inner(part, key)] for key, part in value.items()]
        if isinstance(value, Counter):
            return {TAG: "counter", "of": pairs}
        if isinstance(value, defaultdict):
            factory = getattr(value.default_factory, "__name__", "")
            return {TAG: "defaultdict" if factory in DEFAULTS else "dict", "default": factory, "of": pairs}
        return {TAG: "dict", "of": pairs}
    msg = (
        f"{where} is a {type(value).__name__}, which no checkpoint can keep: expected numbers, text, arrays, "
        "histograms and dictionaries, lists, tuples and sets of these. Return such, or run without checkpoints"
    )
    raise StoredOutputError(msg)


def _decode(value: Any, arrays: list[NDArray[Any]]) -> Any:
    def inner(part: Any) -> Any:
        return _decode(part, arrays)

    if isinstance(value, list):
        return [inner(part) for part in value]
    if not isinstance(value, dict):
        return value
    kind = value[TAG]
    if kind in ("array", "scalar", "bytes"):
        found = arrays[value["at"]]
        return found if kind == "array" else found[()] if kind == "scalar" else found.tobytes()
    if kind in ("tuple", "set", "frozenset"):
        return {"tuple": tuple, "set": set, "frozenset": frozenset}[kind](map(inner, value["of"]))
    if kind in ("dict", "counter", "defaultdict"):
        pairs = {inner(key): inner(part) for key, part in value["of"]}
        if kind == "counter":
            return Counter(pairs)
        return defaultdict(DEFAULTS[value["default"]], pairs) if kind == "defaultdict" else pairs
    of = inner(value["of"])
    if kind == "hist":
        return hist.Hist(from_uhi(of))
    if kind == "awkward":
        return ak.from_buffers(ak.forms.from_json(value["form"]), value["length"], of)
    if kind == "chunk":
        return WorkItem(**of)
    if kind == "column":
        return column_accumulator(of)
    if kind == "value":
        return value_accumulator(DEFAULTS[value["default"]], of)
    msg = f"unknown kind {kind!r} in a checkpoint"
    raise StoredOutputError(msg)
