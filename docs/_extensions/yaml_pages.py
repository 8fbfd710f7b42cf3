"""The reference of YAML documents: every key, what it takes, its default and its meaning, from the pydantic models."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
import types
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from jepa_coffea.clusters.registry import KINDS
from jepa_coffea.hunt.config import HuntConfig
from jepa_coffea.processing.embed_config import EmbedConfig
from training.config import RunConfig
from training.objectives import OBJECTIVES

INTRODUCTION = {
    "yaml-hunt.md": (
        "Hunt document",
        HuntConfig,
        "What `jepa-coffea hunt hunt.yaml` reads. Paths are relative to the document. Unknown keys are errors.",
    ),
    "yaml-embed.md": (
        "Embed document",
        EmbedConfig,
        "What `jepa-coffea embed hunt.yaml` reads: the section `embed` of a document. These keys stand under `embed:`.",
    ),
    "yaml-training.md": (
        "Training configuration",
        RunConfig,
        "What `pretrain.py --config` reads, and `--set section.key=value` changes. Examples: `training/configs`.",
    ),
}

WORDS = {int: "integer", float: "number", str: "text", bool: "true or false", Path: "path", type(None): "null"}
LIMITS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}


def pages() -> dict[str, str]:
    """One page per document."""
    return {name: page(*what) for name, what in INTRODUCTION.items()}


def page(title: str, model: type[BaseModel], text: str) -> str:
    """The page of a document: its keys, then those of each section."""
    lines = [f"# {title}", "", text, ""]
    for place, section in sections(model):
        if place:
            lines += [f"## {heading(place)}", "", described(section), ""]
        lines += [*table(section), ""]
    return "\n".join(lines)


def sections(model: type[BaseModel]) -> list[tuple[str, type[BaseModel]]]:
    """The model and all sections in it, with their places; then those that another key decides about."""
    found: list[tuple[str, type[BaseModel]]] = [("", model)]
    for more in ([], options(model)):
        found += more
        for place, section in found:
            for name, field in section.model_fields.items():
                inside = sections_in(field.annotation)
                for nested in inside:
                    where = f"{place}.{name}".lstrip(".")
                    if len(inside) > 1:
                        where += f" of {nested.model_fields['kind'].default}"
                    if (where, nested) not in found:
                        found.append((where, nested))
    return found


def options(model: type[BaseModel]) -> list[tuple[str, type[BaseModel]]]:
    """Sections that another key decides about: a mapping in the model, which no annotation tells of."""
    if "objective" in model.model_fields:
        return [(f"objective of {name}", one.options) for name, one in OBJECTIVES.items()]
    return [(f"cluster.options of {name}", kind.options) for name, kind in KINDS.items() if kind.options.model_fields]


def heading(place: str) -> str:
    """A section with what decides about it."""
    key, _, name = place.partition(" of ")
    inside, dot, rest = name.partition(".")
    return f"`{key}{dot}{rest}`" + (f" of `{inside}`" if name else "")


def described(model: type[BaseModel]) -> str:
    """The docstring of a section without its examples, which are of Python, as Markdown."""
    return markdown(re.split(r"\n\n(?:Examples\n-|>>> )", inspect.getdoc(model) or "")[0])


def table(model: type[BaseModel]) -> list[str]:
    """One row a key."""
    rows = ["| key | takes | default | |", "|---|---|---|---|"]
    texts = attribute_docstrings(model)
    for name, field in model.model_fields.items():
        limits = ", ".join(limit for item in field.metadata for limit in limits_of(item))
        takes = kind(field.annotation) + (f", {limits}" if limits else "")
        inside = sections_in(field.annotation)
        meaning = field.description or texts.get(name) or (described(inside[0]).split("\n\n")[0] if inside else "")
        cells = (f"`{name}`", takes, default(field), " ".join(markdown(meaning).split()))
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return rows


def attribute_docstrings(model: type[BaseModel]) -> dict[str, str]:
    """The strings that stand under the fields of a model and of those it derives from."""
    found: dict[str, str] = {}
    for cls in reversed([base for base in model.__mro__ if issubclass(base, BaseModel) and base is not BaseModel]):
        body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0].body  # type: ignore[attr-defined]
        for statement, following in pairwise(body):
            if not (isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)):
                continue
            if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
                found[statement.target.id] = inspect.cleandoc(str(following.value.value))
    return found


def markdown(text: str) -> str:
    """Roles and literals of reStructuredText as Markdown."""
    text = re.sub(r":\w+:`~?([^`<]+?)(?: <[^>]+>)?`", lambda match: f"`{match[1].lstrip('~')}`", text)
    return text.replace("``", "`")


def kind(annotation: Any) -> str:
    """What a key takes, in words."""
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        limits = ", ".join(limit for item in metadata for limit in limits_of(item))
        return kind(inner) + (f" {limits}" if limits else "")
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return ", or ".join(dict.fromkeys(kind(argument) for argument in arguments))
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return f"list of {plural(kind(arguments[0]))}"
        return "[" + ", ".join(kind(argument) for argument in arguments) + "]"
    if origin in (list, set, frozenset):
        return f"list of {plural(kind(arguments[0]))}"
    if origin is dict:
        return f"mapping of {kind(arguments[0])} to {kind(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    return WORDS.get(annotation, "anything" if annotation is Any else str(getattr(annotation, "__name__", annotation)))


def plural(word: str) -> str:
    """``number`` to ``numbers``, where that is so simple."""
    return f"{word}s" if word in ("number", "integer", "path", "section") else word


def limits_of(item: Any) -> list[str]:
    """Bounds that one entry of pydantic's metadata sets."""
    inner = getattr(item, "metadata", None)
    if inner:
        return [limit for one in inner for limit in limits_of(one)]
    found = [f"{word} {getattr(item, name):g}" for name, word in LIMITS.items() if hasattr(item, name)]
    if hasattr(item, "min_length"):
        found.append(f"at least {item.min_length} of them")
    return found


def default(field: Any) -> str:
    """The default as YAML, or that there is none."""
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "**required**"
    if isinstance(value, BaseModel):
        return "see below"
    if value is None:
        return "`null`"
    if isinstance(value, (tuple, set, frozenset)):
        value = list(value)
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000) if not isinstance(value, Path) else str(value)
    return f"`{text.removesuffix('...' + chr(10)).strip()}`"


def sections_in(annotation: Any) -> list[type[BaseModel]]:
    """The models that a key may hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in sections_in(argument)]
