"""Self-supervised jet representations in coffea: embed jets with an ONNX encoder, hunt bumps with what it sees."""

from typing import TYPE_CHECKING, Any

from jepa_coffea.encoder.card import ModelCard, read_card

if TYPE_CHECKING:
    from jepa_coffea.embedding.embedder import JEPAEmbedder

__all__ = ["JEPAEmbedder", "ModelCard", "read_card"]


def __getattr__(name: str) -> Any:
    # The encoder room alone needs no awkward array: nodes that only run models import it without.
    if name == "JEPAEmbedder":
        from jepa_coffea.embedding.embedder import JEPAEmbedder

        return JEPAEmbedder
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
