"""Made-up jets for the tests of training."""

import numpy as np
import torch

from training.data.batch import Batch


def random_jets(count: int, length: int = 32, *, seed: int = 0, classes: int = 2) -> Batch:
    rng = np.random.default_rng(seed)
    mask = torch.arange(length) < torch.from_numpy(rng.integers(1, length, size=(count, 1)))
    particles = torch.from_numpy(rng.normal(size=(count, length, 14)).astype(np.float32)) * mask[..., None]
    four = torch.from_numpy(rng.normal(size=(count, 4)).astype(np.float32))
    return Batch(particles=particles, mask=mask, jets=four, labels=torch.arange(count) % classes)


def two_classes(count: int, seed: int) -> Batch:
    """Jets of two classes that differ in multiplicity, with that as one observable beside noise."""
    rng = np.random.default_rng(seed)
    labels = torch.arange(count) % 2
    multiplicity = torch.from_numpy(rng.poisson(np.where(labels == 1, 20, 8))).clamp(1, 32)
    mask = torch.arange(32) < multiplicity[:, None]
    momenta = torch.from_numpy(rng.normal(size=(count, 32, 3)).astype(np.float32)) * 5 + torch.tensor([50.0, 0, 0])
    particles = torch.zeros(count, 32, 14)
    particles[..., :3] = momenta
    particles[..., 3] = momenta.norm(dim=-1)
    particles = particles * mask[..., None]
    observables = torch.stack([multiplicity.float(), torch.from_numpy(rng.normal(size=count)).float()], 1)
    return Batch(particles=particles, mask=mask, jets=particles[..., :4].sum(1), labels=labels, observables=observables)
