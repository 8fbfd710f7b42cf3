"""Faults of files: cut, flipped, overwritten, and structures with a part missing or of another type."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

Fault = tuple[str, Callable[[bytes, random.Random], bytes]]


def _cut(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randrange(len(content))]


def _flip(content: bytes, draw: random.Random) -> bytes:
    changed = bytearray(content)
    changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _zero(content: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(content))
    size = min(len(content) - start, draw.choice([1, 16, 512]))
    return content[:start] + bytes(size) + content[start + size :]


def _append(content: bytes, draw: random.Random) -> bytes:
    return content + draw.randbytes(draw.choice([1, 100]))


def _noise(content: bytes, draw: random.Random) -> bytes:
    return draw.randbytes(min(len(content), 2000))


BYTES: tuple[Fault, ...] = (("cut", _cut), ("flip", _flip), ("zero", _zero), ("append", _append), ("noise", _noise))
"""Of any file."""

STRANGE = (None, True, -1, 0, 2**70, float("nan"), "", "x", "[/x]", "\x1b[31m", "\ud800", [], {}, [[[]]], {"": {}})
"""What stands where something else should be."""


def structures(content: bytes, draw: random.Random) -> bytes:
    """A JSON document with one part missing, doubled, or of another kind."""
    tree = json.loads(content)
    places = list(_places(tree))
    holder, key = draw.choice(places)
    what = draw.choice(["drop", "strange", "nest", "rename"])
    if what == "drop":
        del holder[key]
    elif what == "nest":
        holder[key] = [copy.deepcopy(holder[key])]
    elif what == "rename" and isinstance(holder, dict):
        holder[f"{key}x"] = holder.pop(key)
    else:
        holder[key] = draw.choice(STRANGE)
    return json.dumps(tree).encode("utf-8", "surrogatepass")


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    for key in list(tree) if isinstance(tree, dict) else range(len(tree)):
        yield tree, key
        if isinstance(tree[key], dict | list):
            yield from _places(tree[key])


STRUCTURE: tuple[Fault, ...] = (("structure", structures),)
"""Of a JSON document, which YAML is a superset of."""
