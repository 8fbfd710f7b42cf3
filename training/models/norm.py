"""Layer norm that keeps half precision on a GPU."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


class LayerNorm(nn.LayerNorm):
    """As PyTorch's, but under autocast on a GPU numbers in half precision stay so.

    Autocast would copy them to fp32, and the next linear layer back: in a training step of ParticleTransformer on an
    H100 copies took 23 % of the time and norms 28 %. The kernel computes mean and variance in fp32 in any case.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise over the last axis.

        Parameters
        ----------
        x
            [..., D].

        Returns
        -------
        Tensor
            Of the shape of ``x``; of its type where autocast would give fp32.
        """
        if not x.is_cuda or x.dtype == torch.float32:
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            return F.layer_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.bias.to(x.dtype), self.eps)
