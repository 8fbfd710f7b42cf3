"""The encoders that are timed: those of the shipped configurations, read from them, and a few of fixed size."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from benchmarks.machine import ROOT

if TYPE_CHECKING:
    from training.models.encoder import EncoderConfig

CONFIGS = {"mini": "pjepa_mini.yaml", "small": "pjepa_small.yaml", "published": "pjepa.yaml"}
"""Files in training/configs; ``published`` is the size of P-JEPA at ML4Jets 2024."""

FIXED: dict[str, dict[str, Any]] = {
    "tiny": {"embed_dims": [64, 64], "pair_dims": [16, 16], "heads": 4, "blocks": 2, "max_particles": 64},
    "base": {"embed_dims": [128, 512, 128], "pair_dims": [64, 64, 64], "heads": 8, "blocks": 8},
}
"""``tiny`` tries a benchmark out; ``base`` is ParticleTransformer's own size."""

PRETRAINING: dict[str, Any] = {"name": "pjepa", "predictor": {"dim": 32, "heads": 4, "blocks": 2}, "last_blocks": 2}
"""The objective for sizes without a configuration."""


@cache
def sections(size: str) -> dict[str, Any]:
    """Read the configuration of a size.

    Parameters
    ----------
    size
        ``mini``, ``small``, ``published``, ``tiny`` or ``base``.

    Returns
    -------
    dict
        Sections ``encoder`` and ``objective`` among others.
    """
    if size in FIXED:
        return {"encoder": FIXED[size], "objective": PRETRAINING}
    import yaml

    content: dict[str, Any] = yaml.safe_load((ROOT / "training" / "configs" / CONFIGS[size]).read_text())
    return content


def encoder_config(size: str) -> EncoderConfig:
    """Give the architecture of a size.

    Parameters
    ----------
    size
        As for :func:`sections`.

    Returns
    -------
    EncoderConfig
        Checked.
    """
    from training.models.encoder import EncoderConfig

    return EncoderConfig.model_validate(sections(size)["encoder"])
