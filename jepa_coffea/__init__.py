"""Self-supervised jet representations in coffea: embed jets with an ONNX encoder, search for bumps."""

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from jepa_coffea.encoder.card import ModelCard, read_card

if TYPE_CHECKING:
    from jepa_coffea.embedding.embedder import JEPAEmbedder
    from jepa_coffea.processing.run import run

__all__ = ["JEPAEmbedder", "ModelCard", "__version__", "read_card", "run"]

try:
    __version__ = version("jepa-coffea")
except PackageNotFoundError:  # a source folder on the path that was never installed
    __version__ = "unknown"

_HOMES = {"JEPAEmbedder": "jepa_coffea.embedding.embedder", "run": "jepa_coffea.processing.run"}


def __getattr__(name: str) -> Any:
    # The encoder room alone needs neither awkward array nor coffea: nodes that only run models import it without.
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
