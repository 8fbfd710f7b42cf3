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
    charge = particles[..., 4]
    charged_hadron, neutral_hadron, photon, electron, muon = (particles[..., 5:10] > 0).long().unbind(-1)
    positive = (charge > 0) * (charged_hadron + electron + muon)
    kind = 2 * neutral_hadron + 3 * photon + 4 * electron + 6 * muon + positive
    known = (charged_hadron + neutral_hadron + photon + electron + muon) == 1
    error = F.cross_entropy(logits.float().movedim(-1, 1), kind.clamp(max=IDENTITIES - 1), reduction="none")
    return global_mean(error, mask & known)
