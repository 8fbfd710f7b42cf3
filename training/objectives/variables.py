"""Jet observables as inputs of a classifier's head, beside the embedding."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.data.batch import Batch
from training.objectives.observables import jet_observables, observable_names
from training.objectives.ranks import RunningMoments

CLIP = 5.0
"""Standardised variables are clipped to [-CLIP, CLIP]."""


class Variables(nn.Module):
    """Observables computed from the particles, and those stored with the jets; standardised, 0 where there is none.

    Those in GeV are among them: a head that takes variables sees the scale of the jets, whatever its encoder does.

    Parameters
    ----------
    stored
        Names of the observables that come with the jets.
    fields
        Of the particles.
    """

    def __init__(self, stored: tuple[str, ...], fields: tuple[str, ...]) -> None:
        super().__init__()
        self.stored, self.fields = stored, fields
        self.names = observable_names(stored, fields, scale=True)
        self.moments = RunningMoments(len(self.names))

    def raw(self, batch: Batch) -> Tensor:
        """Values of the variables.

        Parameters
        ----------
        batch
            Jets.

        Returns
        -------
        Tensor
            float32 [B, variable], NaN where there is none.
        """
        shown = torch.ones(len(batch), dtype=torch.bool, device=batch.mask.device)
        jets = (batch.particles, batch.mask, batch.jets, batch.observables)
        return jet_observables(*jets, self.stored, self.fields, shown)

    def fit(self, batch: Batch) -> None:
        """Take mean and standard deviation of each variable from jets, once.

        Parameters
        ----------
        batch
            Jets of the training.
        """
        self.moments.sums.zero_()
        self.moments.update(self.raw(batch), torch.ones(len(batch), device=batch.mask.device))

    def forward(self, batch: Batch) -> Tensor:
        """Standardised variables.

        Parameters
        ----------
        batch
            Jets.

        Returns
        -------
        Tensor
            float32 [B, variable].
        """
        values = self.moments.standardise(self.raw(batch))
        return values.clamp(-CLIP, CLIP).nan_to_num(0.0)
