"""What the data room hands to a training step."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Padded jets in detector quantities: exactly what the exported ONNX file takes, as all preprocessing is inside."""

    particles: Tensor
    """f32 [B, N, F], canonical fields in the order of ``jepa_coffea.constituents.record.FIELDS`` (plus ``subjet``
    for a model that asks), zero-padded, descending pT; N is a multiple of 16."""
    mask: Tensor
    """bool [B, N], True where there is a particle."""
    jets: Tensor
    """f32 [B, 4], px py pz energy in GeV."""
    labels: Tensor | None = None
    """int64 [B], index into the class names of the source; None for unlabelled jets."""
    observables: Tensor | None = None
    """f32 [B, K], label-free jet observables stored with the jets, named by the source; NaN where a source has none."""

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Self:
        """The same batch on another device.

        Parameters
        ----------
        device
            Where the tensors go.
        non_blocking
            Whether the copy may go on while the program does; for pinned memory.

        Returns
        -------
        Batch
        """
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        moved = {k: v.to(device, non_blocking=non_blocking) for k, v in values.items() if v is not None}
        return replace(self, **moved)

    def __len__(self) -> int:
        return self.mask.shape[0]
