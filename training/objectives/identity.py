"""The kind of a hidden particle, predicted from the visible ones."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from training.objectives.ranks import global_mean

IDENTITIES = 8
"""Charged hadron, electron and muon of either charge, neutral hadron, photon."""


def identity_loss(logits: Tensor, particles: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy of the kind of each particle.

    Parameters
    ----------
    logits
        [B, M, 8].
    particles
        Canonical fields, [B, M, field]; a particle without a flag, or with several, is left out.
    mask
        bool [B, M], which particles there are.

    Returns
    -------
    Tensor
        A scalar.
    """
    kind, known = kinds_of(particles)
    error = F.cross_entropy(logits.float().movedim(-1, 1), kind, reduction="none")
    return global_mean(error, mask & known)


def kinds_of(particles: Tensor) -> tuple[Tensor, Tensor]:
    """The kind of each particle.

    Parameters
    ----------
    particles
        Canonical fields, [..., field].

    Returns
    -------
    tuple of Tensor
        int64 [...], from 0 to 7; and bool [...], whether it is known: exactly one flag is set.
    """
    charge = particles[..., 4]
    charged_hadron, neutral_hadron, photon, electron, muon = (particles[..., 5:10] > 0).long().unbind(-1)
    positive = (charge > 0) * (charged_hadron + electron + muon)
    kind = 2 * neutral_hadron + 3 * photon + 4 * electron + 6 * muon + positive
    known = (charged_hadron + neutral_hadron + photon + electron + muon) == 1
    return kind.clamp(max=IDENTITIES - 1), known
