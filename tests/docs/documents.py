"""Whether a YAML block of the documentation is a document, or part of one, that the project would take."""

from __future__ import annotations

from typing import Any

import yaml

from jepa_coffea.commands.wrap import CardDocument
from jepa_coffea.hunt.config import HuntConfig
from jepa_coffea.processing.embed_config import EmbedConfig
from training.config import RunConfig

HUNT: dict[str, Any] = {"input": {"events": ["embedded/*.parquet"]}, "output": "hunt"}
EMBED: dict[str, Any] = {"model": "encoder.onnx", "files": {"data": ["events.root"]}, "output": "embedded"}
TRAINING: dict[str, Any] = yaml.safe_load(
    "{objective: {name: pjepa}, encoder: {embed_dims: [64]}, data: {train_files: [jets.root]}, steps: 10}"
)


def check(text: str) -> None:
    """Raise pydantic's ValidationError unless the keys are those of a document or of a card."""
    content = yaml.safe_load(text)
    assert isinstance(content, dict), "expected a mapping"
    if "embed" in content:
        EmbedConfig.model_validate(EMBED | content["embed"])
    if set(content) <= {"embed"}:
        return
    if "cluster" in content and set(content) <= set(EmbedConfig.model_fields):
        EmbedConfig.model_validate(EMBED | content)
    elif set(content) <= set(CardDocument.model_fields):
        CardDocument.model_validate(content)
    elif set(content) <= set(HuntConfig.model_fields):
        HuntConfig.model_validate(HUNT | content)
    else:
        RunConfig.model_validate(TRAINING | content)
