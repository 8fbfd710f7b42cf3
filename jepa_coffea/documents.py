"""YAML documents that users write, checked against what can be said in them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.functional_validators import ModelWrapValidatorHandler
from pydantic_core import InitErrorDetails, PydanticCustomError

from jepa_coffea.errors import JepaCoffeaError, closest, did_you_mean
from jepa_coffea.files.yaml import read_yaml


class Section(BaseModel):
    """Part of a document; a key that it does not know is an error, with the closest key that it knows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="wrap")
    @classmethod
    def _name_the_closest(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(value)
        except ValidationError as wrong:
            raise ValidationError.from_exception_data(
                cls.__name__, [cls._hinted(one) for one in wrong.errors()]
            ) from None

    @classmethod
    def _hinted(cls, error: Any) -> InitErrorDetails:
        kind, text, place = error["type"], error["msg"], error["loc"]
        if kind == "extra_forbidden" and len(place) == 1:
            kind, text = "unknown_key", f"no such key; {did_you_mean(str(place[0]), cls.model_fields)}"
        elif kind == "literal_error" and isinstance(error["input"], str):
            kind = "unknown_word"
            meant = closest(error["input"], re.findall(r"'([^']*)'", error["ctx"]["expected"]))
            text += f", got {error['input']!r}" + (f"; did you mean {meant!r}?" if meant else "")
        custom = PydanticCustomError(kind, "{text}", {"text": text})
        return InitErrorDetails(type=custom, loc=place, input=error["input"])


def _expand(text: str) -> str:
    if text == "~" or text.startswith("~/"):
        text = str(Path(text).expanduser())
    unset = [name for name in re.findall(r"\$\{?([A-Za-z_]\w*)\}?", text) if name not in os.environ]
    if unset and not Path(text).exists():
        msg = f"{text}: the environment variable {unset[0]} is not set"
        raise ValueError(msg)
    return text if unset else os.path.expandvars(text)


def anchored(path: str | Path, folder: Path | None) -> str:
    """A path or glob of a document, for use from anywhere.

    Parameters
    ----------
    path
        As written; a URL stays as it is.
    folder
        Of the document. None: relative paths stay relative.

    Returns
    -------
    str
        With ``~``, ``$NAME`` and ``${NAME}`` replaced, and ``folder`` in front unless it is absolute.

    Raises
    ------
    ValueError
        If an environment variable is not set.
    """
    text = str(path)
    if "://" in text:
        return text
    text = _expand(text)
    return text if folder is None else str(folder / text)


def _folder(info: ValidationInfo) -> Path | None:
    return (info.context or {}).get("folder")


Location = Annotated[str, AfterValidator(lambda text, info: anchored(text, _folder(info)))]
"""A path, glob or URL in a document, relative to the document."""

LocalPath = Annotated[Path, AfterValidator(lambda path, info: Path(anchored(path, _folder(info))))]
"""A path in a document that is no URL, relative to the document."""

COLLIDERS_TEV = (0.2, 0.51, 0.54, 0.63, 0.9, 1.8, 1.96, 2.36, 2.76, 5.02, 5.36, 7, 8, 8.16, 13, 13.6, 14, 27, 85, 100)
"""Energies of hadron colliders, TeV: RHIC, SppS, Tevatron, LHC, and what is planned. Electron colliders whose events
one may hunt in (10.58 GeV, 91.2 GeV, 161 to 209 GeV) have none of these in GeV."""

HIGHEST = 4e5
"""GeV; no collider of a higher energy is planned, and in MeV Tevatron and LHC are above it."""


def in_gev(energy: float) -> float:
    """A centre-of-mass energy, unless it looks like one in TeV or MeV.

    Parameters
    ----------
    energy
        As a document or a file says it.

    Returns
    -------
    float
        The same.

    Raises
    ------
    ValueError
        If it is one of a hadron collider in TeV, or higher than any in GeV.
    """
    unit, factor = "MeV", 1e-3
    if any(abs(energy - known) < 0.005 * known for known in COLLIDERS_TEV):
        unit, factor = "TeV", 1e3
    elif energy <= HIGHEST:
        return energy
    msg = (
        f"sqrt_s = {energy:g}: GeV expected; is this {unit}? Then write {energy * factor:g}, and all masses in GeV, too"
    )
    raise ValueError(msg)


Energy = Annotated[float, Field(gt=0, allow_inf_nan=False), AfterValidator(in_gev)]
"""A centre-of-mass energy in a document, GeV."""

S = TypeVar("S", bound=Section)


def read_document(path: Path, form: type[S], error: type[JepaCoffeaError], section: str = "") -> S:
    """A document, or one section of it, checked.

    Parameters
    ----------
    path
        Of the YAML file; :data:`Location` and :data:`LocalPath` in it are relative to its folder.
    form
        What it must be.
    error
        What to raise.
    section
        Name of the section; without one, the whole document.

    Returns
    -------
    form

    Raises
    ------
    error
        If there is no such file or section, it is no YAML, or keys are unknown or wrong, one line each.
    """
    content = read_yaml(path, error)
    if isinstance(content, dict) and section:
        content = content.get(section)
    if not isinstance(content, dict):
        needed = ", ".join(name for name, field in form.model_fields.items() if field.is_required())
        msg = f"{path} has no {f'section {section!r}' if section else 'mapping'} with at least {needed}"
        raise error(msg)
    try:
        return form.model_validate(content, context={"folder": path.resolve().parent})
    except ValidationError as wrong:
        start = [section] if section else []
        lines = [
            f"  {'.'.join(map(str, [*start, *place])) or 'document'}: {text}"
            for place, text in _told(wrong.errors(), content)
        ]
        msg = f"{path} cannot be used:\n" + "\n".join(lines)
        raise error(msg) from None


Place = tuple[int | str, ...]


def _told(errors: Sequence[Any], content: Any) -> list[tuple[Place, str]]:
    """Places in the document and what is wrong there.

    Where one of several forms is allowed, pydantic tells of each why the document is not of it. Of these the form that
    the document comes nearest to is told, the one whose fault lies deepest.
    """
    found: list[tuple[Place, tuple[Place, ...], str]] = []
    for one in errors:
        place, forms = _place(one["loc"], content)
        found.append((place, forms, one["msg"].removeprefix("Value error, ")))
    depth: dict[Place, int] = {}
    for place, forms, _ in found:
        for form in forms:
            depth[form] = max(depth.get(form, 0), len(place))
    told: dict[Place, list[str]] = {}
    for place, forms, text in found:
        if all(len(place) == depth[form] for form in forms):
            told.setdefault(place, []).append(text)
    return [(place, "; or ".join(dict.fromkeys(texts))) for place, texts in told.items()]


def _is_form(step: str) -> bool:
    """Whether a step is pydantic's name of a form: ``str``, ``list[str]``, ``SignalShape``; no key is like them."""
    return "[" in step or step in ("str", "int", "float", "bool") or step[:1].isupper()


def _place(loc: Place, content: Any) -> tuple[Place, tuple[Place, ...]]:
    """The place of an error in the document, and those places on the way at which several forms are allowed."""
    place: Place = ()
    forms: tuple[Place, ...] = ()
    for step in loc:
        is_key = isinstance(content, dict) and (step in content or not _is_form(str(step)))
        if isinstance(step, str) and not is_key:
            forms = (*forms, place)
            continue
        place = (*place, step)
        try:
            content = content[step]
        except (LookupError, TypeError):
            content = {}  # a section that is not there, and what it lacks
    return place, forms
