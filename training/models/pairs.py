"""Pair features and the attention bias made of them, evaluated once per unordered pair and shared by all blocks."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from training.models.attention import MASKED
from training.models.elementary import asinh, atan2

PAIR_FEATURES = ("ln_kt", "ln_z", "ln_delta", "ln_m2")

EPSILON = 1e-8
"""Smallest Delta, kT (GeV), z and m^2 (GeV^2) of a pair, as in ParticleTransformer."""

LOG_EPSILON = math.log(EPSILON)

# (subtract, multiply), from pairs of distinct particles of QCD and resonance jets; they stand where
# ParticleTransformer has a batch norm, see training/models/encoder.py.
STANDARDISE = ((-1.0, 0.5), (-1.2, 1.0), (-1.5, 1.0), (-2.0, 0.25))


def triangle(n: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows and columns (row >= column) of the n (n + 1) / 2 unordered pairs, row by row.

    Closed form instead of ``tril_indices``, because that exports to ONNX with a dynamic ``n``.

    Parameters
    ----------
    n
        Particles.
    device
        Where the result is.

    Returns
    -------
    tuple of Tensor
        int64 [n (n + 1) / 2] each.
    """
    k = torch.arange(n * (n + 1) // 2, device=device)
    row = ((torch.sqrt(8.0 * k.to(torch.float32) + 1.0) - 1.0) / 2.0).floor().long()
    return row, k - row * (row + 1) // 2


def corner(n: int, device: torch.device) -> Tensor:
    """Which unordered pair of :func:`triangle` stands at each place of the square.

    Parameters
    ----------
    n
        Particles.
    device
        Where the result is.

    Returns
    -------
    Tensor
        int64 [n, n].
    """
    particle = torch.arange(n, device=device)
    high = torch.maximum(particle[:, None], particle)
    low = torch.minimum(particle[:, None], particle)
    return high * (high + 1) // 2 + low


@lru_cache(maxsize=64)
def pair_indices(n: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """:func:`triangle` and :func:`corner`, kept for each length: building them takes a dozen launches of kernels.

    Not while a graph is compiled or exported: there they are a part of it.

    Parameters
    ----------
    n
        Particles.
    device
        Where the result is.

    Returns
    -------
    tuple of Tensor
        Rows, columns and the square.
    """
    with torch.inference_mode(False):  # tensors of inference mode cannot be used in a training
        return *triangle(n, device), corner(n, device)


class _Square(torch.autograd.Function):
    """[..., n (n + 1) / 2] to the symmetric [..., n, n]; the gradient is a gather too, never an atomic addition."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, square: Tensor, row: Tensor, column: Tensor) -> Tensor:
        ctx.save_for_backward(row, column)
        return values.index_select(-1, square.flatten()).unflatten(-1, square.shape)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        row, column = ctx.saved_tensors
        (grad,) = grads
        both = grad[..., row, column] + grad[..., column, row]
        return torch.where(row == column, both / 2, both), None, None, None


class _SquareOfRows(torch.autograd.Function):
    """[H, n (n + 1) / 2, B] to the symmetric [B, H, n, n]: rows of B are gathered whole, then turned over at once."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, square: Tensor, row: Tensor, column: Tensor) -> Tensor:
        ctx.save_for_backward(row, column)
        heads, _, batch = values.shape
        n = len(square)
        result = values.new_empty(heads, batch, n * n)
        for head in range(heads):
            result[head].copy_(values[head].index_select(0, square.flatten()).T)
        return result.unflatten(-1, (n, n)).transpose(0, 1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        row, column = ctx.saved_tensors
        (grad,) = grads
        batch, heads, n, _ = grad.shape
        share = torch.where(row == column, 0.5, 1.0).to(grad.dtype).unsqueeze(1)
        result = grad.new_empty(heads, len(row), batch)
        for head in range(heads):
            turned = grad[:, head].reshape(batch, n * n).T.contiguous()
            torch.mul(
                turned.index_select(0, row * n + column) + turned.index_select(0, column * n + row),
                share,
                out=result[head],
            )
        return result, None, None, None


def pair_features(p4: Tensor, row: Tensor, column: Tensor, particle: int = 1) -> Tensor:
    """ln kT, ln z, ln Delta, ln m^2 of the pairs (row, column) of massless particles, fp32.

    Delta^2 = dy^2 + dphi^2, kT = min(pT) Delta, z = min(pT) / (pT_i + pT_j), m^2 = (p_i + p_j)^2, the interaction
    features of ParticleTransformer (arXiv 2202.03772). Masses of particles are hypotheses that follow from their
    identity, and E^2 - p^2 of an energetic particle is rounding noise in fp32: with it, ln m^2 differs between two
    machines. Without, m^2 = 2 pT_i pT_j (cosh dy - cos dphi) is exact to rounding even for collinear particles, since
    both differences from 1 are computed as squares.
    What needs a transcendental function is computed per particle, not per pair.

    Parameters
    ----------
    p4
        f32 [B, N, 4], px py pz energy in GeV; the energy is not used.
    row, column
        int64 [P].
    particle
        Axis of ``p4`` that counts particles.

    Returns
    -------
    Tensor
        float32 [B, P, 4], or [P, B, 4] of ``p4`` [N, B, 4].
    """
    px, py, pz, _ = p4.unbind(-1)
    return torch.stack(_features(px, py, pz, row, column, particle), dim=-1)


def _features(px: Tensor, py: Tensor, pz: Tensor, row: Tensor, column: Tensor, particle: int) -> list[Tensor]:
    """The four features of momenta whose axis number ``particle`` counts particles; it then counts pairs."""
    pt = (px.square() + py.square()).clamp(min=1e-16).sqrt()
    rapidity = asinh(pz / pt)
    # 2 (cosh(y_i - y_j) - 1) = (e_i - e_j)^2 / (e_i e_j) with e = exp(y), y measured from a particle of the jet, so
    # that e is close to 1 and its differences are exact; 2 (1 - cos(dphi)) is the square of the chord.
    stretch = (rapidity - rapidity.narrow(particle, 0, 1)).exp()
    cos, sin, phi = px / pt, py / pt, atan2(py, px)
    log_pt = pt.log()

    def _pair(quantity: Tensor) -> tuple[Tensor, Tensor]:
        return quantity.index_select(particle, row), quantity.index_select(particle, column)

    def _difference2(quantity: Tensor) -> Tensor:
        i, j = _pair(quantity)
        return (i - j).square()

    (pt_i, pt_j), (phi_i, phi_j), (stretch_i, stretch_j) = _pair(pt), _pair(phi), _pair(stretch)
    dphi = (phi_i - phi_j).abs()
    dphi = torch.minimum(dphi, 2 * torch.pi - dphi)
    delta2 = _difference2(rapidity) + dphi.square()
    ln_delta = 0.5 * delta2.clamp(min=EPSILON**2).log()
    log_pt_min = torch.minimum(*_pair(log_pt))
    ln_kt = (log_pt_min + ln_delta).clamp(min=LOG_EPSILON)
    ln_z = (log_pt_min - (pt_i + pt_j).log()).clamp(min=LOG_EPSILON)
    chord2 = _difference2(cos) + _difference2(sin)
    mass2 = pt_i * pt_j * ((stretch_i - stretch_j).square() / (stretch_i * stretch_j) + chord2)
    return [ln_kt, ln_z, ln_delta, mass2.clamp(min=EPSILON).log()]


class PairBias(nn.Module):
    """Attention bias of every pair of particles: features -> MLP -> one value per head.

    Parameters
    ----------
    dims
        Widths of the hidden layers.
    heads
        Number of attention heads.
    recompute
        Recompute the activations in the backward pass instead of keeping them; they are the largest of the model.
    """

    def __init__(self, dims: tuple[int, ...], heads: int, *, recompute: bool = False) -> None:
        super().__init__()
        constants = torch.tensor(STANDARDISE)
        self.register_buffer("subtract", constants[:, 0].clone(), persistent=False)
        self.register_buffer("multiply", constants[:, 1].clone(), persistent=False)
        self.subtract: Tensor
        self.multiply: Tensor
        widths = (len(PAIR_FEATURES), *dims)
        layers = [nn.Linear(a, b) for a, b in pairwise(widths)]
        self.layers = nn.ModuleList(layers)
        self.head = nn.Linear(widths[-1], heads)
        self.recompute = recompute
        for layer in layers:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        nn.init.xavier_uniform_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, p4: Tensor, mask: Tensor) -> Tensor:
        """Attention bias of all pairs.

        Parameters
        ----------
        p4
            float32 [B, N, 4], px py pz energy in GeV.
        mask
            bool [B, N], which particles there are.

        Returns
        -------
        Tensor
            [B, H, N, N], ``MASKED`` at padded keys.
        """
        n = p4.shape[1]
        if torch.compiler.is_compiling() or torch.jit.is_tracing():  # type: ignore[attr-defined]  # exporting counts as compiling
            row, column, square = *triangle(n, p4.device), corner(n, p4.device)
        else:
            row, column, square = pair_indices(n, p4.device)
        if torch.compiler.is_exporting():  # rows of heads are gathered several times faster than single values
            values = self._jet_by_jet(p4, row, column)
            bias = values.index_select(1, square.flatten()).unflatten(1, square.shape).permute(0, 3, 1, 2)
        elif p4.is_cuda or torch.compiler.is_compiling():
            bias = _Square.apply(self._jet_by_jet(p4, row, column).transpose(1, 2), square, row, column)
        else:
            bias = _SquareOfRows.apply(self._pair_by_pair(p4, row, column), square, row, column)
        return torch.where(mask[:, None, None, :], bias, MASKED)

    def _jet_by_jet(self, p4: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """[B, N, 4] to [B, P, H]."""
        with torch.autocast(p4.device.type, enabled=False):
            features = (pair_features(p4.float(), row, column) - self.subtract) * self.multiply
        return self._thrifty(self._mlp, features)

    def _pair_by_pair(self, p4: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """[B, N, 4] to [H, P, B]: every operation goes along all jets, which is several times faster on a CPU."""
        with torch.autocast(p4.device.type, enabled=False):
            px, py, pz = p4.float().permute(2, 1, 0)[:3].contiguous().unbind(0)
            features = torch.stack(_features(px, py, pz, row, column, 0)).flatten(1)
            features = (features - self.subtract.unsqueeze(1)) * self.multiply.unsqueeze(1)
        return self._thrifty(self._mlp_of_rows, features).unflatten(1, (len(row), p4.shape[0]))

    def _thrifty(self, mlp: Callable[[Tensor], Tensor], features: Tensor) -> Tensor:
        """``mlp`` of ``features``, its activations kept or not."""
        if self.recompute and self.training and torch.is_grad_enabled():
            recomputed: Tensor = checkpoint(mlp, features, use_reentrant=False)
            return recomputed
        return mlp(features)

    def _mlp(self, features: Tensor) -> Tensor:
        """[B, P, 4] to [B, P, H]."""
        for layer in self.layers:
            features = F.gelu(layer(features))
        return self.head(features)

    def _mlp_of_rows(self, features: Tensor) -> Tensor:
        """[4, R] to [H, R]."""
        for layer in self.layers:
            assert isinstance(layer, nn.Linear)
            features = F.gelu(torch.addmm(layer.bias.unsqueeze(1), layer.weight, features))
        return torch.addmm(self.head.bias.unsqueeze(1), self.head.weight, features)
