"""The models and the jets that the inference benchmark compares on.

torch is imported where it is used: the ways that need none are measured without the memory that it takes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.encoders import encoder_config, sections

if TYPE_CHECKING:
    from training.models.encoder import Encoder

SIZES = ("mini", "small", "published", "tiny")
"""Encoders of :mod:`benchmarks.encoders`."""

REAL = (43, 51, 31, 42, 41, 58, 27, 29, 45, 25, 72, 74, 38, 17, 52, 76, 25, 29, 41, 41, 84, 53, 55, 27)
"""Particles of the AK8 jets of a PFNano sample of top pairs."""

SHOWN = 16
"""Jets whose embeddings are compared."""

CHUNK = {"tiny": 256, "mini": 1024, "small": 256, "published": 32}
"""Jets that a CPU takes a few seconds for; all ways get the same ones."""

Arrays = tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]


def encoder_of(size: str) -> Encoder:
    """The encoder with random weights, always the same ones.

    Parameters
    ----------
    size
        Of the encoder: one of ``SIZES``.

    Returns
    -------
    Encoder
        In evaluation mode.
    """
    import torch

    from training.models.encoder import Encoder

    torch.manual_seed(0)
    return Encoder(encoder_config(size)).eval()


def model_file(folder: Path, size: str, precision: str) -> Path:
    """Where a model file is.

    Parameters
    ----------
    folder
        Of the model files.
    size
        Of the encoder: one of ``SIZES``.
    precision
        ``fp32``, ``fp16`` or ``int8``.

    Returns
    -------
    Path
        ``SIZE_PRECISION.onnx``.
    """
    return folder / f"{size}_{precision}.onnx"


def prepare(size: str, folder: Path, reduced: tuple[Literal["int8", "fp16"], ...]) -> None:
    """Write the ONNX files of a size, unless they are there.

    Parameters
    ----------
    size
        Of the encoder: one of ``SIZES``.
    folder
        Of the model files.
    reduced
        Precisions to write besides fp32.
    """
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
        made = {
            "git_hash": "none",
            "config": sections(size)["encoder"],
            "seed": 0,
            "packages": {},
            "created": "for a benchmark",
        }
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
    """Made-up particles in jets with the multiplicities of real ones.

    Parameters
    ----------
    jets
        How many jets.

    Returns
    -------
    tuple
        Particles [sum(counts), field], counts [jet], axes [jet, 4] (GeV).
    """
    from training.models.synthetic import synthetic_jets

    counts = np.random.default_rng(0).choice(REAL, jets)
    particles, mask, axes = synthetic_jets(counts.tolist())
    return particles[mask].numpy(), counts.astype(np.int64), axes.numpy()


def file_jets(path: Path, jets: int = 2048) -> Arrays:
    """Jets of an event or jet file, some of them often if it has fewer.

    Parameters
    ----------
    path
        The file.
    jets
        How many to draw.

    Returns
    -------
    tuple
        Particles [sum(counts), field], counts [jet], axes [jet, 4] (GeV).
    """
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
    """The jets that all ways get, with their hardest particles, as many as the model takes.

    Parameters
    ----------
    size
        Of the encoder: one of ``SIZES``.
    arrays
        The jets: particles [sum(counts), field], counts [jet], axes [jet, 4] (GeV).
    provider
        ``cpu`` or ``cuda``.

    Returns
    -------
    tuple
        Like ``arrays``.
    """
    flat, counts, axes = first(arrays, CHUNK[size] if provider == "cpu" else len(arrays[1]))
    most = encoder_config(size).max_particles
    kept = np.concatenate([np.arange(count) < most for count in counts])
    return flat[kept], np.minimum(counts, most), axes


def first(arrays: Arrays, jets: int) -> Arrays:
    """That many of the jets.

    Parameters
    ----------
    arrays
        The jets: particles [sum(counts), field], counts [jet], axes [jet, 4] (GeV).
    jets
        How many to take.

    Returns
    -------
    tuple
        Like ``arrays``.
    """
    flat, counts, axes = arrays
    return flat[: counts[:jets].sum()], counts[:jets], axes[:jets]


def macs(size: str, counts: NDArray[np.int64]) -> float:
    """Multiply-accumulates of jets with ``counts`` particles, without padding.

    Parameters
    ----------
    size
        Of the encoder: one of ``SIZES``.
    counts
        Particles of each jet.

    Returns
    -------
    float
        Of all jets together.
    """
    from training.models.flops import encoder_macs

    config = encoder_config(size)
    return sum(encoder_macs(config, int(count)) for count in counts)
