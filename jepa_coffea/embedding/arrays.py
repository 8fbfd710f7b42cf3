"""Flat jets to the arrays that an encoder takes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jepa_coffea.constituents.ragged import Ragged
from jepa_coffea.constituents.record import JET_FIELDS


class JetArrays(NamedTuple):
    """The arguments of an encoder."""

    particles: NDArray[np.float32]
    """[sum(counts), field]"""
    counts: NDArray[np.int64]
    """Particles of each jet."""
    axes: NDArray[np.float32]
    """[jet, 4], px py pz energy in GeV."""


def arrays_of(jets: Ragged, fields: tuple[str, ...]) -> JetArrays:
    """Columns side by side.

    Parameters
    ----------
    jets
        Jets with their particles and four-momenta.
    fields
        Of a particle, in the order in which the encoder takes them; those that the particles lack are 0.

    Returns
    -------
    JetArrays
    """
    particles = np.zeros((int(jets.counts.sum()), len(fields)), dtype=np.float32)
    for position, name in enumerate(fields):
        if name in jets.particles:
            particles[:, position] = jets.particles[name]
    axes = np.stack([np.asarray(jets.jets[name], np.float32) for name in JET_FIELDS], axis=1)
    return JetArrays(particles, jets.counts, axes)
