"""The one attention of the project, and the two transformer blocks built on it."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from training.models.norm import LayerNorm

MASKED = -30000.0
"""Bias of a masked key: its exp() is 0, it fits half precision, and a row of nothing but masked keys stays finite."""

# Wrong forward values with an fp32 mask and NaN gradients (pytorch issues 191612, 196678): never let it be picked.
torch.backends.cuda.enable_cudnn_sdp(False)


def attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, dropout: float = 0.0) -> Tensor:
    """softmax(q k^T / sqrt(C) + bias) v.

    On CUDA by the memory-efficient kernel (which takes a bias and its gradient), elsewhere as written, which exports
    to ONNX with dynamic axes and is no slower on a CPU.

    Parameters
    ----------
    q, k, v
        [B, H, N, C].
    bias
        Broadcastable to [B, H, N, N], ``MASKED`` at keys that must not be seen.
    dropout
        Probability to drop an attention weight.

    Returns
    -------
    Tensor
        [B, H, N, C].
    """
    return (fused if q.is_cuda else explicit)(q, k, v, bias, dropout)


def fused(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, dropout: float) -> Tensor:
    """:func:`attention` in one kernel.

    Parameters
    ----------
    q, k, v
        [B, H, N, C].
    bias
        Broadcastable to [B, H, N, N].
    dropout
        Probability to drop an attention weight.

    Returns
    -------
    Tensor
        [B, H, N, C].
    """
    return F.scaled_dot_product_attention(q, k, v, bias.to(q.dtype), dropout_p=dropout)


def explicit(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, dropout: float) -> Tensor:
    """:func:`attention` as its formula is written.

    Parameters
    ----------
    q, k, v
        [B, H, N, C].
    bias
        Broadcastable to [B, H, N, N].
    dropout
        Probability to drop an attention weight.

    Returns
    -------
    Tensor
        [B, H, N, C].
    """
    scores = torch.matmul(q * q.shape[-1] ** -0.5, k.transpose(-1, -2)) + bias
    weights = F.softmax(scores, dim=-1).to(v.dtype)
    if dropout > 0:
        weights = F.dropout(weights, dropout)
    return torch.matmul(weights, v)


def padding_bias(mask: Tensor) -> Tensor:
    """Attention bias that hides padding.

    Parameters
    ----------
    mask
        bool [B, N], which keys are real.

    Returns
    -------
    Tensor
        [B, 1, 1, N]: 0 at real keys, ``MASKED`` at padding.
    """
    return torch.where(mask, 0.0, MASKED)[:, None, None, :]


class FeedForward(nn.Module):
    """LN -> Linear to 4 D -> GELU -> LN -> Linear to D, added to a residual with a learned scale per dimension.

    Parameters
    ----------
    dim
        Size D of a token.
    dropout
        Probability to drop a value.
    """

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.norm = LayerNorm(dim)
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.hidden_norm = LayerNorm(4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)
        self.residual_scale = nn.Parameter(torch.ones(dim))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens to tokens.

        Parameters
        ----------
        x
            [..., D].

        Returns
        -------
        Tensor
            [..., D].
        """
        hidden = self.hidden_norm(self.dropout(F.gelu(self.fc1(self.norm(x)))))
        # The residual stream keeps its dtype: bf16 under autocast, which halves its memory traffic.
        return (x * self.residual_scale + self.dropout(self.fc2(hidden))).to(x.dtype)


class Block(nn.Module):
    """Self-attention block of ParticleTransformer: LN -> MHA -> scale per head -> LN -> residual, then feed-forward.

    Parameters
    ----------
    dim
        Size D of a token.
    heads
        Attention heads.
    dropout
        Probability to drop a value or an attention weight.
    """

    def __init__(self, dim: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads, self.width = heads, dim // heads
        self.norm = LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.head_scale = nn.Parameter(torch.ones(heads))
        self.out_norm = LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)
        self.feed_forward = FeedForward(dim, dropout)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """Tokens to tokens.

        Parameters
        ----------
        x
            Tokens [B, N, D].
        bias
            Attention bias [B, H or 1, N or 1, N].

        Returns
        -------
        Tensor
            [B, N, D].
        """
        q, k, v = self.qkv(self.norm(x)).unflatten(-1, (3, self.heads, self.width)).permute(2, 0, 3, 1, 4).unbind(0)
        heads = attention(q, k, v, bias, self.dropout.p if self.training else 0.0)
        y = self.out(heads.transpose(1, 2).flatten(2))
        y = y * self.head_scale.repeat_interleave(self.width)
        x = (x + self.dropout(self.out_norm(y))).to(x.dtype)
        return self.feed_forward(x)


class ClassBlock(nn.Module):
    """Class-attention block (arXiv 2103.17239): one class token attends to itself and to all particles.

    With a single query, ``q . (W_k x)`` is ``(W_k^T q) . x`` and ``sum_n w_n W_v x_n`` is ``W_v sum_n w_n x_n``: the
    particles are never projected, only H vectors a jet are, and the result is the usual one up to rounding. The bias
    of the keys drops out of the softmax; there is none.

    Parameters
    ----------
    dim
        Size D of a token.
    heads
        Attention heads.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads, self.width = heads, dim // heads
        self.norm = LayerNorm(dim)
        self.q = nn.Linear(dim, dim)
        self.k = nn.Linear(dim, dim, bias=False)
        self.v = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)
        self.head_scale = nn.Parameter(torch.ones(heads))
        self.out_norm = LayerNorm(dim)
        self.feed_forward = FeedForward(dim, 0.0)
        # [H, D], 1 where a dimension belongs to a head. Masking full-width vectors instead of a matmul per head costs
        # nothing at one token per jet, and needs no transpose (which onnxruntime fuses into a crash on empty batches).
        self.register_buffer("belongs", torch.eye(heads).repeat_interleave(self.width, dim=1), persistent=False)
        self.belongs: Tensor

    def forward(self, token: Tensor, x: Tensor, bias: Tensor) -> Tensor:
        """Class token to class token.

        Parameters
        ----------
        token
            [B, D].
        x
            Particles [B, N, D].
        bias
            Padding bias [B, 1, 1, N].

        Returns
        -------
        Tensor
            [B, D].
        """
        own, others = self.norm(token).unsqueeze(1), self.norm(x)
        queries = self.q(token).unsqueeze(1) * self.belongs
        queries = torch.matmul(queries * self.width**-0.5, self.k.weight)
        scores = [torch.matmul(queries, own.mT), torch.matmul(queries, others.mT) + bias.squeeze(1)]
        weights = F.softmax(torch.cat(scores, dim=-1), dim=-1).to(queries.dtype)
        seen = weights[..., :1] * own + torch.matmul(weights[..., 1:], others)
        values = F.linear(seen, self.v.weight) * self.belongs
        # Not values.sum(1): onnxruntime gives the sum of an empty batch the wrong shape.
        summed = sum(values.unbind(1), self.v.bias)
        y = self.out(summed) * self.head_scale.repeat_interleave(self.width)
        token = (token + self.out_norm(y)).to(token.dtype)
        return self.feed_forward(token)
