"""The cases of the training benchmark: sizes, made-up jets in batches, and the models of both projects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.encoders import encoder_config, sections
from training.data.batch import Batch
from training.models import attention
from training.models.encoder import EncoderConfig
from training.models.flops import encoder_macs
from training.models.preprocess import ParticleFeatures
from training.models.synthetic import synthetic_jets
from training.objectives import build_objective
from training.objectives.base import Objective

FUSED = attention.fused
CLASSES = tuple(f"class{i}" for i in range(10))
MULTIPLICITY = (50.0, 20.0)


@dataclass(frozen=True)
class Size:
    """An encoder of both projects, and how it is fed."""

    name: str
    """In :mod:`benchmarks.encoders`."""
    batch: int
    lengths: tuple[int, ...] = ()
    """Padded lengths to keep to, so that compiling does not take longer than measuring; empty: all."""

    @property
    def config(self) -> EncoderConfig:
        """For this project.

        Returns
        -------
        EncoderConfig
            Checked.
        """
        return encoder_config(self.name)

    @property
    def longest(self) -> int:
        """Of a jet with more particles the rest is left out.

        Returns
        -------
        int
            Particles.
        """
        return self.config.max_particles


SIZES = {
    "tiny": Size("tiny", 32, lengths=(32, 48)),
    "mini": Size("mini", 128, lengths=(32, 48, 64)),
    "small": Size("small", 64, lengths=(32, 48, 64)),
    "base": Size("base", 1024, lengths=(32, 48, 64)),
    "published": Size("published", 1024, lengths=(48, 64)),
}
"""``mini`` and ``small`` in batches that a CPU does in seconds; give a GPU larger ones."""


def pretraining_of(size: Size) -> Objective:
    """Build the pretraining objective of a size.

    Parameters
    ----------
    size
        What to build.

    Returns
    -------
    Objective
        That of the configuration, with new weights.
    """
    options = dict(sections(size.name)["objective"])
    return build_objective(options.pop("name"), size.config, options)


def batches(size: Size, device: torch.device, *, sort: bool, jets: int) -> list[Batch]:
    """Batches of the same jets: sorted by multiplicity and padded to multiples of 16, or mixed at the longest.

    Parameters
    ----------
    size
        Of encoder and batches.
    device
        Of the batches.
    sort
        Whether by multiplicity.
    jets
        In all batches together.

    Returns
    -------
    list of Batch
        With labels drawn at random.
    """
    rng = np.random.default_rng(0)
    counts = np.rint(rng.normal(*MULTIPLICITY, jets)).clip(4, size.longest).astype(int)
    if size.lengths:
        longest, shortest = max(size.lengths), min(size.lengths) - 15
        counts = np.resize(counts[(counts >= shortest) & (counts <= longest)], jets)
    counts = np.sort(counts) if sort else counts
    result = []
    for start in range(0, jets - size.batch + 1, size.batch):
        part = counts[start : start + size.batch].tolist()
        width = -(-max(part) // 16) * 16 if sort else size.longest
        particles, mask, axis = synthetic_jets(part, seed=start, width=width)
        labels = torch.randint(len(CLASSES), (size.batch,), generator=torch.Generator().manual_seed(start))
        result.append(Batch(particles=particles, mask=mask, jets=axis, labels=labels).to(device))
    return result


class Weaver(nn.Module):
    """weaver-core's ParticleTransformer, fed as its data loader would feed it.

    Parameters
    ----------
    size
        Of the encoder.
    trim
        Whether weaver-core cuts a batch to its longest jet.
    compiled
        Whether with torch.compile.
    """

    def __init__(self, size: Size, *, trim: bool, compiled: bool) -> None:
        super().__init__()
        from weaver.nn.model.ParticleTransformer import ParticleTransformer

        self.model = ParticleTransformer(
            input_dim=17,
            num_classes=len(CLASSES),
            embed_dims=size.config.embed_dims,
            pair_embed_dims=size.config.pair_dims,
            num_heads=size.config.heads,
            num_layers=size.config.blocks,
            trim=trim,
            compile_model=compiled,
        )
        if compiled:
            self.model.compile(dynamic=False)

    @staticmethod
    @torch.no_grad()
    def prepare(batch: Batch) -> tuple[Tensor, ...]:
        """Features [B, 17, N], momenta [B, 4, N], mask [B, 1, N], labels; not part of the timing.

        Parameters
        ----------
        batch
            Padded jets.

        Returns
        -------
        tuple or Batch
            What :meth:`forward` takes.
        """
        preprocess = ParticleFeatures(EncoderConfig().fields, scale_to_jet_pt=False).to(batch.jets.device)
        features = preprocess(batch.particles, batch.mask, batch.jets).features
        assert batch.labels is not None
        momenta = (batch.particles[..., :4] * batch.mask.unsqueeze(-1)).transpose(1, 2)
        return features.transpose(1, 2).contiguous(), momenta.contiguous(), batch.mask.unsqueeze(1), batch.labels

    def forward(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """The loss.

        Parameters
        ----------
        inputs
            From :meth:`prepare`.

        Returns
        -------
        Tensor
            A number.
        """
        features, momenta, mask, labels = inputs
        return nn.functional.cross_entropy(self.model(features, momenta, mask).float(), labels)


class Ours(nn.Module):
    """An objective of this project.

    Parameters
    ----------
    size
        Of the encoder.
    name
        ``supervised``, or ``pretraining``: the objective of the size's configuration.
    compiled
        Whether with torch.compile.
    explicit
        Attention as its formula is written, instead of one kernel.
    """

    def __init__(self, size: Size, name: str, *, compiled: bool, explicit: bool = False) -> None:
        super().__init__()
        attention.fused = attention.explicit if explicit else FUSED
        if name == "supervised":
            self.objective = build_objective(name, size.config, {}, class_names=CLASSES)
        else:
            self.objective = pretraining_of(size)
        if compiled:
            self.objective.compile()

    def prepare(self, batch: Batch) -> Batch:
        """As the data loader gives it.

        Parameters
        ----------
        batch
            Padded jets.

        Returns
        -------
        tuple or Batch
            What :meth:`forward` takes.
        """
        return batch

    def forward(self, inputs: Batch) -> Tensor:
        """The loss.

        Parameters
        ----------
        inputs
            From :meth:`prepare`.

        Returns
        -------
        Tensor
            A number.
        """
        return self.objective(inputs)["loss"]


def step_flops(size: Size, model: Weaver | Ours, batch: Batch) -> float:
    """Operations of a training step; weaver's without what its class blocks spend on projecting particles.

    Parameters
    ----------
    size
        Of the encoder.
    model
        What is trained.
    batch
        Padded jets.

    Returns
    -------
    float
        Floating-point operations, padding included.
    """
    if isinstance(model, Ours):
        return model.objective.flops(batch)
    return 6 * len(batch) * encoder_macs(size.config, batch.mask.shape[1])


def variants(size: Size, *, compile_too: bool) -> list[tuple[str, str, Callable[[], Any]]]:
    """Name, kind of batches and how to build it.

    Parameters
    ----------
    size
        Of encoder and batches.
    compile_too
        Whether also compiled.

    Returns
    -------
    list of tuple
        Name, kind of batches, and a function that builds the model.
    """
    found: list[tuple[str, str, Callable[[], Any]]] = [
        ("weaver ParT, supervised", "as shipped", lambda: Weaver(size, trim=True, compiled=False)),
        ("weaver ParT, supervised", "same batches", lambda: Weaver(size, trim=False, compiled=False)),
        ("ours, supervised", "same batches", lambda: Ours(size, "supervised", compiled=False)),
        ("ours, P-JEPA", "same batches", lambda: Ours(size, "pretraining", compiled=False)),
    ]
    if compile_too:
        found += [
            ("weaver ParT, supervised, compiled", "same batches", lambda: Weaver(size, trim=False, compiled=True)),
            ("ours, supervised, compiled", "same batches", lambda: Ours(size, "supervised", compiled=True)),
            ("ours, P-JEPA, compiled", "same batches", lambda: Ours(size, "pretraining", compiled=True)),
            (
                "ours, supervised, compiled, explicit",
                "same batches",
                lambda: Ours(size, "supervised", compiled=True, explicit=True),
            ),
        ]
    return found
