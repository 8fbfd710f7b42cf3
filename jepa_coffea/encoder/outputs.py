"""What the outputs of a model are: stated by the file or by its user, never guessed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import onnx
from numpy.typing import NDArray

from jepa_coffea.errors import ModelError

Kind = Literal["embedding", "scores", "logits", "regression"]
"""``scores`` are class probabilities as they are (softmax or sigmoid inside), ``logits`` become some by a softmax,
``regression`` stays what it is."""


@dataclass(frozen=True)
class Output:
    """One output of a graph."""

    name: str
    """In the graph."""
    kind: Kind
    width: int
    """Numbers a jet."""

    @property
    def key(self) -> str:
        """Name of the result: ``embedding``, ``scores``, or the output's own for a regression.

        Returns
        -------
        str
        """
        return {"embedding": "embedding", "scores": "scores", "logits": "scores"}.get(self.kind, self.name)


def outputs_of(
    proto: onnx.ModelProto, stated: Mapping[str, Kind] | None, classes: int, where: str
) -> tuple[Output, ...]:
    """The outputs to fetch, and what they are.

    Parameters
    ----------
    proto
        The loaded file.
    stated
        Name of an output to its kind; outputs that are not named are left alone. None: every output must say itself
        what it is, by a softmax at its end or by the name ``embedding`` or ``logits``.
    classes
        Number of class names.
    where
        Name of the file, for errors.

    Returns
    -------
    tuple of Output

    Raises
    ------
    ModelError
        If an output is not there, of another shape than its kind has, or does not say what it is.
    """
    nodes = {node.name: node for node in proto.graph.output}
    kinds = dict(stated) if stated is not None else {name: _read_off(proto, name, where) for name in nodes}
    absent = [name for name in kinds if name not in nodes]
    if absent or not kinds:
        msg = f"{where}: outputs= names {absent or 'nothing'}; the model has {[*nodes]}"
        raise ModelError(msg)
    odd = {name: kind for name, kind in kinds.items() if kind not in get_args(Kind)}
    if odd:
        msg = f"{where}: outputs={odd}: expected one of {', '.join(get_args(Kind))}"
        raise ModelError(msg)
    for name, kind in kinds.items():
        if kind == "logits" and (made := _maker(proto, name)) in ("Softmax", "Sigmoid"):
            msg = f"{where}: outputs= calls {name!r} logits, and a {made.lower()} makes it: it is 'scores'"
            raise ModelError(msg)
        if kind == "regression" and (name in ("embedding", "scores") or name.startswith("score_")):
            msg = (
                f"{where}: a regression called {name!r} would take the place of the field of that name; give the "
                "output another name in the graph (onnx.compose.add_prefix does)"
            )
            raise ModelError(msg)
    found = tuple(Output(name, kind, _width(nodes[name], kind, classes, where)) for name, kind in kinds.items())
    keys = [output.key for output in found]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        msg = f"{where}: several outputs give {twice}: {kinds}; name those to use in outputs="
        raise ModelError(msg)
    return found


def _maker(proto: onnx.ModelProto, name: str) -> str:
    """Type of the node that makes an output, behind those that change nothing."""
    made = {output: node for node in proto.graph.node for output in node.output}
    node = made.get(name)
    while node is not None and node.op_type in ("Identity", "Cast"):
        node = made.get(node.input[0])
    return "" if node is None else str(node.op_type)


def _read_off(proto: onnx.ModelProto, name: str, where: str) -> Kind:
    """What an output says of itself."""
    if _maker(proto, name) == "Softmax":
        return "scores"
    if name == "embedding":
        return "embedding"
    if name == "logits":
        return "logits"
    msg = (
        f"{where}: the output {name!r} does not say what it is (no softmax makes it). Say it: outputs={{{name!r}: "
        "'logits'}, or 'scores' for probabilities, 'regression', 'embedding'"
    )
    raise ModelError(msg)


def _width(node: onnx.ValueInfoProto, kind: Kind, classes: int, where: str) -> int:
    shape = axes(node)
    if len(shape) == 1 and kind == "regression":
        return 1
    last = shape[1] if len(shape) == 2 else None
    if kind in ("scores", "logits"):
        if len(shape) != 2 or last not in (None, classes):
            msg = f"{where}: expected {classes} class scores per jet, found {node.name!r} {shape}"
            raise ModelError(msg)
        return classes
    if last is None:
        msg = f"{where}: expected an output [jet, dim] of fixed width for {kind!r}, found {node.name!r} {shape}"
        raise ModelError(msg)
    return last


def axes(node: onnx.ValueInfoProto) -> list[int | None]:
    """Lengths of the axes of an input or output.

    Parameters
    ----------
    node
        As the graph declares it.

    Returns
    -------
    list of int or None
        None for dynamic axes.
    """
    return [axis.dim_value if axis.dim_value > 0 else None for axis in node.type.tensor_type.shape.dim]


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Class probabilities.

    Parameters
    ----------
    logits
        [jet, class].

    Returns
    -------
    numpy.ndarray
        float32, [jet, class].
    """
    powers = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    return powers / powers.sum(axis=1, keepdims=True)
