"""These tests need the package onnxruntime-gpu, which excludes onnxruntime: `make test-gpu-wheel` has both sides."""

from jepa_coffea.encoder.providers import installed

collect_ignore_glob = [] if "onnxruntime-gpu" in installed() else ["*"]
