"""From a trained encoder to its one ONNX file: the graph, its fastest form, the card, and reduced precision."""
