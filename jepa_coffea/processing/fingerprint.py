"""What a function does, as a short text that is the same in every process."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import CodeType
from typing import Any

import cloudpickle

from jepa_coffea.files import bytes_hash


def fingerprint(function: Callable[..., Any]) -> str:
    """Name and hash of what a function does: its code, defaults, what it closes over, and constants of its module.

    The same in every process. Functions that it calls are not part of it.

    Parameters
    ----------
    function
        A function, method, partial or callable object.

    Returns
    -------
    str
    """
    name = getattr(function, "__qualname__", None) or repr(function)
    return f"{name} {bytes_hash(repr(_content(function)).encode())[:12]}"


def _content(value: Any) -> Any:
    if isinstance(value, functools.partial):
        return [_content(part) for part in (value.func, value.args, value.keywords)]
    if inspect.ismethod(value):
        return [_content(value.__func__), _content(value.__self__)]
    if inspect.isfunction(value):
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        used = {name: value.__globals__.get(name) for name in value.__code__.co_names}
        constants = {
            name: used[name] for name in sorted(used) if isinstance(used[name], bool | int | float | str | tuple)
        }
        inner = [_content(part) for part in (*cells, value.__defaults__, value.__kwdefaults__)]
        return [_code(value.__code__), inner, constants]
    call = getattr(type(value), "__call__", None)  # noqa: B004  the function itself is wanted
    code = [_code(call.__code__)] if inspect.isfunction(call) else []
    return [*code, bytes_hash(cloudpickle.dumps(value))]


def _code(code: CodeType) -> Any:
    return [code.co_code.hex(), [_constant(constant) for constant in code.co_consts], code.co_names]


def _constant(constant: Any) -> Any:
    if isinstance(constant, CodeType):
        return _code(constant)
    # The order of a set is another in every process.
    return sorted(map(repr, constant)) if isinstance(constant, frozenset) else repr(constant)
