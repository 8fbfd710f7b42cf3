"""Self-supervised jet representations in coffea: embed jets with an ONNX encoder, hunt bumps with what it sees."""

from jepa_coffea.encoder.card import ModelCard, read_card

__all__ = ["ModelCard", "read_card"]
