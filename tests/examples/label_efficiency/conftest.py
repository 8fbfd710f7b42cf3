"""The jets and the tiny run of the tests of training."""

from tests.training.conftest import jetclass, pretrained

__all__ = ["jetclass", "pretrained"]
