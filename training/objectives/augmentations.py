"""Changes of a jet that leave what it is as it was: label-free, made anew for each view of it."""

from __future__ import annotations

from dataclasses import replace

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from training.data.batch import Batch

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
    return n * (PARTICLE_NUMBERS + 1) + JET_NUMBERS


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
        Particles that are left are in their old order, padding follows. A jet never loses its hardest particle.
    """
    each, common = numbers[:, JET_NUMBERS:].unflatten(1, (-1, PARTICLE_NUMBERS + 1)), numbers[:, :JET_NUMBERS]
    particles = augment(batch.particles, batch.jets, config, each, common) * batch.mask.unsqueeze(-1)
    if not config.drop:
        return replace(batch, particles=particles)
    pt = (batch.particles[..., 0].square() + batch.particles[..., 1].square()).sqrt()
    jet_pt = (batch.jets[:, :1].square() + batch.jets[:, 1:2].square()).sqrt().clamp(min=1e-6)
    left_out = each[..., -1] < config.drop / (1 + pt / (HALF * jet_pt))
    kept = batch.mask & (~left_out | (pt >= pt.amax(1, keepdim=True)))
    order = (~kept).to(torch.int8).argsort(dim=1, stable=True)
    particles = (particles * kept.unsqueeze(-1)).gather(1, order.unsqueeze(-1).expand_as(particles))
    return replace(batch, particles=particles, mask=kept.gather(1, order))
