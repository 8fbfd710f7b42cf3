"""YAML documents that users write, checked against what can be said in them."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError


class Section(BaseModel):
    """Part of a document; a key it does not know is an error, not a silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)


S = TypeVar("S", bound=Section)


def read_document(path: Path, form: type[S], error: type[ValueError], section: str = "") -> S:
    """The document at ``path``, or one section of it, as ``form``.

    Raises
    ------
    error
        If there is no such file or section, it is no YAML, or keys are unknown or wrong, one line each.
    """
    if not path.is_file():
        msg = f"no document {path}"
        raise error(msg)
    try:
        content = yaml.safe_load(path.read_text())
    except yaml.YAMLError as wrong:
        msg = f"{path} is no YAML: {wrong}"
        raise error(msg) from None
    if isinstance(content, dict) and section:
        content = content.get(section)
    if not isinstance(content, dict):
        needed = ", ".join(name for name, field in form.model_fields.items() if field.is_required())
        msg = f"{path} has no {f'section {section!r}' if section else 'mapping'} with at least {needed}"
        raise error(msg)
    try:
        return form.model_validate(content)
    except ValidationError as wrong:
        places = [".".join(map(str, ([section] if section else []) + list(one["loc"]))) for one in wrong.errors()]
        lines = [f"  {place or 'document'}: {one['msg']}" for place, one in zip(places, wrong.errors(), strict=True)]
        msg = f"{path} cannot be used:\n" + "\n".join(lines)
        raise error(msg) from None
