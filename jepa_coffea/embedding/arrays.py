"""Flat jets as awkward records to the arrays that an encoder takes."""

from __future__ import annotations

from typing import NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from jepa_coffea.constituents.record import JET_FIELDS


class JetArrays(NamedTuple):
    """The arguments of an encoder."""

    particles: NDArray[np.float32]
    """[sum(counts), field]"""
    counts: NDArray[np.int64]
    """Particles of each jet."""
    axes: NDArray[np.float32]
    """[jet, 4], px py pz energy in GeV."""


def arrays_of(particles: ak.Array, momenta: ak.Array, fields: tuple[str, ...]) -> JetArrays:
    """``jets * particles`` records and their jets' momenta, without gaps; fields that the particles lack are 0."""
    counts = np.asarray(ak.num(particles, axis=1), dtype=np.int64)
    rows = ak.flatten(particles, axis=1)
    flat = np.zeros((int(counts.sum()), len(fields)), dtype=np.float32)
    for position, name in enumerate(fields):
        if name in rows.fields:
            flat[:, position] = ak.to_numpy(rows[name])
    axes = np.stack([np.asarray(ak.to_numpy(momenta[name]), np.float32) for name in JET_FIELDS], axis=1)
    return JetArrays(flat, counts, axes)
