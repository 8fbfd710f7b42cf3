"""Fixtures of this room."""

from tests.support.runs import fileset, model, undisturbed

__all__ = ["fileset", "model", "undisturbed"]
