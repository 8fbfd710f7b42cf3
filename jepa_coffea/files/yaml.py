"""YAML files that users write: of bounded size, every key once, and no code.

Not part of ``jepa_coffea.files`` itself, since what only opens a model needs no yaml.
"""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from jepa_coffea.errors import JepaCoffeaError

LARGEST = 2_000_000
"""Bytes of a document; one that says what to do is a thousand times smaller."""

MOST_VALUES = 200_000
"""Values in a document, aliases counted as often as they are used."""


def read_yaml(path: Path, error: type[JepaCoffeaError]) -> Any:
    """The content of a YAML file, of bounded size, with every key once; nothing in it can run code.

    Parameters
    ----------
    path
        Of the file.
    error
        What to raise.

    Returns
    -------
    Any
        What YAML says.

    Raises
    ------
    JepaCoffeaError
        Of the type ``error``, if it is no such file.
    """
    if not path.is_file():
        msg = f"no document {path}"
        raise error(msg)
    try:
        raw = path.read_bytes()
        if len(raw) > LARGEST:
            msg = f"{path} has {len(raw):,} bytes; a document has at most {LARGEST:,}"
            raise error(msg)
        node = yaml.compose(raw.decode(), Loader=yaml.SafeLoader)
        _require_bounded(node)
        return yaml.load(raw.decode(), Loader=_OnceEach)
    except OSError as wrong:
        msg = f"{path} cannot be read: {wrong.strerror}"
        raise error(msg) from None
    except UnicodeDecodeError as wrong:
        msg = f"{path} is no YAML: it is not UTF-8 ({wrong.reason} at byte {wrong.start})"
        raise error(msg) from None
    except RecursionError:
        msg = f"{path} is no YAML that a document may be: nested too deeply"
        raise error(msg) from None
    except (yaml.YAMLError, ValueError, OverflowError) as wrong:
        if isinstance(wrong, error):
            raise
        msg = f"{path} is no YAML: {wrong}"
        raise error(msg) from None


def _require_bounded(node: yaml.Node | None) -> None:
    """Raise if aliases blow a document up, or contain themselves."""
    sizes: dict[int, int] = {}
    inside: set[int] = set()

    def size(one: yaml.Node | None) -> int:
        if not isinstance(one, yaml.CollectionNode):
            return 1
        if id(one) in inside:
            msg = f"an alias contains itself, line {one.start_mark.line + 1}"
            raise yaml.YAMLError(msg)
        if id(one) not in sizes:
            inside.add(id(one))
            parts = [part for pair in one.value for part in pair] if isinstance(one, yaml.MappingNode) else one.value
            sizes[id(one)] = 1 + sum(map(size, parts))
            inside.discard(id(one))
        return sizes[id(one)]

    if size(node) > MOST_VALUES:
        msg = f"its aliases stand for more than {MOST_VALUES:,} values"
        raise yaml.YAMLError(msg)


class _OnceEach(yaml.SafeLoader):
    """Refuses a key that is given twice, of which YAML's own loader keeps the last without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge" or not isinstance(key.value, str):
                continue
            if key.value in seen:
                msg = f"the key {key.value!r} is given twice, line {key.start_mark.line + 1}"
                raise yaml.YAMLError(msg)
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)
