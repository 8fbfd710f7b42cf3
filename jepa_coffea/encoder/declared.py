"""What a file declares of its inputs and outputs: types, and axes that are fixed."""

from __future__ import annotations

from typing import Any

import numpy as np

from jepa_coffea.encoder.card import ModelError
from jepa_coffea.encoder.session import OpenModel

TYPES: dict[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(bool)": np.bool_,
}
"""Types of inputs that jets can be given in."""

AGAIN = "export it again with dynamic axes for jets and particles (weaver-core: a version of June 2026 or later)"
"""What to do about a graph that was frozen."""


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
