"""How jets are nested in events, and back to it from one row a jet."""

from __future__ import annotations

import awkward as ak
import numpy as np
from numpy.typing import NDArray


class Shape:
    """How jets are nested: one list an event or one jet an entry, with None where a mask left a gap.

    Parameters
    ----------
    particles
        ``events * jets * particles`` or ``entries * particles``.
    """

    def __init__(self, particles: ak.Array) -> None:
        self.per_event = np.asarray(ak.num(particles, axis=1)) if particles.ndim == 3 else None
        self.gaps = np.asarray(ak.to_numpy(ak.is_none(self._jets(particles))))

    def _jets(self, array: ak.Array) -> ak.Array:
        return array if self.per_event is None else ak.flatten(array, axis=1)

    def flat(self, array: ak.Array) -> ak.Array:
        """One entry a jet that is there, without option types."""
        return ak.drop_none(self._jets(array), axis=0)

    def restore(self, values: NDArray[np.float32]) -> ak.Array:
        """One row a jet that is there to the nesting and the gaps of the particles."""
        column = ak.from_numpy(values, regulararray=True)
        if self.gaps.any():
            column = column[ak.mask(np.cumsum(~self.gaps) - 1, ~self.gaps)]
        return column if self.per_event is None else ak.unflatten(column, self.per_event)
