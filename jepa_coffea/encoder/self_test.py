"""The self-test: check that a model gives here what it gave at export."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jepa_coffea.encoder.card import TOLERANCE
from jepa_coffea.encoder.onnx import OnnxEncoder
from jepa_coffea.errors import ModelError


@dataclass(frozen=True)
class Agreement:
    """How one output of the reference jets compares."""

    output: str
    jets: int
    relative: float
    """Largest ``|here - reference| / max |reference|``; infinite where one is NaN and the other not."""
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether it is within the tolerance.

        Returns
        -------
        bool
        """
        return self.relative <= self.tolerance


def validate(encoder: OnnxEncoder) -> list[Agreement]:
    """Replay the reference jets of the encoder's card on its provider.

    Parameters
    ----------
    encoder
        An open model with a card.

    Returns
    -------
    list of Agreement
        One for each output.

    Raises
    ------
    ModelError
        If the card has no reference jets, or they do not fit the model.
    """
    reference = encoder.card.reference
    if reference is None or not reference.counts:
        msg = f"{encoder.path}: its card has no reference jets to replay; export it again with training/export.py"
        raise ModelError(msg)
    width = len(encoder.card.fields)
    particles = np.asarray(reference.particles, dtype=np.float32).reshape(-1, width)
    try:
        here = encoder(particles, np.asarray(reference.counts), np.asarray(reference.jets, dtype=np.float32))
    except (TypeError, ValueError) as error:
        msg = f"{encoder.path}: the reference jets of its card do not fit its model ({error})"
        raise ModelError(msg) from None
    lacking = sorted(set(here) - set(reference.outputs))
    if lacking:
        msg = f"{encoder.path}: the reference of its card lacks the outputs {lacking}"
        raise ModelError(msg)
    tolerance = TOLERANCE[encoder.card.precision]
    return [
        Agreement(name, len(reference.counts), _relative(got, np.asarray(reference.outputs[name])), tolerance)
        for name, got in here.items()
    ]


def _relative(got: np.ndarray, expected: np.ndarray) -> float:
    """Largest ``|got - expected| / max |expected|``, infinite where shapes or NaNs differ."""
    if got.shape != expected.shape or (np.isnan(got) != np.isnan(expected)).any():
        return float("inf")
    there = np.isfinite(expected)
    if not there.any():
        return 0.0
    scale = max(float(np.abs(expected[there]).max()), float(np.finfo(np.float32).tiny))
    return float(np.abs(got[there] - expected[there]).max() / scale)
