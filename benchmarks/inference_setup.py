"""The models and the jets that benchmarks/inference.py compares on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from training.models.encoder import Encoder, EncoderConfig
from training.models.synthetic import synthetic_jets

SIZES: dict[str, dict[str, Any]] = {
    "mini": {"embed_dims": (64, 64, 64), "pair_dims": (16, 16), "heads": 4, "blocks": 4, "class_blocks": 1},
    "small": {},  # the published ParticleTransformer
    "published": {"embed_dims": (512, 512, 512), "blocks": 16},  # the published P-JEPA
}
"""Configurations of the encoder."""

REAL = (43, 51, 31, 42, 41, 58, 27, 29, 45, 25, 72, 74, 38, 17, 52, 76, 25, 29, 41, 41, 84, 53, 55, 27)
"""Particles of the AK8 jets of a PFNano sample of top pairs."""

Arrays = tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]


def encoder_of(size: str) -> Encoder:
    """The encoder with random weights, always the same ones."""
    torch.manual_seed(0)
    return Encoder(EncoderConfig(**SIZES[size])).eval()


def model_file(folder: Path, size: str, precision: str) -> Path:
    """Where a model file is."""
    return folder / f"{size}_{precision}.onnx"


def prepare(size: str, folder: Path, reduced: tuple[Literal["int8", "fp16"], ...]) -> None:
    """Write the ONNX files of a size, unless they are there."""
    full = model_file(folder, size, "fp32")
    if not full.exists():
        from training.export import export_encoder, provenance

        folder.mkdir(parents=True, exist_ok=True)
        made = provenance(SIZES[size], seed=0)
        export_encoder(
            encoder_of(size), full, name=size, objective="none", training_data="none: random weights", provenance=made
        )
    for precision in reduced:
        if not model_file(folder, size, precision).exists():
            from training.precision import reduce

            reduce(full, model_file(folder, size, precision), precision)


def real_multiplicities(jets: int = 2048) -> Arrays:
    """Made-up particles in jets with the multiplicities of real ones."""
    counts = np.random.default_rng(0).choice(REAL, jets)
    particles, mask, axes = synthetic_jets(counts.tolist())
    return particles[mask].numpy(), counts.astype(np.int64), axes.numpy()


def file_jets(path: Path, jets: int = 2048) -> Arrays:
    """Jets of an event or jet file, some of them often if it has fewer."""
    import awkward as ak

    from jepa_coffea.commands.validate import open_events
    from jepa_coffea.constituents import FIELDS, JET_FIELDS, constituents_of, jets_of

    events = open_events(path, jets)
    particles, axes = constituents_of(events), jets_of(events)
    if particles.ndim == 3:
        particles, axes = ak.flatten(particles, axis=1), ak.flatten(axes, axis=1)
    some = ak.num(particles) > 0
    particles, axes = particles[some], axes[some]
    chosen = np.random.default_rng(0).choice(len(particles), jets, replace=len(particles) < jets)
    particles, axes = particles[chosen], axes[chosen]
    flat = np.stack([ak.to_numpy(ak.flatten(particles[name])) for name in FIELDS], axis=1)
    four = np.stack([ak.to_numpy(axes[name]) for name in JET_FIELDS], axis=1)
    return flat.astype(np.float32), ak.to_numpy(ak.num(particles)).astype(np.int64), four.astype(np.float32)
