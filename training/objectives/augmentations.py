"""Changes of a jet that leave what it is as it was: label-free, made anew for each view of it."""

from __future__ import annotations

from dataclasses import replace

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from training.data.batch import Batch
from training.models.preprocess import FIELDS

PARTICLE_NUMBERS = 2
"""Random numbers that a particle needs."""
JET_NUMBERS = 2
"""Random numbers that a jet needs."""


class AugmentationConfig(BaseModel):
    """How strongly views of a jet are changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rotate: bool = True
    """Rotate all particles about the jet axis by one random angle, and reflect every other jet."""
    smear: float = Field(default=0.05, ge=0, lt=1)
    """Relative width of a Gaussian factor on each particle's momentum."""


class WholeJetConfig(AugmentationConfig):
    """How strongly whole jets are changed; views of P-JEPA hide particles anyway."""

    drop: float = Field(default=0.0, ge=0, lt=1)
    """Probability that a very soft particle is left out; half of it at 1 % of the jet's pT."""
    split: float = Field(default=0.0, ge=0, lt=1)
    """Probability that a neutral particle becomes two in its direction, as one shower may be two clusters of a
    calorimeter; while there is padding to put the other half."""


WHOLE_JET_NUMBERS = PARTICLE_NUMBERS + 3
"""Random numbers that a particle of a whole jet needs."""

HALF = 0.01
"""Share of the jet's pT at which a particle is left out half as often as a very soft one."""


def visible_sum(particles: Tensor, mask: Tensor) -> Tensor:
    """Four-momentum of the visible particles together: all that a view may know of its jet.

    Parameters
    ----------
    particles
        f32 [B, N, field], whose first four fields are px py pz energy in GeV.
    mask
        bool [B, N].

    Returns
    -------
    Tensor
        f32 [B, 4], px py pz energy in GeV.
    """
    return (particles[..., :4].float() * mask.unsqueeze(-1)).sum(1)


def augment(particles: Tensor, jets: Tensor, config: AugmentationConfig, each: Tensor, common: Tensor) -> Tensor:
    """The particles of jets rotated, reflected and smeared.

    Parameters
    ----------
    particles
        f32 [B, N, field], whose first four fields are px py pz energy in GeV.
    jets
        f32 [B, 4], px py pz energy in GeV; the axis of the rotation, in the plane of eta and phi.
    config
        How strongly.
    each
        Numbers in [0, 1) for the particles, f32 [B, N, PARTICLE_NUMBERS].
    common
        Numbers in [0, 1) for the jets, f32 [B, JET_NUMBERS].

    Returns
    -------
    f32 [B, N, field]; masses of particles and all other fields stay.
    """
    px, py, pz, energy = particles[..., :4].float().unbind(-1)
    pt = (px.square() + py.square()).clamp(min=1e-16).sqrt()
    cos, sin = px / pt, py / pt
    mass2 = (energy.square() - pt.square() - pz.square()).clamp(min=0)
    if config.smear:
        # Box and Muller: a normal number from two uniform ones.
        normal = (-2 * (1 - each[..., 0]).log()).sqrt() * (2 * torch.pi * each[..., 1]).cos()
        factor = (1 + config.smear * normal).clamp(min=0.1)
        pt, pz = pt * factor, pz * factor
    if config.rotate:
        jx, jy, jz = (jets[:, i : i + 1].float() for i in range(3))
        jet_pt = (jx.square() + jy.square()).clamp(min=1e-16).sqrt()
        jet_eta, jet_phi = torch.asinh(jz / jet_pt), torch.atan2(jy, jx)
        deta = torch.asinh(pz / pt) - jet_eta
        dphi = torch.atan2(jx * py - jy * px, jx * px + jy * py)
        angle = 2 * torch.pi * common[:, :1]
        side = torch.where(common[:, 1:2] < 0.5, -1.0, 1.0)
        a, b = deta * angle.cos() - dphi * angle.sin(), (deta * angle.sin() + dphi * angle.cos()) * side
        pz, cos, sin = pt * (jet_eta + a).sinh(), (jet_phi + b).cos(), (jet_phi + b).sin()
    energy = (pt.square() + pz.square() + mass2).sqrt()
    momenta = torch.stack([pt * cos, pt * sin, pz, energy], dim=-1)
    return torch.cat([momenta, particles[..., 4:].float()], dim=-1)


def numbers_of(n: int) -> int:
    """How many random numbers :func:`augmented` needs for a jet.

    Parameters
    ----------
    n
        Particles N of a jet, padding included.

    Returns
    -------
    int
    """
    return n * WHOLE_JET_NUMBERS + JET_NUMBERS


@torch.no_grad()
def augmented(batch: Batch, config: WholeJetConfig, numbers: Tensor) -> Batch:
    """A batch of jets changed at random.

    Parameters
    ----------
    batch
        Jets; their axes, energies, labels and observables stay.
    config
        How strongly.
    numbers
        In [0, 1), f32 [B, numbers_of(N)].

    Returns
    -------
    Batch
        Particles that are left are in their old order, then come the other halves of those that were split, then
        padding. A jet never loses its hardest particle.
    """
    each, common = numbers[:, JET_NUMBERS:].unflatten(1, (-1, WHOLE_JET_NUMBERS)), numbers[:, :JET_NUMBERS]
    particles = augment(batch.particles, batch.jets, config, each, common) * batch.mask.unsqueeze(-1)
    mask = batch.mask
    if config.drop:
        particles, mask = _without_soft(batch, particles, config.drop, each[..., PARTICLE_NUMBERS])
    if config.split:
        particles, mask = _split(particles, mask, config.split, each[..., PARTICLE_NUMBERS + 1 :])
    return replace(batch, particles=particles, mask=mask)


def _without_soft(batch: Batch, particles: Tensor, drop: float, chance: Tensor) -> tuple[Tensor, Tensor]:
    """What is left of ``particles`` [B, N, field] and of the mask of a batch, in the old order."""
    pt = (batch.particles[..., 0].square() + batch.particles[..., 1].square()).sqrt()
    jet_pt = (batch.jets[:, :1].square() + batch.jets[:, 1:2].square()).sqrt().clamp(min=1e-6)
    left_out = chance < drop / (1 + pt / (HALF * jet_pt))
    kept = batch.mask & (~left_out | (pt >= pt.amax(1, keepdim=True)))
    order = (~kept).to(torch.int8).argsort(dim=1, stable=True)
    particles = (particles * kept.unsqueeze(-1)).gather(1, order.unsqueeze(-1).expand_as(particles))
    return particles, kept.gather(1, order)


def _split(particles: Tensor, mask: Tensor, split: float, chances: Tensor) -> tuple[Tensor, Tensor]:
    """Particles [B, N, field] and their mask after some neutral ones have become two; padding comes last before."""
    n = mask.shape[1]
    slots, count = torch.arange(n, device=mask.device), mask.sum(1, keepdim=True)
    neutral = particles[..., FIELDS.index("charge")] == 0
    chosen = mask & neutral & (chances[..., 0] < split)
    chosen &= chosen.cumsum(1) <= n - count  # as many as there is room for
    share = torch.where(chosen, chances[..., 1], 1.0)
    # The k-th slot of padding gets the other half of the k-th particle that is split.
    source = (~chosen).to(torch.int8).argsort(dim=1, stable=True).gather(1, (slots - count).clamp(min=0))
    other = (slots >= count) & (slots < count + chosen.sum(1, keepdim=True))
    copies = particles.gather(1, source.unsqueeze(-1).expand_as(particles))
    factor = torch.where(other, 1 - share.gather(1, source), share).unsqueeze(-1)
    particles = torch.where(other.unsqueeze(-1), copies, particles)
    return torch.cat([particles[..., :4] * factor, particles[..., 4:]], dim=-1), mask | other
