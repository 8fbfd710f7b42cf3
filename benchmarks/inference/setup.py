"""The models and the jets that the inference benchmark compares on.

torch is imported where it is used: the ways that need none are measured without the memory that it takes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from training.models.encoder import Encoder

SIZES: dict[str, dict[str, Any]] = {
    "mini": {
        "embed_dims": (128, 96),
        "pair_dims": (16, 16),
        "heads": 6,
        "blocks": 4,
        "max_particles": 64,
        "scale_input": True,
        "pooled": True,
    },
    "small": {"embed_dims": (256, 256)},
    "published": {"embed_dims": (512, 512, 512), "blocks": 16},
}
"""Encoders of training/configs/pjepa_mini.yaml, pjepa_small.yaml and pjepa.yaml; here because YAML may be missing."""

REAL = (43, 51, 31, 42, 41, 58, 27, 29, 45, 25, 72, 74, 38, 17, 52, 76, 25, 29, 41, 41, 84, 53, 55, 27)
"""Particles of the AK8 jets of a PFNano sample of top pairs."""

SHOWN = 16
"""Jets whose embeddings are compared."""

CHUNK = {"mini": 1024, "small": 256, "published": 32}
"""Jets that a CPU takes a few seconds for; all ways get the same ones."""

Arrays = tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]


def encoder_of(size: str) -> Encoder:
    """The encoder with random weights, always the same ones."""
    import torch

    from training.models.encoder import Encoder, EncoderConfig

    torch.manual_seed(0)
    return Encoder(EncoderConfig(**SIZES[size])).eval()


def model_file(folder: Path, size: str, precision: str) -> Path:
    """Where a model file is."""
    return folder / f"{size}_{precision}.onnx"


def prepare(size: str, folder: Path, reduced: tuple[Literal["int8", "fp16"], ...]) -> None:
    """Write the ONNX files of a size, unless they are there."""
    full = model_file(folder, size, "fp32")
    if not full.exists():
        import onnx

        from jepa_coffea.encoder.card import ModelCard, Provenance, write_card
        from training.exporting.onnx_graph import Exported, measure_parity, reference_jets, to_onnx

        folder.mkdir(parents=True, exist_ok=True)
        encoder = encoder_of(size)
        config = encoder.config
        module = Exported(encoder, None, particle_embedding=False).eval()
        model = to_onnx(module, fields=config.fields)
        made = {"git_hash": "none", "config": SIZES[size], "seed": 0, "packages": {}, "created": "for a benchmark"}
        card = ModelCard(
            name=size,
            objective="none",
            fields=config.fields,
            max_particles=config.max_particles,
            embedding_dim=config.embedding_dim,
            training_data="none: random weights",
            provenance=Provenance.model_validate(made),
            parity=measure_parity(model, module, config.max_particles),
            reference=reference_jets(model, fields=config.fields, max_particles=config.max_particles),
        )
        write_card(model, card)
        onnx.save(model, str(full))
    for precision in reduced:
        if not model_file(folder, size, precision).exists():
            from training.exporting.precision import reduce_precision

            reduce_precision(full, model_file(folder, size, precision), precision)


def real_multiplicities(jets: int = 2048) -> Arrays:
    """Made-up particles in jets with the multiplicities of real ones."""
    from training.models.synthetic import synthetic_jets

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


def chosen(size: str, arrays: Arrays, provider: str) -> Arrays:
    """The jets that all ways get, with their hardest particles, as many as the model takes."""
    from training.models.encoder import EncoderConfig

    flat, counts, axes = first(arrays, CHUNK[size] if provider == "cpu" else len(arrays[1]))
    most = EncoderConfig(**SIZES[size]).max_particles
    kept = np.concatenate([np.arange(count) < most for count in counts])
    return flat[kept], np.minimum(counts, most), axes


def first(arrays: Arrays, jets: int) -> Arrays:
    """That many of the jets."""
    flat, counts, axes = arrays
    return flat[: counts[:jets].sum()], counts[:jets], axes[:jets]


def macs(size: str, counts: NDArray[np.int64]) -> float:
    """Multiply-accumulates of jets with ``counts`` particles, without padding."""
    from training.models.encoder import EncoderConfig
    from training.models.flops import encoder_macs

    config = EncoderConfig(**SIZES[size])
    return sum(encoder_macs(config, int(count)) for count in counts)
