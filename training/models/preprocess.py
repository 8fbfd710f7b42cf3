"""Detector quantities to the standardised features of a particle; runs inside the model and inside the ONNX file."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from training.models.elementary import asinh, atan2

# The names of jepa_coffea.constituents.record, which a machine that only trains (torch, no awkward) cannot import.
KINEMATICS = ("px", "py", "pz", "energy")
IDENTITY = ("charge", "is_charged_hadron", "is_neutral_hadron", "is_photon", "is_electron", "is_muon")
DISPLACEMENT = ("d0", "d0_err", "dz", "dz_err")
FIELDS = KINEMATICS + IDENTITY + DISPLACEMENT
SUBJET = "subjet"

KINEMATIC_FEATURES = ("log_pt", "log_energy", "log_pt_ratio", "log_energy_ratio", "delta_r", "deta", "dphi")

REFERENCE_PT = 500.0
"""GeV; the pT that jets are scaled to, as in Sophon (arXiv 2405.12972)."""

CLIP = 5.0
"""Standardised features are clipped to [-CLIP, CLIP]."""

# (subtract, multiply) of ParticleTransformer (arXiv 2202.03772); a feature not listed is used as it is.
STANDARDISE = {
    "log_pt": (1.7, 0.7),
    "log_energy": (2.0, 0.7),
    "log_pt_ratio": (-4.7, 0.7),
    "log_energy_ratio": (-4.7, 0.7),
    "delta_r": (0.2, 4.0),
}


def feature_names(fields: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the features made of some fields.

    Parameters
    ----------
    fields
        What is known of a particle.

    Returns
    -------
    tuple of str
        7 (kinematics), 13 (with identity), 11 or 17 (with displacement).
    """
    names: tuple[str, ...] = KINEMATIC_FEATURES
    if IDENTITY[0] in fields:
        names += IDENTITY
    if DISPLACEMENT[0] in fields:
        names += ("tanh_d0", "d0_err", "tanh_dz", "dz_err")
    return names


class Preprocessed(NamedTuple):
    """What the encoder works on."""

    features: Tensor
    """f32 [B, N, F], standardised, 0 at padding."""
    p4: Tensor
    """f32 [B, N, 4], px py pz energy in GeV, scaled where the model scales; (1, 0, 0, 1) at padding."""


class ParticleFeatures(nn.Module):
    """Standardised ParticleTransformer features of raw particles, always in fp32.

    Parameters
    ----------
    fields
        Meaning of the last axis of ``particles``: ``KINEMATICS``, then optionally ``IDENTITY``, ``DISPLACEMENT``,
        ``subjet``, in this order.
    scale_to_jet_pt
        Multiply all momenta by 500 GeV / pT of the jet, so that the embedding does not see the jet's scale.
    boost_to_jet
        Boost all momenta along the beam to where the rapidity of the jet is 0, so that the energies of the particles
        do not tell how far forward the jet is.
    """

    def __init__(self, fields: tuple[str, ...], *, scale_to_jet_pt: bool, boost_to_jet: bool = False) -> None:
        super().__init__()
        self.boost_to_jet = boost_to_jet
        self.names = feature_names(fields)
        self.scale_to_jet_pt = scale_to_jet_pt
        self.fields = fields
        constants = torch.tensor([STANDARDISE.get(name, (0.0, 1.0)) for name in self.names])
        self.register_buffer("subtract", constants[:, 0].clone(), persistent=False)
        self.register_buffer("multiply", constants[:, 1].clone(), persistent=False)
        # A harmless particle for padding: along x, of unit momentum.
        self.register_buffer("harmless", torch.tensor([1.0, 0.0, 0.0, 1.0]), persistent=False)
        self.subtract: Tensor
        self.multiply: Tensor
        self.harmless: Tensor

    def forward(self, particles: Tensor, mask: Tensor, jets: Tensor) -> Preprocessed:
        """Features and four-momenta of particles.

        Parameters
        ----------
        particles
            float32 [B, N, field]; the fields are those of the constructor or, in training, all ``FIELDS``, of which
            only those are used.
        mask
            bool [B, N], which particles there are.
        jets
            float32 [B, 4], px py pz energy in GeV.

        Returns
        -------
        Preprocessed
        """
        with torch.autocast(particles.device.type, enabled=False):
            return self._forward(particles.float(), mask, jets.float())

    def _forward(self, particles: Tensor, mask: Tensor, jets: Tensor) -> Preprocessed:
        real = mask.unsqueeze(-1)
        # A harmless particle instead of padding, before anything divides: a mask after 0/0 would leave NaN gradients.
        p4 = torch.where(real, particles[..., :4], self.harmless)
        jet_pt = _pt(jets).clamp(min=1e-3)
        forward = jets[:, 2:3] >= 0
        if self.boost_to_jet:
            p4 = torch.where(real, _boosted(p4, jets.unsqueeze(1)), self.harmless)
            jets = _boosted(jets, jets)
        if self.scale_to_jet_pt:
            scale = REFERENCE_PT / jet_pt
            p4 = torch.where(real, p4 * scale[:, None, None], self.harmless)
            jets = jets * scale[:, None]
            jet_pt = jet_pt * scale
        px, py, pz, energy = p4.unbind(-1)
        jx, jy, jz, je = (q.unsqueeze(1) for q in jets.unbind(-1))
        log_pt = _pt(p4).clamp(min=1e-8).log()
        log_energy = energy.clamp(min=1e-8).log()
        jet_eta = asinh(jz / jet_pt.unsqueeze(1))
        deta = asinh(pz / _pt(p4).clamp(min=1e-8)) - jet_eta
        dphi = atan2(jx * py - jy * px, jx * px + jy * py)
        values = [
            log_pt,
            log_energy,
            log_pt - jet_pt.log().unsqueeze(1),
            log_energy - je.clamp(min=1e-3).log(),
            (deta.square() + dphi.square()).clamp(min=1e-16).sqrt(),
            torch.where(forward, deta, -deta),
            dphi,
        ]
        features = torch.stack(values, dim=-1)
        given = self.fields if particles.shape[-1] == len(self.fields) else FIELDS
        if IDENTITY[0] in self.fields:
            start = given.index(IDENTITY[0])
            features = torch.cat([features, particles[..., start : start + len(IDENTITY)]], dim=-1)
        if DISPLACEMENT[0] in self.fields:
            start = given.index(DISPLACEMENT[0])
            d0, d0_err, dz, dz_err = particles[..., start : start + len(DISPLACEMENT)].split(1, dim=-1)
            track = [d0.tanh(), d0_err.clamp(0, 1), dz.tanh(), dz_err.clamp(0, 1)]
            features = torch.cat([features, *track], dim=-1)
        features = ((features - self.subtract) * self.multiply).clamp(-CLIP, CLIP)
        return Preprocessed(torch.where(real, features, 0.0), p4)


def _boosted(p4: Tensor, jets: Tensor) -> Tensor:
    """Momenta [..., 4] along the beam to where the rapidity of ``jets`` [..., 4] is 0; transverse ones stay."""
    px, py, pz, energy = p4.unbind(-1)
    _, _, jet_pz, jet_energy = jets.unbind(-1)
    # Cosh and sinh of the rapidity are energy and pz over this transverse mass.
    transverse = (jet_energy - jet_pz).clamp(min=1e-6).sqrt() * (jet_energy + jet_pz).clamp(min=1e-6).sqrt()
    cosh, sinh = jet_energy / transverse, jet_pz / transverse
    return torch.stack([px, py, pz * cosh - energy * sinh, energy * cosh - pz * sinh], dim=-1)


def _pt(p4: Tensor) -> Tensor:
    """Transverse momentum of [..., 4]; its gradient at 0 is 0, not NaN."""
    # No sum(-1): onnxruntime gives the wrong shape when it reduces an empty batch.
    return (p4[..., 0].square() + p4[..., 1].square()).clamp(min=1e-30).sqrt()
