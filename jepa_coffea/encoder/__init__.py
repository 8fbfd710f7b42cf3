"""From a ragged chunk of jets to numpy embeddings: the model card, the sessions, the packing, the ONNX file."""

from jepa_coffea.encoder.onnx import OnnxEncoder

__all__ = ["OnnxEncoder"]
