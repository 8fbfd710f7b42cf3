"""Functions of kinematics that ONNX Runtime has no CUDA kernel for, in those that it has one for.

A node without a kernel runs on the CPU between two copies, for each of which the GPU waits; and a session with such a
node captures no CUDA graph. Only exported graphs need that; training keeps PyTorch's own functions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

STEEP = math.tan(math.pi / 8)
"""Slope above which an arctangent is reduced by 45 degrees."""

ARCTANGENT = (8.05374449538e-2, -1.38776856032e-1, 1.99777106478e-1, -3.33329491539e-1)
"""Coefficients of atan(t) = t + t^3 P(t^2) for slopes up to ``STEEP``, highest power first: Moshier, Cephes, atanf."""


def asinh(x: Tensor) -> Tensor:
    """Inverse hyperbolic sine.

    Exported as ln(1 + u) with u = |x| + x^2 / (1 + sqrt(1 + x^2)), where the rounding of 1 + u is divided out (Kahan):
    small arguments keep their relative precision.

    Parameters
    ----------
    x
        float32, any shape.

    Returns
    -------
    Tensor
        Of the shape of ``x``.
    """
    if not torch.compiler.is_exporting():
        return torch.asinh(x)
    size, square = x.abs(), x.square()
    u = size + square / (1 + (1 + square).sqrt())
    rounded = 1 + u
    tiny = rounded == 1
    log1p = torch.where(tiny, u, rounded.log() * u / torch.where(tiny, 1.0, rounded - 1))
    return torch.where(x < 0, -log1p, log1p)


def atan2(y: Tensor, x: Tensor) -> Tensor:
    """Angle of the point (x, y), in radians.

    Exported as a polynomial of the smaller over the larger coordinate, good to 4e-7; 0 at the origin.

    Parameters
    ----------
    y, x
        float32, of shapes that broadcast.

    Returns
    -------
    Tensor
        From -pi to pi.
    """
    if not torch.compiler.is_exporting():
        return torch.atan2(y, x)
    across, along = y.abs(), x.abs()
    slope = torch.minimum(across, along) / torch.maximum(across, along).clamp(min=1e-30)
    steep = slope > STEEP
    t = torch.where(steep, (slope - 1) / (slope + 1), slope)
    square = t.square()
    series = torch.zeros_like(t)
    for coefficient in ARCTANGENT:
        series = series * square + coefficient
    angle = t + t * square * series + torch.where(steep, math.pi / 4, 0.0)
    angle = torch.where(across > along, math.pi / 2 - angle, angle)
    angle = torch.where(x < 0, math.pi - angle, angle)
    return torch.where(y < 0, -angle, angle)
